//! The command as a person or a pipeline runs it: exit codes, streams, files.

mod against;
mod asking;
mod build;
mod check;
mod eval;
mod explain;
mod fmt;
mod init;
mod inventory;
mod layers;
mod module;
mod replay;
mod test;
mod words;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a run of the command came to.
pub struct Run {
    /// The exit code.
    pub code: i32,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

/// Runs the command in a folder.
pub fn netpol(folder: &Path, arguments: &[&str]) -> Run {
    netpol_with(folder, arguments, b"")
}

/// Runs the command in a folder with something on stdin.
pub fn netpol_with(folder: &Path, arguments: &[&str], stdin: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_netpol"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    // A command that does not read its stdin closes it, which is no failure of the test.
    let writer = std::thread::spawn(move || drop(pipe.write_all(&bytes)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Makes a folder with some files; a `/` in a name makes folders.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    // Not in the system's own folder: a `netpol.toml` that somebody left above it would be found.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}
