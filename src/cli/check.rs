//! `netpol check`: everything that a build would find, and nothing written.

use super::session::{Arguments, Session};
use super::{Exit, Fatal, Global, leave};

/// Find everything that a build would find, and write nothing
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    arguments: Arguments,
}

/// Checks the policy.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let mut session = Session::open(&args.arguments, global)?;
    if let Some(policy) = session.policy() {
        session.judge(&policy);
        leave(policy);
    }
    let report = args.arguments.report(global, false);
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    report.close(&session.diagnostics, "no errors");
    Ok(exit)
}
