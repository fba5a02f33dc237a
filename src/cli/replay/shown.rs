//! The summary of a replay: as text, as Markdown, as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cli::number;
use crate::model::rules::RuleId;
use crate::policy::provenance::rule_text;
use crate::policy::{Cause, End, Policy};
use crate::replay::{Found, Group, Passed};
use crate::source::Sources;

/// The most entries of each list that are shown to people.
const SHOWN: usize = 50;

/// A rule, as it is in its file.
pub struct Told {
    /// The file.
    pub path: String,
    /// The line.
    pub line: u64,
    /// Its text.
    pub text: String,
}

/// Returns a rule of a policy.
pub fn of_policy(policy: &Policy, sources: &Sources, at: RuleId) -> Option<Told> {
    let origin = &policy.rule(at)?.origin;
    let place = origin.place();
    let path = sources.file(place.file).path.clone();
    Some(Told { path, line: sources.line(place) as u64, text: rule_text(sources, origin) })
}

/// A summary.
pub struct Summary<'a> {
    /// The result of the replay.
    pub found: &'a Found,
    /// The rules.
    pub rules: &'a dyn Fn(RuleId) -> Option<Told>,
    /// The names of the logs.
    pub names: &'a [String],
}

impl Summary<'_> {
    /// Returns the summary for a person.
    pub fn human(&self) -> String {
        let mut out = String::new();
        for group in self.found.denied.sorted().into_iter().take(SHOWN) {
            let _ = writeln!(out, "denied       {}", self.counted(group));
            for end in &group.ends {
                let _ = writeln!(out, "  {:<10} {}", end.direction.word(), self.why(end));
            }
        }
        more(&mut out, self.found.denied.list.len(), "sentences of denied flows");
        for group in self.found.unexplained.sorted().into_iter().take(SHOWN) {
            let _ = writeln!(out, "unexplained  {}", self.counted(group));
        }
        more(&mut out, self.found.unexplained.list.len(), "sentences of unexplained flows");
        for rule in self.found.unused.iter().take(SHOWN) {
            let _ = writeln!(out, "unused       {}", self.rule(*rule));
        }
        more(&mut out, self.found.unused.len(), "unused rules");
        for unread in &self.found.unread_lines {
            let _ = writeln!(out, "unread       {}: {}", self.line((unread.0, unread.1)), unread.2);
        }
        for line in self.numbers() {
            let _ = writeln!(out, "{line}");
        }
        out
    }

    /// Returns the summary as Markdown.
    pub fn markdown(&self) -> String {
        let mut out = String::from("# Replay\n\n");
        for line in self.numbers() {
            let _ = writeln!(out, "- {line}");
        }
        self.table(&mut out, "Denied", "flows", &self.found.denied.sorted());
        self.table(&mut out, "Unexplained by the inventory", "flows", &self.found.unexplained.sorted());
        if !self.found.unused.is_empty() {
            out.push_str("\n## Rules that no flow meets\n\n");
            for rule in self.found.unused.iter().take(SHOWN) {
                let _ = writeln!(out, "- {}", code(&self.rule(*rule)));
            }
            more(&mut out, self.found.unused.len(), "unused rules");
        }
        if !self.found.unread_lines.is_empty() {
            out.push_str("\n## Lines that cannot be read\n\n");
            for (log, line, why) in &self.found.unread_lines {
                let _ = writeln!(out, "- {} {}", code(&self.line((*log, *line))), escaped(why));
            }
        }
        out
    }

    fn table(&self, out: &mut String, title: &str, what: &str, groups: &[&Group]) {
        if groups.is_empty() {
            return;
        }
        let _ = writeln!(out, "\n## {title}\n\n| {what} | sentence | why | first | last |\n|---:|---|---|---|---|");
        for group in groups.iter().take(SHOWN) {
            let why: Vec<String> =
                group.ends.iter().map(|end| format!("{}: {}", end.direction.word(), self.why(end))).collect();
            let (first, last) =
                group.seen.map(|(first, last)| (first.to_string(), last.to_string())).unwrap_or_default();
            let (sentence, why) = (code(&group.sentence()), escaped(&why.join("; ")));
            let _ = writeln!(out, "| {} | {sentence} | {why} | {first} | {last} |", group.count);
        }
        more(out, groups.len(), "sentences");
    }

    /// Returns the summary as JSON.
    pub fn json(&self) -> Value {
        let found = self.found;
        let passed: serde_json::Map<String, Value> =
            Passed::ALL.iter().map(|why| (why.key().to_owned(), json!(found.passed[*why as usize]))).collect();
        let rule = |at: &RuleId| {
            let Told { path, line, text } = (self.rules)(*at)?;
            Some(json!({ "path": path, "line": line, "rule": text }))
        };
        let unread = found
            .unread_lines
            .iter()
            .map(|(log, line, why)| json!({ "log": self.names.get(*log), "line": line, "message": why }));
        let broken = found.broken.iter().map(|(log, line, _)| json!({ "log": self.names.get(*log), "line": line }));
        json!({
            "lines": found.lines,
            "flows": found.flows(),
            "allowed": found.allowed,
            "denied": found.denied.flows(),
            "refused_before": { "still_denied": found.refused, "now_allowed": found.opened },
            "no_pod": found.no_pod,
            "unlabelled": found.unlabelled,
            "passed_over": passed,
            "unread": { "count": found.unread, "lines": unread.collect::<Vec<_>>() },
            "broken_off": broken.collect::<Vec<_>>(),
            "denied_groups": found.denied.sorted().iter().map(|group| self.group(group)).collect::<Vec<_>>(),
            "denied_beyond": found.denied.beyond,
            "unexplained": found.unexplained.flows(),
            "unexplained_groups": found.unexplained.sorted().iter().map(|group| self.group(group)).collect::<Vec<_>>(),
            "unexplained_beyond": found.unexplained.beyond,
            "unused_rules": found.unused.iter().filter_map(rule).collect::<Vec<_>>(),
        })
    }

    fn group(&self, group: &Group) -> Value {
        let ends = group.ends.iter().map(|end| json!({ "direction": end.direction.word(), "message": self.why(end) }));
        json!({
            "sentence": group.sentence(),
            "count": group.count,
            "first_seen": group.seen.map(|(first, _)| first.to_string()),
            "last_seen": group.seen.map(|(_, last)| last.to_string()),
            "log": self.names.get(group.first.0),
            "line": group.first.1,
            "reasons": ends.collect::<Vec<_>>(),
        })
    }

    /// Returns a group's number of flows, its sentence, and where and when they were recorded.
    fn counted(&self, group: &Group) -> String {
        let when = match group.seen {
            Some((first, last)) if first == last => format!(", {first}"),
            Some((first, last)) => format!(", {first} to {last}"),
            None => String::new(),
        };
        format!("{} × {}   ({}{when})", group.count, group.sentence(), self.line(group.first))
    }

    fn line(&self, (log, line): (usize, u64)) -> String {
        format!("{}:{line}", self.names.get(log).map_or("", String::as_str))
    }

    fn why(&self, end: &End) -> String {
        match end.cause {
            Cause::Denied(rule) => format!("denied by {}", self.rule(rule)),
            Cause::NoneMatches { isolated_by, nearest, .. } => {
                let near = nearest.map(|rule| format!("; the nearest is {}", self.rule(rule))).unwrap_or_default();
                let place = (self.rules)(isolated_by).map(|Told { path, line, .. }| format!("{path}:{line}"));
                format!("no rule allows this, and {} isolates the pod{near}", place.unwrap_or_default())
            }
            _ => "allowed".to_owned(),
        }
    }

    fn rule(&self, at: RuleId) -> String {
        let Some(Told { path, line, text }) = (self.rules)(at) else { return String::new() };
        format!("{path}:{line}   {text}")
    }

    /// Returns the summary's numbers in sentences.
    pub fn numbers(&self) -> Vec<String> {
        let found = self.found;
        let denied = found.denied.flows();
        let mut all = vec![format!(
            "{} in {}: {} allowed, {denied} would be denied",
            number(found.flows(), "flow"),
            number(found.lines, "line"),
            found.allowed
        )];
        let mut tell = |count: u64, words: &str| {
            if count > 0 {
                all.push(format!("{} {words}", number(count, "flow")));
            }
        };
        tell(found.refused, "refused when recorded, and denied still");
        tell(found.opened, "refused when recorded, and allowed by the policy");
        tell(found.no_pod, "with no pod at either end, which no policy judges");
        tell(found.unexplained.flows(), "with a pod that the inventory does not have");
        tell(found.unlabelled, "with a pod whose labels nobody tells: rules about labels do not mean it");
        tell(found.denied.beyond, "denied in further sentences, for which there is no room");
        let passed = Passed::ALL.iter().filter(|why| found.passed[**why as usize] > 0);
        let passed: Vec<String> =
            passed.map(|why| format!("{} ({})", number(found.passed[*why as usize], "line"), why.words())).collect();
        if !passed.is_empty() {
            all.push(format!("passed over: {}", passed.join(", ")));
        }
        for (log, line, _) in &found.broken {
            let name = self.names.get(*log).map_or("", String::as_str);
            all.push(format!("{name} breaks off at line {line}: its rest is not judged"));
        }
        if found.unread > 0 {
            all.push(format!("{} cannot be read", number(found.unread, "line")));
        }
        all
    }
}

fn more(out: &mut String, all: usize, what: &str) {
    if all > SHOWN {
        let _ = writeln!(out, "… and {} more {what}; `--format json` has all", all - SHOWN);
    }
}

/// Returns a text as code of Markdown, also in a table.
fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}
