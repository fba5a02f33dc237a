//! `netpol test`: the tests of a policy, judged for all flows that they are about.

mod against;
mod machines;

use std::fmt::Write;

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::report::Report;
use super::session::{Arguments, Session};
use super::verdict::grant_reason;
use super::{Exit, Fatal, Global, to_stdout};
use crate::analysis::{self, Coverage, Line, TestResult, Witness};
use crate::diag::{Diagnostic, Diagnostics, Severity};
use crate::model::rules::Direction;
use crate::policy::Policy;
use crate::policy::meaning::Grounds;
use crate::source::{Sources, Span};
use against::{Against, Outcome};
use machines::Machines;

/// Judge the tests of a policy, and find everything that a build would find
#[derive(clap::Args)]
pub struct Args {
    /// Print each line of each test and each assertion, and on which rules those rest that are true
    #[arg(short, long)]
    verbose: bool,
    /// How the outcome is printed
    #[arg(long, value_name = "FORMAT", default_value = "human", value_parser = format())]
    format: Format,
    /// List the rules that no line of a test speaks of
    #[arg(long)]
    coverage: bool,
    /// Fail where the tests speak of fewer rules than so many percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    coverage_min: Option<u8>,
    /// Ask for flows of each line too: the evaluator, the objects that are written, the evaluator module
    #[arg(long, value_name = "WHAT", value_delimiter = ',', value_parser = against::parser())]
    against: Vec<Against>,
    #[command(flatten)]
    arguments: Arguments,
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    Human,
    Junit,
    Json,
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(["human", "junit", "json"]).map(|word| match word.as_str() {
        "junit" => Format::Junit,
        "json" => Format::Json,
        _ => Format::Human,
    })
}

/// Judges the tests, and prints one line for each. Fails if a test is not true of every flow, or if a build would fail.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let mut session = Session::open(&args.arguments, global)?;
    let policy = session.policy();
    // A machine-readable format of the findings has everything that the lines for people have.
    let only_findings = args.format == Format::Human && args.arguments.report(global, false).is_for_machines();
    let report = args.arguments.report(global, !only_findings);
    let Some(policy) = policy else {
        let errors = errors(&session.diagnostics);
        let machines = Machines { errors: &errors, ..Machines::of(&session.input.sources) };
        print(machines, args.format)?;
        let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
        report.close(&session.diagnostics, "");
        return Ok(exit);
    };
    let outcomes = outcomes(args, &mut session, &policy)?;
    let sources = &session.input.sources;
    let mut errors = errors(&session.diagnostics);
    let results = analysis::tests(&policy, sources, args.verbose && args.format == Format::Human);
    for line in results.iter().flat_map(|test| &test.lines) {
        if let Some(finding) = line.outcome.finding() {
            session.diagnostics.push(finding.clone());
        }
    }
    let coverage = coverage(args, &policy)?;
    match args.format {
        Format::Human if only_findings => {}
        Format::Human => {
            let outcomes: String = outcomes.iter().map(|outcome| outcome.lines(sources)).collect();
            let text = human(args, &results, coverage.as_ref(), &policy, sources) + &outcomes;
            to_stdout(|out| out.write_all(text.as_bytes()))?;
        }
        _ => {
            let assertions = analysis::of_assertions(&policy, sources);
            let is = |one: &Diagnostic, other: &Diagnostic| {
                (one.primary.span, &one.message) == (other.primary.span, &other.message)
            };
            let of_assertion = |error: &Diagnostic| {
                assertions.iter().filter_map(|line| line.outcome.finding()).any(|one| is(one, error))
            };
            errors.retain(|error| !of_assertion(error));
            let (tests, outcomes, coverage) = (&results[..], &outcomes[..], coverage.as_ref().map(|it| (it, &policy)));
            print(
                Machines { tests, assertions: &assertions, outcomes, coverage, errors: &errors, sources },
                args.format,
            )?;
        }
    }
    let mut exit = report.print(&mut session.diagnostics, sources)?;
    for outcome in outcomes.iter().filter(|outcome| !outcome.agrees()) {
        let count = outcome.differing.iter().filter(|one| !one.explained).count();
        report.say(&format!("{count} of {} flows differ against {}", outcome.flows, outcome.what));
        exit = exit.max(1);
    }
    close(&report, &session.diagnostics, &results);
    let wanted = args.coverage_min.map_or(0, usize::from);
    if coverage.as_ref().is_some_and(|coverage| coverage.percent() < wanted) {
        report.say(&format!("the tests speak of fewer than {wanted} % of the rules"));
        return Ok(exit.max(1));
    }
    Ok(exit)
}

/// Returns the errors among findings.
fn errors(diagnostics: &Diagnostics) -> Vec<Diagnostic> {
    diagnostics.iter().filter(|one| one.severity() == Severity::Error).cloned().collect()
}

/// Prints the outcome for machines.
fn print(machines: Machines<'_>, format: Format) -> Result<(), Fatal> {
    let text = match format {
        Format::Human => return Ok(()),
        Format::Junit => machines.junit(),
        Format::Json => format!("{:#}\n", machines.json()),
    };
    to_stdout(|out| out.write_all(text.as_bytes()))
}

/// Judges the policy by all layers, and asks the other evaluators about flows of the tests.
fn outcomes(args: &Args, session: &mut Session, policy: &Policy) -> Result<Vec<Outcome>, Fatal> {
    let mut all = Vec::new();
    if args.against.is_empty() {
        session.judge(policy);
        return Ok(all);
    }
    let witnesses: Vec<Witness> = analysis::witnesses(policy);
    if Against::Source.is_among(&args.against) {
        all.push(against::source(policy, &witnesses));
    }
    if Against::Yaml.is_among(&args.against) {
        let flows: Vec<_> = witnesses.iter().map(|witness| &witness.flow).collect();
        let (lowering, told) = session.written(policy, &flows);
        all.push(against::yaml(policy, &lowering, &told, &witnesses));
    } else {
        session.judge(policy);
    }
    #[cfg(feature = "wasm-run")]
    if Against::Wasm.is_among(&args.against) {
        all.push(against::wasm(policy, &session.input.sources, &witnesses).map_err(Fatal::new)?);
    }
    Ok(all)
}

fn coverage(args: &Args, policy: &Policy) -> Result<Option<Coverage>, Fatal> {
    if !args.coverage && args.coverage_min.is_none() {
        return Ok(None);
    }
    let found = analysis::coverage(policy);
    found.map(Some).map_err(|_| Fatal::new("to find which rules the tests speak of would take too much work"))
}

fn close(report: &Report<'_>, diagnostics: &Diagnostics, results: &[TestResult]) {
    let failed = results.iter().filter(|test| !test.passed()).count();
    let tests = match results.len() {
        0 => "no tests".to_owned(),
        1 => "1 test".to_owned(),
        count => format!("{count} tests"),
    };
    let text = if failed > 0 { format!("{tests}, {failed} failed") } else { tests };
    match report.fails(diagnostics) {
        true => {
            report.say(&text);
            report.close(diagnostics, "");
        }
        false => report.close(diagnostics, &text),
    }
}

fn human(
    args: &Args,
    results: &[TestResult],
    coverage: Option<&Coverage>,
    policy: &Policy,
    sources: &Sources,
) -> String {
    let mut out = String::new();
    for test in results {
        let word = if test.passed() { "ok    " } else { "failed" };
        let _ = writeln!(out, "{word}  {}  {}", sources.place(test.span), shown(&test.name));
        for line in test.lines.iter().filter(|_| args.verbose) {
            let word = if line.outcome.is_passed() { "ok    " } else { "failed" };
            let _ = writeln!(out, "  {word}  {}", one_line(sources, line.span));
            out.push_str(&grounds(line, policy, sources));
        }
    }
    let assertions = if args.verbose { analysis::of_assertions(policy, sources) } else { Vec::new() };
    for line in assertions {
        let word = if line.outcome.is_passed() { "ok    " } else { "failed" };
        let _ = writeln!(out, "{word}  {}  {}", sources.place(line.span), one_line(sources, line.span));
        out.push_str(&grounds(&line, policy, sources));
    }
    if let Some(coverage) = coverage {
        let all = coverage.covered + coverage.uncovered.len();
        let _ = writeln!(out, "coverage  {} of {all} rules ({} %)", coverage.covered, coverage.percent());
        for rule in coverage.uncovered.iter().filter_map(|at| policy.rule(*at)) {
            let place = rule.origin.place();
            let _ = writeln!(out, "  untested  {}  {}", sources.place(place), one_line(sources, place));
        }
    }
    out
}

/// Returns a name on one line: a character without a look of its own is written as its escape.
fn shown(name: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    name.chars().map(escaped).collect()
}

fn one_line(sources: &Sources, span: Span) -> String {
    sources.slice(span).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the lines with the rules that make a line of a test, or an assertion, true.
fn grounds(line: &Line, policy: &Policy, sources: &Sources) -> String {
    let mut out = String::new();
    let Some(Grounds { rules, grants, open }) = &line.grounds else { return out };
    for place in rules.iter().filter_map(|at| policy.rule(*at)).map(|rule| rule.origin.place()) {
        let _ = writeln!(out, "          by {}  {}", sources.place(place), one_line(sources, place));
    }
    for grant in grants.iter().filter_map(|at| policy.grant(*at)) {
        let _ = writeln!(out, "          by the compiler, {}", grant_reason(grant.reason));
    }
    for direction in Direction::BOTH.into_iter().filter(|way| open[usize::from(*way == Direction::Ingress)]) {
        let _ = writeln!(out, "          {}: no rule isolates some of these pods", direction.word());
    }
    out
}
