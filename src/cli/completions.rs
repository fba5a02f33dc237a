//! `netpol completions SHELL`: the completions of the command for a shell.

use clap::CommandFactory;

use super::{Cli, Exit, Fatal, to_stdout};

/// Print the completions of a shell
#[derive(clap::Args)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Result<Exit, Fatal> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "netpol", &mut script);
    to_stdout(|out| out.write_all(&script))?;
    Ok(0)
}
