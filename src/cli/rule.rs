//! `netpol rule E0123`: the page of a code.

use super::{Exit, Fatal, to_stdout};
use crate::diag::{Code, nearest};

/// Explain a code: what it means, why it matters, an example that fails and one that is right
#[derive(clap::Args)]
pub struct Args {
    /// The code, such as E0101
    code: String,
}

/// Prints the page.
pub fn run(args: &Args) -> Result<Exit, Fatal> {
    let Some(code) = Code::parse(&args.code) else {
        let known = Code::ALL.iter().map(|code| code.as_str());
        let near = nearest(&args.code.to_ascii_uppercase(), known);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Fatal::new(format!("there is no code `{}`{hint}", args.code)));
    };
    to_stdout(|out| out.write_all(code.page().as_bytes()))?;
    Ok(0)
}
