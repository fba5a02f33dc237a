//! The outcome of tests for machines: JSON, and the XML of JUnit.

use std::fmt::Write;

use serde_json::{Value, json};

use super::against::Outcome;
use super::{one_line, shown};
use crate::analysis::{Coverage, Line, TestResult};
use crate::diag::Diagnostic;
use crate::policy::Policy;
use crate::source::Sources;

/// What machines are told.
#[derive(Clone, Copy)]
pub struct Machines<'a> {
    /// The tests.
    pub tests: &'a [TestResult],
    /// The assertions.
    pub assertions: &'a [Line],
    /// The answers of other evaluators.
    pub outcomes: &'a [Outcome],
    /// Which rules the tests speak of, if that is asked.
    pub coverage: Option<(&'a Coverage, &'a Policy)>,
    /// The errors that are neither a test's nor an assertion's.
    pub errors: &'a [Diagnostic],
    /// The texts.
    pub sources: &'a Sources,
}

/// A test case of JUnit.
struct Case {
    name: String,
    place: String,
    /// `<failure>` or `<error>`, each with its message and its text.
    problems: Vec<(&'static str, String, String)>,
}

impl<'a> Machines<'a> {
    /// Returns an empty outcome.
    pub fn of(sources: &'a Sources) -> Machines<'a> {
        Machines { tests: &[], assertions: &[], outcomes: &[], coverage: None, errors: &[], sources }
    }

    /// Returns the outcome as JSON.
    pub fn json(&self) -> Value {
        let tests = self.tests.iter().map(|test| {
            let lines: Vec<_> = test.lines.iter().map(|line| self.line(line)).collect();
            let place = self.sources.place(test.span);
            json!({ "name": test.name, "place": place, "passed": test.passed(), "lines": lines })
        });
        let assertions = self.assertions.iter().map(|line| self.line(line));
        let errors = self.errors.iter().map(|error| {
            let place = self.sources.place(error.primary.span);
            json!({ "place": place, "code": error.code.as_str(), "message": error.message })
        });
        let coverage = self.coverage.map(|(coverage, policy)| {
            let rules = coverage.uncovered.iter().filter_map(|at| policy.rule(*at));
            let uncovered: Vec<String> = rules.map(|rule| self.sources.place(rule.origin.place())).collect();
            json!({ "covered": coverage.covered, "uncovered": uncovered })
        });
        let mut value = json!({
            "tests": tests.collect::<Vec<_>>(),
            "assertions": assertions.collect::<Vec<_>>(),
            "errors": errors.collect::<Vec<_>>(),
            "coverage": coverage,
        });
        if !self.outcomes.is_empty() {
            value["against"] = self.outcomes.iter().map(|outcome| outcome.json(self.sources)).collect();
        }
        value
    }

    fn line(&self, line: &Line) -> Value {
        let finding = line.outcome.finding();
        json!({
            "place": self.sources.place(line.span),
            "text": self.sources.slice(line.span),
            "passed": line.outcome.is_passed(),
            "code": finding.map(|finding| finding.code.as_str()),
            "message": finding.map(|finding| &finding.message),
        })
    }

    /// Returns the outcome as JUnit's XML: a test case for each test, for each assertion, and for each of the other
    /// evaluators, and one with the errors of the policy, if it has any.
    pub fn junit(&self) -> String {
        let tests = self.tests.iter().map(|test| Case {
            name: shown(&test.name),
            place: self.sources.place(test.span),
            problems: test.lines.iter().filter_map(|line| self.failure(line)).collect(),
        });
        let assertions = self.assertions.iter().map(|line| Case {
            name: one_line(self.sources, line.span),
            place: self.sources.place(line.span),
            problems: self.failure(line).into_iter().collect(),
        });
        let against = self.outcomes.iter().map(|outcome| {
            let differing = outcome.differing.iter().filter(|one| !one.explained);
            let failure = differing.map(|one| ("failure", one.message.clone(), self.sources.place(one.span)));
            Case { name: format!("against {}", outcome.what), place: "netpol".to_owned(), problems: failure.collect() }
        });
        let error = |error: &Diagnostic| {
            let message = format!("{}: {}", error.code.as_str(), error.message);
            ("error", message, self.sources.place(error.primary.span))
        };
        let errors: Vec<_> = self.errors.iter().map(error).collect();
        let policy = Case { name: "the policy".to_owned(), place: "netpol".to_owned(), problems: errors };
        let suites: [(&str, Vec<Case>); 4] = [
            ("netpol", tests.collect()),
            ("assertions", assertions.collect()),
            ("policy", if policy.problems.is_empty() { Vec::new() } else { vec![policy] }),
            ("against", against.collect()),
        ];
        let all = suites.iter().flat_map(|(_, cases)| cases);
        let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites{}>\n", counts(all));
        for (name, cases) in suites.iter().filter(|(name, cases)| *name == "netpol" || !cases.is_empty()) {
            let _ = writeln!(out, "  <testsuite name=\"{name}\"{}>", counts(cases.iter()));
            cases.iter().for_each(|case| case.write(&mut out));
            out.push_str("  </testsuite>\n");
        }
        out.push_str("</testsuites>\n");
        out
    }

    fn failure(&self, line: &Line) -> Option<(&'static str, String, String)> {
        let finding = line.outcome.finding().filter(|_| !line.outcome.is_passed())?;
        let text = format!("{}: {}", self.sources.place(line.span), self.sources.slice(line.span));
        Some(("failure", finding.message.clone(), text))
    }
}

impl Case {
    fn has(&self, what: &str) -> bool {
        self.problems.iter().any(|(kind, _, _)| *kind == what)
    }

    fn write(&self, out: &mut String) {
        let (name, place) = (escaped(&self.name), escaped(&self.place));
        let _ = write!(out, "    <testcase name=\"{name}\" classname=\"{place}\"");
        if self.problems.is_empty() {
            out.push_str("/>\n");
            return;
        }
        out.push_str(">\n");
        for (kind, message, text) in &self.problems {
            let _ = writeln!(out, "      <{kind} message=\"{}\">{}</{kind}>", escaped(message), escaped(text));
        }
        out.push_str("    </testcase>\n");
    }
}

/// Returns the attributes with the numbers of test cases, of those that failed, and of those with errors.
fn counts<'c>(cases: impl Iterator<Item = &'c Case>) -> String {
    let (mut all, mut failures, mut errors) = (0, 0, 0);
    for case in cases {
        all += 1;
        failures += usize::from(case.has("failure"));
        errors += usize::from(case.has("error"));
    }
    let errors = if errors > 0 { format!(" errors=\"{errors}\"") } else { String::new() };
    format!(" tests=\"{all}\" failures=\"{failures}\"{errors}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
