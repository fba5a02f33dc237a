//! Code actions (fixes), and the commands that a client asks the server to execute.

use lsp_types::{CodeAction, CodeActionKind, CodeActionParams, Position, Uri};
use serde_json::{Value, json};

use super::client::{Abilities, Failure};
use super::diagnostics::Maker;
use super::features::{Answer, View, json};
use super::workspace::{Place, Workspace};

/// Shows the objects of the rule at a position: `[uri, position]`.
pub const YAML: &str = "netpol.showYaml";
/// Decides on a flow: `[uri, from, to]`.
pub const EVALUATE: &str = "netpol.evaluate";
/// Shows how well each layer enforces the rule at a position, or all rules of a file: `[uri, position?]`.
pub const EXPLAIN: &str = "netpol.explain";
/// Shows the tests and assertions that concern the rule at a position: `[uri, position]`.
pub const TESTS: &str = "netpol.showTests";
/// Shows the flows that a file opens and closes beside its version in git: `[uri]`.
pub const CHANGES: &str = "netpol.showChanges";
/// The commands.
pub const COMMANDS: [&str; 5] = [YAML, EVALUATE, EXPLAIN, TESTS, CHANGES];

/// Returns the fixes of the findings that a range touches, and all certain fixes of the file as one.
pub fn of(view: &View<'_>, client: &Abilities, params: &CodeActionParams) -> Answer {
    let (start, end) = view.lines.bytes(params.range);
    let (opened, file) = (&view.place.opened, view.place.file);
    let wanted = |kind: &str| {
        let inside = |only: &CodeActionKind| {
            let only = String::from(only.clone());
            kind == only || kind.strip_prefix(&only).is_some_and(|rest| only.is_empty() || rest.starts_with('.'))
        };
        params.context.only.as_ref().is_none_or(|only| only.iter().any(inside))
    };
    let maker = Maker { workspace: view.workspace, opened, client };
    let mut actions: Vec<CodeAction> = Vec::new();
    if wanted("quickfix") {
        let fixes = opened.analysis.fixes(file, start, end).into_iter();
        actions.extend(fixes.map(|(finding, fix)| CodeAction {
            title: fix.title.clone(),
            kind: Some(CodeActionKind::QuickFix),
            diagnostics: Some(vec![maker.diagnostic(finding, &view.lines)]),
            is_preferred: Some(finding.fixes.len() == 1),
            edit: Some(view.workspace_edit(&fix.edits)),
            ..CodeAction::default()
        }));
    }
    let certain = opened.analysis.certain_edits(file);
    if wanted("source.fixAll") && !certain.is_empty() {
        actions.push(CodeAction {
            title: "apply all fixes that are certain".to_owned(),
            kind: Some(CodeActionKind::SourceFixAll),
            edit: Some(view.workspace_edit(&certain)),
            ..CodeAction::default()
        });
    }
    json(actions)
}

/// Executes a command. The answer has the text to show, and its language.
pub fn execute(workspace: &mut Workspace, command: &str, arguments: &[Value]) -> Answer {
    let text = |at: usize| arguments.get(at).and_then(Value::as_str);
    let uri = text(0).ok_or_else(|| Failure::new("the first argument is the address of a document"))?;
    let place = workspace.place(&Uri(uri.to_owned())).ok_or_else(|| Failure::new("the document is not open"))?;
    let analysis = &place.opened.analysis;
    let position = arguments.get(1).and_then(|value| serde_json::from_value::<Position>(value.clone()).ok());
    let view = View::new(workspace, &place);
    let offset = position.map(|position| view.lines.offset(position));
    let (text, language) = match command {
        YAML => {
            let offset = offset.ok_or_else(|| Failure::new("the second argument is a position"))?;
            (analysis.yaml(place.file, offset).map_err(Failure::new)?, "yaml")
        }
        EXPLAIN => (analysis.explain(place.file, offset).map_err(Failure::new)?, "markdown"),
        TESTS => {
            let offset = offset.ok_or_else(|| Failure::new("the second argument is a position"))?;
            (analysis.tests_of(place.file, offset).map_err(Failure::new)?, "netpol")
        }
        CHANGES => (changes(workspace, &place)?, "text"),
        EVALUATE => {
            let (Some(from), Some(to)) = (text(1), text(2)) else {
                return Err(Failure::new("the arguments are a document, a source and a destination"));
            };
            let (policy, answers) = analysis.evaluate(from, to).map_err(Failure::new)?;
            (workspace.disk.verdict(policy, analysis.sources(), &answers), "text")
        }
        other => return Err(Failure::new(format!("there is no command `{other}`"))),
    };
    json(json!({ "text": text, "language": language }))
}

/// Returns the flows that a file opens and closes, each with the verdict of the policy as it is now.
fn changes(workspace: &Workspace, place: &Place) -> Result<String, Failure> {
    let analysis = &place.opened.analysis;
    let changes = analysis.changes(place.file).ok_or_else(|| {
        Failure::new(
            "the file is as it is in git, or not in git, or it was not compared yet: only a policy without errors is",
        )
    })?;
    let changes = changes.map_err(Failure::new)?;
    let mut text = String::new();
    for (flows, verb) in [(&changes.opened, "opens"), (&changes.closed, "closes")] {
        let which = match flows.len() {
            0 => "nothing".to_owned(),
            1 => "this flow, among others like it".to_owned(),
            _ => "these flows, one for each pair of namespaces".to_owned(),
        };
        text.push_str(&format!(
            "since the last commit {} {verb} {which}\n\n",
            analysis.sources().file(place.file).path
        ));
        for flow in flows {
            let verdict = analysis.verdict(flow);
            text.extend(verdict.map(|(policy, answers)| workspace.disk.verdict(policy, analysis.sources(), &answers)));
            text.push('\n');
        }
    }
    Ok(text)
}
