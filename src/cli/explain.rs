//! `netpol explain`: the grants that the compiler adds, and how well each layer enforces each rule.

use clap::ArgAction;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use super::session::{Arguments, Session};
use super::verdict::grant_reason;
use super::{Exit, Fatal, Global, to_stdout};
use crate::policy::endpoints;
use crate::policy::provenance::{attribute, attribution};
use crate::policy::{Grant, Policy};
use crate::source::Sources;

/// The most owners and reasons of the rules behind a grant that are shown.
const ATTRIBUTIONS_SHOWN: usize = 4;

/// Explain what the compiler adds by itself, or what is enforced where
#[derive(clap::Args)]
pub struct Args {
    /// Print, rule by rule, how well each layer enforces it
    #[arg(long)]
    enforcement: bool,
    /// How it is printed
    #[arg(long, value_name = "FORMAT", default_value = "text", action = ArgAction::Set, value_parser = format())]
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

/// Prints the table of rules and layers, or the grants. The table is also printed for a policy that fails to build
/// because no layer enforces a rule.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let mut session = Session::open(&args.arguments, global)?;
    let policy = session.policy();
    let lowering = policy.as_ref().filter(|_| args.enforcement).map(|policy| session.explain(policy));
    let report = args.arguments.report(global, true);
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    let Some(policy) = policy else {
        report.close(&session.diagnostics, "");
        return Ok(exit);
    };
    let sources = &session.input.sources;
    let enforcement = lowering.as_ref().map(|lowering| lowering.enforcement(&policy));
    let text = match (&enforcement, args.format) {
        (Some(table), Format::Text) => table.text(sources),
        (Some(table), Format::Markdown) => table.markdown(sources),
        (Some(table), Format::Json) => format!("{}\n", table.json(sources)),
        (None, Format::Json) => format!("{}\n", grants_json(&policy, sources)),
        (None, Format::Text) => grants_text(&policy, sources),
        (None, Format::Markdown) => grants_markdown(&policy, sources),
    };
    to_stdout(|out| out.write_all(text.as_bytes()))?;
    Ok(exit)
}

/// Returns a grant in words: its direction, its flows, its reason, and the rules that need it with their owners and
/// reasons.
fn words(grant: &Grant, policy: &Policy, sources: &Sources) -> [String; 4] {
    let flows = format!("{} -> {}", endpoints::source(&grant.source), endpoints::destination(&grant.destination));
    let mut rules = grant.because.iter().filter_map(|&rule| policy.rule(rule));
    let mut said: Vec<String> = rules.clone().filter_map(|rule| attribution(&rule.origin)).collect();
    said.sort_unstable();
    said.dedup();
    let more = said.len().saturating_sub(ATTRIBUTIONS_SHOWN);
    said.truncate(ATTRIBUTIONS_SHOWN);
    said.extend((more > 0).then(|| format!("and {more} more")));
    let mut because = match (rules.next(), rules.count()) {
        (None, _) => "every pod that a rule isolates".to_owned(),
        (Some(first), 0) => sources.place(first.origin.span),
        (Some(first), 1) => format!("{} and 1 other", sources.place(first.origin.span)),
        (Some(first), more) => format!("{} and {more} others", sources.place(first.origin.span)),
    };
    if !said.is_empty() {
        because.push_str(&format!("   ({})", said.join("; ")));
    }
    [grant.direction.word().to_owned(), flows, grant_reason(grant.reason).to_owned(), because]
}

fn grants_text(policy: &Policy, sources: &Sources) -> String {
    if policy.grants.is_empty() {
        return "the compiler adds nothing to these rules\n".to_owned();
    }
    let mut text = "added by the compiler; a grant isolates nobody, and every deny beats it\n".to_owned();
    for grant in &policy.grants {
        let [direction, flows, reason, because] = words(grant, policy, sources);
        text.push_str(&format!("  {direction:<8} {flows}\n           {reason}: {because}\n"));
    }
    text
}

fn grants_markdown(policy: &Policy, sources: &Sources) -> String {
    let mut text = "| direction | flows | why | because of |\n| --- | --- | --- | --- |\n".to_owned();
    for grant in &policy.grants {
        let cells = words(grant, policy, sources).map(|cell| cell.replace('\\', "\\\\").replace('|', "\\|"));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

fn grants_json(policy: &Policy, sources: &Sources) -> Value {
    let grants = policy.grants.iter().map(|grant| {
        let rules = grant.because.iter().filter_map(|&rule| policy.rule(rule));
        let because = rules.map(|rule| {
            let span = rule.origin.span;
            let mut value = json!({ "path": sources.file(span.file).path, "line": sources.line(span) });
            attribute(&mut value, &rule.origin);
            value
        });
        json!({
            "direction": grant.direction.word(),
            "source": endpoints::source(&grant.source),
            "destination": endpoints::destination(&grant.destination),
            "reason": grant_reason(grant.reason),
            "because": because.collect::<Vec<_>>(),
        })
    });
    json!({ "grants": grants.collect::<Vec<_>>() })
}
