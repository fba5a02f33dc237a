//! `netpol lsp`: the language server, on stdin and stdout.

use std::ffi::OsStr;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::paths::{self, Paths};
use super::session::Session;
use super::verdict::Judged;
use super::{Exit, Fatal};
use crate::lsp::{self, Opened, Root, Unsaved};
use crate::policy::Policy;
use crate::policy::ask::Answers;
use crate::source::Sources;

/// The name of the configuration.
const CONFIG: &str = "netpol.toml";

/// Serve an editor: the language server, which speaks LSP on stdin and stdout
#[derive(clap::Args)]
pub struct Args {
    /// Use stdin and stdout, which is the only way; some editors say so
    #[arg(long)]
    stdio: bool,
}

/// Serves until the editor ends.
pub fn run(_: &Args) -> Result<Exit, Fatal> {
    Ok(lsp::serve(BufReader::new(io::stdin()), io::stdout(), std::sync::Arc::new(Disk)))
}

/// The files of this machine.
struct Disk;

impl lsp::Disk for Disk {
    fn root_of(&self, file: &Path, folders: &[PathBuf]) -> Root {
        let Some(folder) = file.parent().filter(|_| file.is_absolute()) else { return Root::Alone(file.to_path_buf()) };
        let configured = folder.ancestors().find(|folder| folder.join(CONFIG).symlink_metadata().is_ok());
        match configured {
            Some(folder) => Root::Configured(folder.to_path_buf()),
            None if folders.iter().any(|one| file.starts_with(one)) => Root::Folder(folder.to_path_buf()),
            None => Root::Alone(file.to_path_buf()),
        }
    }

    fn open(&self, root: &Root, unsaved: &Unsaved, before: Option<&Opened>) -> Result<Opened, String> {
        let read = || -> Result<Opened, Fatal> {
            let mut paths = Paths::new()?;
            paths.instead(unsaved.iter().map(|(path, text)| (path.clone(), text.clone())));
            let folder = match root {
                Root::Configured(folder) | Root::Folder(folder) => folder.as_path(),
                Root::Alone(file) => file.parent().unwrap_or(Path::new("")),
            };
            let config = folder.join(CONFIG);
            paths.below(&config);
            let files = policy_files(self, root, unsaved)?;
            let config = matches!(root, Root::Configured(_)).then_some(config.as_path());
            let (analysis, paths) =
                Session::of_editor(paths, folder, config, &files)?.analyze(before.map(|opened| &opened.analysis));
            Ok(Opened { analysis, paths })
        };
        read().map_err(|Fatal(why)| why)
    }

    fn committed(&self, file: &Path) -> Option<String> {
        let (folder, name) = (file.parent().filter(|_| file.is_absolute())?, file.file_name()?);
        // `./` starts at the folder, wherever the repository begins.
        let object = [OsStr::new("HEAD:./"), name].join(OsStr::new(""));
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(["cat-file", "blob"]).arg(object).stdin(Stdio::null()).stderr(Stdio::null());
        // A clone without all objects would ask a server for this one, perhaps after a password.
        git.env("GIT_NO_LAZY_FETCH", "1").env("GIT_TERMINAL_PROMPT", "0");
        let output = git.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    }

    fn verdict(&self, policy: &Policy, sources: &Sources, answers: &Answers) -> String {
        Judged { policy, sources, answers, lowering: None }.text()
    }
}

/// Returns the policy files of a root: those on disk, and open documents that are not saved yet or have another ending.
fn policy_files(disk: &Disk, root: &Root, unsaved: &Unsaved) -> Result<Vec<PathBuf>, Fatal> {
    let mut files = match root {
        Root::Configured(folder) | Root::Folder(folder) if folder.is_dir() => paths::files(folder, &["netpol"])?,
        _ => Vec::new(),
    };
    let is_other = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        matches!(ending, Some("toml" | "yaml" | "yml" | "json"))
    };
    let folders: &[PathBuf] = match root {
        Root::Folder(folder) => std::slice::from_ref(folder),
        _ => &[],
    };
    let open = unsaved.keys().filter(|path| lsp::Disk::root_of(disk, path, folders) == *root && !is_other(path));
    let mut open: Vec<PathBuf> = open.filter(|path| !files.contains(path)).cloned().collect();
    files.append(&mut open);
    files.sort();
    Ok(files)
}
