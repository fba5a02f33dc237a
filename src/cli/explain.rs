//! `netpol explain`: what the layers make of each rule.

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::session::{Arguments, Session};
use super::{Exit, Fatal, Global, to_stdout};

/// Explain what is enforced where
#[derive(clap::Args)]
pub struct Args {
    /// Print, rule by rule, how well each layer holds it
    #[arg(long, required = true)]
    enforcement: bool,
    /// How it is printed
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = format())]
    format: Format,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Clone, Copy)]
enum Format {
    Text,
    Markdown,
    Json,
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["text", "markdown", "json"]).map(|word| match word.as_str() {
        "markdown" => Format::Markdown,
        "json" => Format::Json,
        _ => Format::Text,
    })
}

/// Prints the table, also of a policy that no build would take because a layer does not hold it.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let mut session = Session::open(&args.arguments, global)?;
    let enforcement = session.policy().map(|policy| session.lower(&policy).enforcement);
    let report = args.arguments.report(global, true);
    let exit = report.print(&mut session.diagnostics, &session.sources)?;
    let Some(enforcement) = enforcement else {
        report.close(&session.diagnostics, "");
        return Ok(exit);
    };
    let text = match args.format {
        Format::Text => enforcement.text(&session.sources),
        Format::Markdown => enforcement.markdown(&session.sources),
        Format::Json => format!("{}\n", enforcement.json(&session.sources)),
    };
    to_stdout(|out| out.write_all(text.as_bytes()))?;
    Ok(exit)
}
