//! The command line: one file per verb, and the code that verbs share.
//!
//! Only this module knows clap, and only it reads and writes files, asks for the day, and speaks to the terminal.

#[cfg(feature = "wasm-run")]
mod asked;
mod build;
mod check;
mod completions;
mod disk;
mod doc;
mod eval;
mod explain;
mod fmt;
mod init;
mod layers;
mod load;
mod lsp;
mod module;
mod output;
mod paths;
mod replay;
mod report;
mod rule;
mod session;
mod test;
mod verdict;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Parser;

use paths::Paths;
use report::Colour;

/// Policy as code for cluster networks: one sentence in, NetworkPolicy and Istio YAML out.
#[derive(clap::Parser)]
#[command(name = "netpol", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    global: Global,
}

/// The arguments that every verb takes.
#[derive(clap::Args)]
struct Global {
    /// The configuration, instead of the nearest netpol.toml above the first path
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// When to colour messages
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Colour,
}

impl Global {
    /// Returns the configuration of a run whose first argument is `first`.
    fn find_config(&self, paths: &Paths, first: Option<&PathBuf>) -> Option<PathBuf> {
        let given = self.config.clone();
        given.or_else(|| paths.find_config(first.filter(|path| path.as_os_str() != "-").map(PathBuf::as_path)))
    }
}

#[derive(clap::Subcommand)]
enum Verb {
    Check(check::Args),
    Build(build::Args),
    Test(test::Args),
    Eval(Box<eval::Args>),
    Replay(replay::Args),
    Explain(explain::Args),
    Fmt(fmt::Args),
    Init(init::Args),
    Doc(doc::Args),
    Lsp(lsp::Args),
    Rule(rule::Args),
    Completions(completions::Args),
}

/// How a run ended: 0 without an error, 1 with one (or a denied flow, or files that differ).
type Exit = u8;

/// A fatal error, which ends a run at once with exit code 2: wrong usage, or a file that cannot be read or written.
#[derive(Debug)]
pub struct Fatal(String);

impl Fatal {
    fn new(message: impl Into<String>) -> Fatal {
        Fatal(message.into())
    }

    fn io(what: &str, error: io::Error) -> Fatal {
        Fatal(format!("{what}: {}", reason(&error)))
    }

    fn cannot_read(path: &Path, error: io::Error) -> Fatal {
        Fatal::io(&format!("cannot read `{}`", path.display()), error)
    }
}

/// Returns a number with what is counted.
fn number(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Returns the reason of an error, in the system's words without its number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// Runs the command that `arguments` (the program's name first) spell, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // If nobody reads the help, nobody reads an error about it.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let end = match cli.verb {
        Verb::Check(args) => check::run(&args, &cli.global),
        Verb::Build(args) => build::run(&args, &cli.global),
        Verb::Test(args) => test::run(&args, &cli.global),
        Verb::Eval(args) => eval::run(&args, &cli.global),
        Verb::Replay(args) => replay::run(&args, &cli.global),
        Verb::Explain(args) => explain::run(&args, &cli.global),
        Verb::Fmt(args) => fmt::run(&args, &cli.global),
        Verb::Init(args) => init::run(&args, &cli.global),
        Verb::Doc(args) => doc::run(&args),
        Verb::Lsp(args) => lsp::run(&args),
        Verb::Rule(args) => rule::run(&args),
        Verb::Completions(args) => completions::run(&args),
    };
    end.unwrap_or_else(|Fatal(message)| {
        let _ = writeln!(io::stderr(), "error: {message}");
        2
    })
}

/// Never drops a value: at the end of the process, freeing millions of small pieces would only take time.
fn leave<T>(value: T) {
    std::mem::forget(value);
}

/// Writes to stdout. A reader that went away is no error: it has read all that it wanted.
fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Fatal> {
    to(io::stdout().lock(), write).map_err(|error| Fatal::io("cannot write to stdout", error))
}

fn to(stream: impl Write, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = io::BufWriter::with_capacity(1 << 16, stream);
    match write(&mut buffered).and_then(|()| buffered.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            // The rest of the buffer must not be written when it is dropped.
            let _ = buffered.into_parts();
            Ok(())
        }
        other => other,
    }
}
