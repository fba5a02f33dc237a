//! `netpol doc std/kyma`: a module of the standard library, read like a man page.

use super::{Exit, Fatal, to_stdout};
use crate::compile::{self, Input};
use crate::diag::{Diagnostics, nearest};
use crate::resolve::{Lookup, ModuleId, Names, stdlib};
use crate::settings::{Platform, Settings};
use crate::source::{Sources, Span};
use crate::syntax::tree::{Expr, ExprKind, Item, ItemKind, LetValue, Template};

/// The width of prose, in columns.
const WIDTH: usize = 80;
/// The indentation of a name and its text.
const NAME: usize = 4;
const BODY: usize = 8;
/// The longest chain of names that is followed: a longer one would be a cycle, which the library does not have.
const DEEPEST: usize = 32;

/// Print the documentation of the standard library
#[derive(clap::Args)]
pub struct Args {
    /// The module, as std/kyma or std/prelude/gardener; all modules where none is given
    module: Option<String>,
}

/// Prints the page of a module, or the list of modules.
pub fn run(args: &Args) -> Result<Exit, Fatal> {
    let text = match &args.module {
        Some(module) => page(module)?,
        None => list(),
    };
    to_stdout(|out| out.write_all(text.as_bytes()))?;
    Ok(0)
}

/// Returns the name and text of every module, the preludes last.
fn modules() -> impl Iterator<Item = (String, &'static str)> {
    let library = stdlib::MODULES.iter().map(|(name, text)| (format!("std/{name}"), *text));
    let preludes =
        Platform::ALL.map(|platform| (format!("std/prelude/{}", platform.word()), stdlib::prelude(platform)));
    library.chain(preludes)
}

fn list() -> String {
    let lines = modules().map(|(name, text)| {
        let summary = match name.strip_prefix("std/prelude/") {
            Some(platform) => format!("what every file sees without a `use` on {platform}"),
            None => summary(text),
        };
        format!("{name:<24}{summary}\n")
    });
    lines.chain(["\n`netpol doc std/net` prints the page of one.\n".to_owned()]).collect()
}

/// Returns the comments at the head of a module, as paragraphs.
fn head(text: &str) -> Vec<String> {
    let comments = text.lines().map_while(|line| line.strip_prefix('#')).take_while(|line| !line.starts_with('#'));
    let text: Vec<&str> = comments.map(str::trim).collect();
    paragraphs(&text.join("\n"))
}

/// Returns the first sentence of a module, without its name.
fn summary(text: &str) -> String {
    let first = head(text).into_iter().next().unwrap_or_default();
    let first = first.split_once(": ").map_or(first.as_str(), |(_, rest)| rest);
    first.split_once(". ").map_or(first, |(sentence, _)| sentence).trim_end_matches('.').to_owned()
}

fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.split(|line| line.is_empty()).map(|lines| lines.join(" ")).filter(|text| !text.is_empty()).collect()
}

fn page(module: &str) -> Result<String, Fatal> {
    let Some((name, text)) = modules().find(|(name, _)| name == module) else {
        let known: Vec<String> = modules().map(|(name, _)| name).collect();
        let near = nearest(module, known.iter().map(String::as_str));
        let hint =
            near.map_or_else(|| "; `netpol doc` lists them".to_owned(), |near| format!("; did you mean `{near}`?"));
        return Err(Fatal::new(format!("there is no module `{module}` in the standard library{hint}")));
    };
    let mut input = Input::new(Settings::new(time::Date::MIN));
    let mut diagnostics = Diagnostics::new();
    input.policy(name.as_str(), text);
    let files = compile::parse(&input, &mut diagnostics);
    let names = compile::resolve(files, &mut input, &mut compile::no_files, &mut diagnostics).names;
    let sources = &input.sources;
    let Some((id, module)) = names.modules().next() else { return Ok(String::new()) };
    let mut page = Page { names: &names, sources, text: format!("{}\n\n", name.to_uppercase()) };
    page.prose(&head(text), NAME);
    for item in &module.file.items {
        page.item(id, item);
    }
    let offered = names.exports(id).into_iter().filter(|(_, def)| def.module != id);
    let offered: Vec<String> = offered
        .map(|(name, def)| format!("{name} (of {})", sources.file(names.module(def.module).file.id).path))
        .collect();
    if !offered.is_empty() {
        page.prose(&[format!("It also offers {}.", offered.join(", "))], NAME);
    }
    Ok(page.text)
}

struct Page<'a> {
    names: &'a Names,
    sources: &'a Sources,
    text: String,
}

impl Page<'_> {
    fn item(&mut self, module: ModuleId, item: &Item) {
        let (title, source) = match &item.kind {
            ItemKind::Let(item_let) => {
                let kind = match &item_let.value {
                    LetValue::Endpoint(value) => self.kind(module, value, 0),
                    LetValue::Host(_) => "Host",
                };
                (format!("{}: {kind}", item_let.name.text), item.span)
            }
            ItemKind::Gateway(gateway) => (format!("{}: Workloads, a gateway", gateway.name.text), item.span),
            ItemKind::Issuer(issuer) => (format!("{}, an issuer", issuer.name.text), item.span),
            ItemKind::Template(template) => (self.signature(template), item.span),
            ItemKind::Service(service) => {
                (format!("service {}/{}", service.namespace.text, service.name.text), item.span)
            }
            ItemKind::Workload(workload) => {
                (format!("workload {}/{}", workload.namespace.text, workload.name.text), item.span)
            }
            ItemKind::Namespace(namespace) => (format!("namespace {}", namespace.name.text), item.span),
            _ => return,
        };
        self.text.push_str(&format!("{:NAME$}{title}\n\n", ""));
        self.prose(&paragraphs(item.doc.as_deref().unwrap_or_default()), BODY);
        self.source(source);
    }

    fn signature(&self, template: &Template) -> String {
        let parameters =
            template.parameters.iter().map(|parameter| format!("{}: {}", parameter.name.text, parameter.kind.text));
        format!("{}({}), a template", template.name.text, parameters.collect::<Vec<_>>().join(", "))
    }

    /// Returns the kind of an endpoint; for a name, the kind of its value.
    fn kind(&self, module: ModuleId, value: &Expr, depth: usize) -> &'static str {
        match &value.kind {
            ExprKind::Pods(..) => "Workloads",
            ExprKind::Host(_) => "Host",
            ExprKind::Address(_) => "Addresses",
            ExprKind::Except(from, _) => self.kind(module, from, depth),
            ExprKind::Union(members) => {
                let mut kinds = members.iter().map(|member| self.kind(module, member, depth));
                let first = kinds.next().unwrap_or("Endpoint");
                if kinds.all(|kind| kind == first) { first } else { "Endpoint" }
            }
            ExprKind::Name(name) if depth < DEEPEST => match self.names.lookup(module, name) {
                Lookup::Found(def) => match &self.names.item(def).kind {
                    ItemKind::Let(found) => match &found.value {
                        LetValue::Endpoint(value) => self.kind(def.module, value, depth + 1),
                        LetValue::Host(_) => "Host",
                    },
                    ItemKind::Gateway(_) => "Workloads",
                    _ => "Endpoint",
                },
                _ => "Endpoint",
            },
            ExprKind::Name(_) | ExprKind::Error => "Endpoint",
        }
    }

    fn prose(&mut self, paragraphs: &[String], indent: usize) {
        for paragraph in paragraphs {
            let mut column = 0;
            for word in paragraph.split_whitespace() {
                let length = word.chars().count();
                if column == 0 || column + 1 + length > WIDTH {
                    self.text.push_str(if column == 0 { "" } else { "\n" });
                    self.text.push_str(&" ".repeat(indent));
                    column = indent;
                } else {
                    self.text.push(' ');
                    column += 1;
                }
                self.text.push_str(word);
                column += length;
            }
            self.text.push_str("\n\n");
        }
    }

    /// Writes a statement as it stands in the module.
    fn source(&mut self, span: Span) {
        for line in self.sources.slice(span).lines() {
            let line = line.trim_end();
            self.text.push_str(&if line.is_empty() { String::new() } else { format!("{:BODY$}{line}", "") });
            self.text.push('\n');
        }
        self.text.push('\n');
    }
}
