//! The table of `explain --enforcement`, as text, as Markdown and as JSON.

use serde_json::{Value, json};

use super::{Enforcement, Row, RowEnd, Together};
use crate::model::rules::{Direction, Origin};
use crate::policy::provenance::{attribute, attribution, rule_text};
use crate::settings::Layer;
use crate::source::Sources;
use crate::targets::{Remarks, Traffic};

/// The columns of a terminal that text keeps to.
const WIDTH: usize = 80;

impl Together {
    /// Returns the word for a program that reads the table.
    pub fn word(self) -> &'static str {
        match self {
            Together::Exact => "exact",
            Together::WellBehaved => "bypassable",
            Together::Open => "open",
        }
    }
}

impl Enforcement<'_> {
    /// Returns the table with aligned columns where it fits a terminal, else a paragraph for each rule.
    pub fn text(&self, sources: &Sources) -> String {
        let cells = self.cells(sources);
        let columns = cells.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        if widths.iter().map(|width| width + 2).sum::<usize>() > WIDTH + 2 {
            return paragraphs(&cells);
        }
        let mut text = String::new();
        for row in &cells {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Returns the table in Markdown.
    pub fn markdown(&self, sources: &Sources) -> String {
        let mut text = String::new();
        for (at, row) in self.cells(sources).iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| cell.replace('\\', "\\\\").replace('|', "\\|")).collect();
            text.push_str(&format!("| {} |\n", cells.join(" | ")));
            if at == 0 {
                text.push_str(&format!("|{}\n", " --- |".repeat(cells.len())));
            }
        }
        text
    }

    /// Returns the table as one JSON value.
    pub fn json(&self, sources: &Sources) -> Value {
        let rules: Vec<Value> = self.rows.iter().map(|row| row_json(row, sources)).collect();
        json!({ "layers": self.layers.iter().map(|layer| layer.word()).collect::<Vec<_>>(), "rules": rules })
    }

    fn cells(&self, sources: &Sources) -> Vec<Vec<String>> {
        let mut head = vec!["rule".to_owned()];
        head.extend(self.layers.iter().map(|layer| layer.word().to_owned()));
        head.push("together".to_owned());
        let mut cells = vec![head];
        for row in &self.rows {
            let mut line = vec![rule_cell(sources, &row.rule.origin)];
            line.extend(self.layers.iter().map(|layer| layer_cell(row, *layer)));
            line.push(match (row.together, row.rule.origin.approximate().is_some()) {
                (Together::Exact, _) => "exact".to_owned(),
                (_, true) => "approximate, as stated".to_owned(),
                (Together::WellBehaved, false) => "holds for well-behaved pods".to_owned(),
                (Together::Open, false) if row.crossed.is_some() => {
                    let beside = row.crossed.map(|crossed| sources.place(crossed.other.origin.span));
                    format!("not held beside {}", beside.unwrap_or_default())
                }
                (Together::Open, false) => format!("not held{}", super::messages::on_words(row)),
            });
            cells.push(line);
        }
        cells
    }
}

/// Returns a paragraph for each rule: the rule, then a line for each column, broken between words.
fn paragraphs(cells: &[Vec<String>]) -> String {
    let Some((head, rows)) = cells.split_first() else { return String::new() };
    let widest = head.iter().skip(1).map(|name| name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for row in rows {
        let mut columns = head.iter().zip(row);
        if let Some((_, rule)) = columns.next() {
            broken(rule, "", 4, &mut text);
        }
        for (name, cell) in columns {
            broken(cell, &format!("  {name:<widest$}  "), widest + 4, &mut text);
        }
    }
    text
}

/// Adds words after a beginning, on lines that fit a terminal; all but the first are indented.
fn broken(words: &str, first: &str, indent: usize, text: &mut String) {
    let mut line = first.to_owned();
    let mut is_bare = true;
    for word in words.split(' ') {
        let used = line.chars().count();
        if !is_bare && used + 1 + word.chars().count() > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(indent);
            is_bare = true;
        }
        if !is_bare {
            line.push(' ');
        }
        line.push_str(word);
        is_bare = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

/// Returns the span and the text of a rule, with its owner and reason if it has them.
fn rule_cell(sources: &Sources, origin: &Origin) -> String {
    let cell = format!("{}  {}", sources.place(origin.span), rule_text(sources, origin));
    attribution(origin).map_or(cell.clone(), |said| format!("{cell} ({said})"))
}

/// Returns the judgement of one layer for a rule; for both ends if they differ.
fn layer_cell(row: &Row<'_>, layer: Layer) -> String {
    let cells: Vec<(Direction, String)> = row.ends.iter().map(|end| (end.direction, end_cell(end, layer))).collect();
    match cells.as_slice() {
        [(_, one)] => one.clone(),
        [(_, one), (_, other)] if one == other => one.clone(),
        _ => {
            cells.iter().map(|(direction, cell)| format!("{}: {cell}", direction.word())).collect::<Vec<_>>().join("; ")
        }
    }
}

fn end_cell(end: &RowEnd<'_>, layer: Layer) -> String {
    let Some((_, judgement)) = end.layers.iter().find(|(of, _)| *of == layer) else {
        return "–".to_owned();
    };
    let mut cell = judgement.level.word().to_owned();
    if !judgement.reason.is_nothing() {
        cell.push_str(&format!(": {}", judgement.reason));
    }
    let Remarks { instead, passes, .. } = judgement.remarks();
    if !instead.is_empty() {
        cell.push_str(&format!("; it says instead: {}", instead.join("; ")));
    }
    if let Some(flow) = passes {
        cell.push_str(&format!("; it lets through {flow}"));
    }
    if let Some(narrower) = judgement.refused() {
        cell.push_str(&format!(" (narrower: {narrower})"));
    }
    cell
}

fn row_json(row: &Row<'_>, sources: &Sources) -> Value {
    let ends: Vec<Value> = row
        .ends
        .iter()
        .map(|end| {
            let layers: serde_json::Map<String, Value> = end
                .layers
                .iter()
                .map(|(layer, judgement)| {
                    let (level, reason) = (judgement.level, judgement.reason.to_string());
                    let narrower = judgement.refused();
                    let by = |kind| judgement.levels.of(kind).word();
                    let traffic = json!({
                        "tcp": by(Traffic::Tcp),
                        "past-sidecar": by(Traffic::PastSidecar),
                        "left-out": by(Traffic::LeftOut),
                        "udp-sctp": by(Traffic::Datagrams),
                    });
                    let value = json!({
                        "level": level.word(),
                        "traffic": traffic,
                        "reason": reason,
                        "instead": judgement.remarks().instead,
                        "passes": judgement.remarks().passes,
                        "narrower": narrower,
                    });
                    (layer.word().to_owned(), value)
                })
                .collect();
            json!({ "end": end.direction.word(), "layers": layers, "together": end.together.word() })
        })
        .collect();
    let origin = &row.rule.origin;
    let mut value = json!({
        "path": sources.file(origin.span.file).path,
        "line": sources.line(origin.span),
        "rule": rule_text(sources, origin),
        "ends": ends,
        "together": row.together.word(),
        "accepted": origin.approximate().is_some(),
    });
    attribute(&mut value, origin);
    value
}
