//! The reader of `netpol.toml`: from its text to [`Settings`] and [`Project`], with a message at the span of each
//! mistake.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diag::{Code, Diagnostic, Diagnostics, Level, Severity, nearest};
use crate::model::names::{is_dns_label, is_label_value};
use crate::model::paths::PathNormalization;
use crate::settings::{Layer, Platform, Project, Settings, Written};
use crate::source::{FileId, Sources, Span};

const TABLES: [&str; 5] = ["cluster", "networkpolicy", "istio", "enforcement", "lints"];
const TOP: [&str; 12] = [
    "name",
    "targets",
    "inventory",
    "inventory-namespace",
    "guardrails",
    "output",
    "kustomization",
    "cluster",
    "networkpolicy",
    "istio",
    "enforcement",
    "lints",
];
const CLUSTER: [&str; 8] = ["platform", "domain", "dns", "load-balancer", "resolver", "apiserver", "nodes", "pods"];
const NETWORKPOLICY: [&str; 1] = ["port-names"];
const ISTIO: [&str; 5] =
    ["root-namespace", "trust-domain", "path-normalization", "scope-gateway-to-namespace", "dns-capture"];
const ENFORCEMENT: [&str; 1] = ["require"];

/// Reads a `netpol.toml`, a text of the sources. A key with a mistake is reported, and keeps its default.
pub fn read(sources: &Sources, file: FileId, today: time::Date, diagnostics: &mut Diagnostics) -> (Settings, Project) {
    let (mut settings, mut project) = (Settings::new(today), Project::default());
    let text = &sources.file(file).text;
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, file, diagnostics };
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let message = error.message().lines().next().unwrap_or("this is not valid TOML").to_owned();
        reader.push(Diagnostic::new(Code::ConfigSyntax, reader.span(span), message));
    }
    if errors.is_empty() {
        reader.top(table.get_ref(), &mut settings, &mut project);
    }
    (settings, project)
}

type Entry<'a> = (&'a str, &'a Spanned<DeValue<'a>>);

struct Reader<'a> {
    text: &'a str,
    file: FileId,
    diagnostics: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>, settings: &mut Settings, project: &mut Project) {
        for (key, value) in table {
            let entry = (key.get_ref().as_ref(), value);
            match entry.0 {
                "name" => settings.name = self.checked(entry, "a label value of Kubernetes", is_name),
                "targets" => self.targets(entry, settings),
                "inventory" => project.inventory = self.one_or_more(entry),
                "inventory-namespace" => {
                    settings.inventory_namespace = self.checked(entry, "the name of a namespace", is_dns_label);
                }
                "guardrails" => project.guardrails = self.one_or_more(entry),
                "output" => {
                    project.output =
                        self.checked(entry, "the path of a folder", |path| !path.is_empty() && path != "-");
                }
                "kustomization" => match value.get_ref().as_bool() {
                    Some(yes) => project.kustomization = Some(yes),
                    None => self.wrong_type(entry, "`true` or `false`"),
                },
                "cluster" => self.table(entry, |reader, table| reader.cluster(table, settings)),
                "networkpolicy" => self.table(entry, |reader, table| reader.networkpolicy(table, settings)),
                "istio" => self.table(entry, |reader, table| reader.istio(table, settings)),
                "enforcement" => self.table(entry, |reader, table| reader.enforcement(table, settings)),
                "lints" => self.table(entry, |reader, table| reader.lints(table, settings)),
                _ => self.unknown(key, "", &TOP),
            }
        }
    }

    fn cluster(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        for (key, value) in table {
            let entry = (key.get_ref().as_ref(), value);
            match entry.0 {
                "platform" => {
                    self.word(entry, Platform::ALL.map(|kind| (kind.word(), kind)), &mut settings.platform);
                    settings.platform_is_said = true;
                }
                "domain" => {
                    if let Some(domain) = self.checked(entry, "a DNS name in lower case", is_dns_name) {
                        settings.domain = domain;
                    }
                }
                "dns" => self.word(entry, [("explicit", false)], &mut settings.grant_dns),
                "load-balancer" => self.word(entry, [("aws-nlb", true)], &mut settings.aws_nlb),
                "resolver" => settings.resolver = self.endpoints(entry),
                "apiserver" => settings.apiserver = self.endpoints(entry),
                "nodes" => settings.nodes = self.endpoints(entry),
                "pods" => settings.pods = self.endpoints(entry),
                _ => self.unknown(key, "cluster", &CLUSTER),
            }
        }
    }

    fn lints(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        for (key, value) in table {
            let (name, span) = (key.get_ref().as_ref(), self.span(key.span()));
            match Code::ALL.iter().find(|code| code.as_str() == name) {
                Some(code) if code.severity() == Severity::Error => {
                    let message = format!("`{name}` is an error, and errors stay errors");
                    let note = "`[lints]` is about warnings, `W…`, and notes, `N…`";
                    self.push(Diagnostic::new(Code::ConfigValue, span, message).note(note));
                }
                Some(code) => {
                    let words = [("allow", Level::Allow), ("warn", Level::Warn), ("deny", Level::Deny)];
                    let mut level = None;
                    self.word((name, value), words.map(|(word, level)| (word, Some(level))), &mut level);
                    settings.lints.extend(level.map(|level| (*code, level)));
                }
                None => {
                    let message = format!("no warning and no note has the code `{name}`");
                    let near = Code::parse(name).map(Code::as_str);
                    let diagnostic = Diagnostic::new(Code::ConfigUnknownKey, span, message);
                    self.push(match near {
                        Some(near) => diagnostic.fix(format!("write `{near}`"), span, near),
                        None => diagnostic.note("such as `W0521 = \"allow\"`"),
                    });
                }
            }
        }
    }

    fn networkpolicy(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        for (key, value) in table {
            let entry = (key.get_ref().as_ref(), value);
            match entry.0 {
                "port-names" => self.word(entry, [("numbers", true), ("names", false)], &mut settings.port_numbers),
                _ => self.unknown(key, "networkpolicy", &NETWORKPOLICY),
            }
        }
    }

    fn istio(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        for (key, value) in table {
            let entry = (key.get_ref().as_ref(), value);
            match entry.0 {
                "root-namespace" => {
                    if let Some(name) = self.checked(entry, "the name of a namespace", is_dns_label) {
                        settings.root_namespace = name;
                    }
                }
                "trust-domain" => {
                    if let Some(domain) = self.checked(entry, "a DNS name in lower case", is_dns_name) {
                        settings.trust_domain = domain;
                    }
                }
                "path-normalization" => {
                    let words = PathNormalization::ALL.map(|kind| (kind.word(), kind));
                    self.word(entry, words, &mut settings.path_normalization);
                }
                "scope-gateway-to-namespace" => match value.get_ref().as_bool() {
                    Some(yes) => settings.scope_gateway_to_namespace = yes,
                    None => self.wrong_type(entry, "`true` or `false`"),
                },
                "dns-capture" => match value.get_ref().as_bool() {
                    Some(yes) => settings.dns_capture = yes,
                    None => self.wrong_type(entry, "`true` or `false`"),
                },
                _ => self.unknown(key, "istio", &ISTIO),
            }
        }
    }

    fn enforcement(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        for (key, value) in table {
            let entry = (key.get_ref().as_ref(), value);
            match entry.0 {
                "require" => self.word(entry, [("exact", true)], &mut settings.require_exact),
                _ => self.unknown(key, "enforcement", &ENFORCEMENT),
            }
        }
    }

    fn targets(&mut self, entry: Entry<'_>, settings: &mut Settings) {
        let Some(list) = self.strings(entry) else { return };
        let mut targets = Vec::new();
        for word in &list {
            match Layer::ALL.into_iter().find(|layer| layer.word() == word.text) {
                Some(layer) if targets.contains(&layer) => {
                    let message = format!("`{}` stands in `targets` twice", word.text);
                    self.push(Diagnostic::new(Code::ConfigValue, word.span, message));
                }
                Some(layer) => targets.push(layer),
                None => {
                    self.not_among(word, format!("there is no target `{}`", word.text), &Layer::ALL.map(Layer::word))
                }
            }
        }
        if list.is_empty() {
            let span = self.span(entry.1.span());
            let message = "`targets` names no target, so there would be nothing to build";
            let note = "leave the key out for both: `targets = [\"networkpolicy\", \"istio\"]`";
            self.push(Diagnostic::new(Code::ConfigValue, span, message).note(note));
        }
        if !targets.is_empty() {
            settings.targets = targets;
            settings.targets_are_said = true;
        }
    }

    fn table(&mut self, entry: Entry<'_>, read: impl FnOnce(&mut Self, &DeTable<'_>)) {
        match entry.1.get_ref().as_table() {
            Some(table) => read(self, table),
            None => self.wrong_type(entry, &format!("a table, `[{}]`", entry.0)),
        }
    }

    /// Reads a string that must be one of some words, and sets the word's value.
    fn word<T: Copy, const N: usize>(&mut self, entry: Entry<'_>, words: [(&str, T); N], to: &mut T) {
        let Some(word) = self.string(entry) else { return };
        match words.iter().find(|(text, _)| *text == word.text) {
            Some((_, meaning)) => *to = *meaning,
            None => {
                self.not_among(&word, format!("`{}` cannot be `{}`", entry.0, word.text), &words.map(|(text, _)| text))
            }
        }
    }

    /// Reads a string of a certain form.
    fn checked(&mut self, entry: Entry<'_>, form: &str, has_form: fn(&str) -> bool) -> Option<String> {
        let word = self.string(entry)?;
        if has_form(&word.text) {
            return Some(word.text);
        }
        let message = format!("`{}` must be {form}, and `{}` is none", entry.0, word.text);
        self.push(Diagnostic::new(Code::ConfigValue, word.span, message));
        None
    }

    /// Reads a list of endpoints.
    fn endpoints(&mut self, entry: Entry<'_>) -> Vec<Written> {
        self.strings(entry).unwrap_or_default()
    }

    /// Reads a path or a list of paths.
    fn one_or_more(&mut self, entry: Entry<'_>) -> Vec<String> {
        let paths = match entry.1.get_ref().as_str() {
            Some(_) => self.string(entry).into_iter().collect(),
            None => self.strings(entry).unwrap_or_default(),
        };
        for path in paths.iter().filter(|path| path.text.is_empty() || path.text == "-") {
            let message = format!("`{}` takes the path of a file or folder, not `{}`", entry.0, path.text);
            self.push(Diagnostic::new(Code::ConfigValue, path.span, message));
        }
        paths.into_iter().map(|path| path.text).filter(|path| !path.is_empty() && path != "-").collect()
    }

    fn string(&mut self, entry: Entry<'_>) -> Option<Written> {
        let written = entry.1.get_ref().as_str().map(|text| self.written(text, entry.1.span()));
        if written.is_none() {
            self.wrong_type(entry, "a string");
        }
        written
    }

    fn strings(&mut self, entry: Entry<'_>) -> Option<Vec<Written>> {
        let Some(list) = entry.1.get_ref().as_array() else {
            self.wrong_type(entry, "a list of strings");
            return None;
        };
        let mut written = Vec::new();
        for item in list {
            match item.get_ref().as_str() {
                Some(text) => written.push(self.written(text, item.span())),
                None => self.wrong_type((entry.0, item), "a list of strings"),
            }
        }
        Some(written)
    }

    /// Returns a string with the span of its contents.
    fn written(&self, text: &str, span: Range<usize>) -> Written {
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") { 3 } else { 1 };
        let inner = span.start + quotes..span.end.saturating_sub(quotes).max(span.start + quotes);
        Written { text: text.to_owned(), span: self.span(inner) }
    }

    fn unknown(&mut self, key: &Spanned<std::borrow::Cow<'_, str>>, table: &str, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let span = self.span(key.span());
        let place = if table.is_empty() { "`netpol.toml`".to_owned() } else { format!("`[{table}]`") };
        let mut diagnostic = Diagnostic::new(Code::ConfigUnknownKey, span, format!("{place} has no key `{name}`"));
        let elsewhere = TABLES.into_iter().zip([&CLUSTER[..], &NETWORKPOLICY, &ISTIO, &ENFORCEMENT]);
        let elsewhere = elsewhere.filter(|(other, _)| *other != table).find(|(_, keys)| keys.contains(&name));
        if let Some((other, _)) = elsewhere {
            diagnostic = diagnostic.note(format!("it belongs in `[{other}]`"));
        } else if !table.is_empty() && TOP.contains(&name) {
            diagnostic = diagnostic.note(format!("`{name}` stands at the top of the file, before the first `[table]`"));
        } else if let Some(near) = nearest(name, known.iter().copied()) {
            diagnostic = diagnostic.note(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), span, near);
        } else {
            diagnostic = diagnostic.note(format!("its keys are {}", listed(known)));
        }
        self.push(diagnostic);
    }

    fn not_among(&mut self, word: &Written, message: String, known: &[&str]) {
        let mut diagnostic = Diagnostic::new(Code::ConfigValue, word.span, message);
        diagnostic = match nearest(&word.text, known.iter().copied()) {
            Some(near) => {
                diagnostic.note(format!("did you mean `{near}`?")).fix(format!("write `{near}`"), word.span, near)
            }
            None => diagnostic.note(format!("it can be {}", listed(known))),
        };
        self.push(diagnostic);
    }

    fn wrong_type(&mut self, entry: Entry<'_>, wanted: &str) {
        let (key, value) = entry;
        let found = match value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "`true` or `false`",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let span = self.span(value.span());
        let mut diagnostic = Diagnostic::new(Code::ConfigType, span, format!("`{key}` takes {wanted}, not {found}"));
        if let (DeValue::String(_), "a list of strings") = (value.get_ref(), wanted) {
            let list = format!("[{}]", self.text.get(value.span()).unwrap_or_default());
            diagnostic = diagnostic.note(format!("write `{list}`")).fix(format!("write `{list}`"), span, list);
        }
        self.push(diagnostic);
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range.start, range.end)
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Returns whether a text is a label value and not empty: an empty `name` would be none.
fn is_name(text: &str) -> bool {
    !text.is_empty() && is_label_value(text)
}

fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}
