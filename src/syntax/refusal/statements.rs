//! Refusals at the bones of statements: heads, names, arrows, annotations.

use super::Refusal;
use super::tokens::{Kind, Token};
use crate::diag::{Code, Diagnostic, Edit, nearest};
use crate::source::Span;
use crate::syntax::grammar::Rule;
use crate::syntax::{errors, words};

impl Refusal<'_> {
    pub(super) fn in_statements(&self) -> Option<Diagnostic> {
        self.foreign_sign()
            .or_else(|| self.annotation_argument())
            .or_else(|| self.claim_kind())
            .or_else(|| self.service_without_namespace())
            .or_else(|| self.misspelled_direction())
            .or_else(|| self.wrong_arrow())
            .or_else(|| self.wrong_equals())
            .or_else(|| self.unquoted())
            .or_else(|| self.another_field())
            .or_else(|| self.leading_dash())
            .or_else(|| self.missing_arrow())
    }

    /// Signs that belong to other languages.
    fn foreign_sign(&self) -> Option<Diagnostic> {
        let found = self.found()?;
        let span = self.token_span(found);
        match found.text {
            ";" if self.open_bracket().is_some() => {
                let diagnostic = errors::expected(span, "no `;`", None).note("elements of a list are joined by `,`");
                Some(diagnostic.fix("write `,`", span, ","))
            }
            ";" => Some(errors::expected(span, "no `;`", None).note("statements end where the next begins").fix(
                "remove it",
                span,
                "",
            )),
            "'" | "`" => {
                let quote = found.text.chars().next()?;
                let inner = &self.text[found.end..];
                let line = inner.split(['\n', quote]).next().unwrap_or_default();
                let is_closed = inner[line.len()..].starts_with(quote);
                let whole = self.span(found.start, found.end + line.len() + usize::from(is_closed));
                // A module of the standard library stands without quotes.
                let meant = if line.starts_with("std/") { line.to_owned() } else { format!("\"{line}\"") };
                Some(
                    Diagnostic::new(
                        Code::NeedsQuotes,
                        whole,
                        format!("strings stand in double quotes, not in {quote}"),
                    )
                    .fix(format!("write `{meant}`"), whole, meant),
                )
            }
            "!" if self.after(1).is_some_and(|next| next.begins_endpoint()) => {
                let first = self.index + 1;
                let last = self.run_end(first);
                let all = self.span(found.start, self.tokens[last].end);
                let text = &self.text[self.tokens[first].start..self.tokens[last].end];
                // Pods after `!` are left out of all pods; for anything else only the author knows what it is left out
                // of.
                let diagnostic = errors::expected(span, "no `!`", None).at("`except` says what is left out");
                Some(match text.contains('/') && !text.contains('.') {
                    true => {
                        let whole = format!("*/* except {text}");
                        diagnostic.fix(format!("write `{whole}`"), all, whole)
                    }
                    false => diagnostic.note("as in `*/* except garden/*`"),
                })
            }
            _ => None,
        }
    }

    fn annotation_argument(&self) -> Option<Diagnostic> {
        if self.by != Rule::annotation {
            return None;
        }
        // If the parentheses contain too much, the grammar tried only the whole.
        let name = self.tokens.get(1).filter(|token| token.kind == Kind::Word && self.index != 1)?;
        if self.index == 0 {
            let second = self.tokens.iter().filter(|token| token.is(",")).nth(1)?;
            let diagnostic = errors::annotation_argument(self.token_span(*second), name.text);
            let diagnostic = match name.text {
                "allow" => diagnostic.at("it takes one code, and a reason"),
                _ => diagnostic.at("an annotation takes one argument"),
            };
            return Some(diagnostic.note(errors::annotation_example(name.text)));
        }
        if !errors::ANNOTATIONS.contains(&name.text) {
            return Some(errors::unknown_annotation(self.token_span(*name), name.text));
        }
        let diagnostic = errors::annotation_argument(self.place(), name.text);
        let example = |diagnostic: Diagnostic| diagnostic.note(errors::annotation_example(name.text));
        Some(match self.found() {
            Some(found) if self.tried(&[Rule::open_paren]) && found.kind != Kind::Symbol => {
                let gap = self.span(name.end, found.start);
                let close = self.span(found.end, found.end);
                let diagnostic = diagnostic.at("the argument stands in parentheses");
                if name.text == "allow" {
                    return Some(example(diagnostic));
                }
                // A date and a string are written as they are; anything else here is a string without its quotes.
                let quote = if name.text == "expires" || found.kind == Kind::String { "" } else { "\"" };
                diagnostic.fix_all(
                    format!("write `@{}({quote}{}{quote})`", name.text, found.text),
                    vec![
                        Edit { span: gap, text: format!("({quote}") },
                        Edit { span: close, text: format!("{quote})") },
                    ],
                )
            }
            _ if self.tried(&[Rule::open_paren]) => example(diagnostic.at("the argument stands in parentheses")),
            Some(found) if found.is(")") => example(diagnostic.at("the argument is missing")),
            Some(found) if found.is(",") => example(diagnostic.at("an annotation takes one argument")),
            _ => example(diagnostic),
        })
    }

    fn claim_kind(&self) -> Option<Diagnostic> {
        let missing = self.by == Rule::assertion && self.tried(&[Rule::claim_kind]);
        missing.then(|| errors::claim_kind(self.place(), self.found().map_or("", |found| found.text)))
    }

    fn service_without_namespace(&self) -> Option<Diagnostic> {
        let named = [Rule::service_head, Rule::service_field, Rule::workload_head];
        let missing = named.contains(&self.by) && self.tried(&[Rule::slash]);
        let name = self.before(1).filter(|_| missing && self.found().is_none_or(|found| !found.is("/")))?;
        let what = if self.by == Rule::workload_head { "workload" } else { "Service" };
        Some(errors::no_namespace(self.token_span(name), what, name.text))
    }

    /// `allow egres S -> D`: the grammar read a misspelled direction as the source.
    fn misspelled_direction(&self) -> Option<Diagnostic> {
        let word = self.before(1).filter(|word| word.kind == Kind::Word)?;
        let index = if self.by == Rule::default_deny { 3 } else { 2 };
        if !matches!(self.by, Rule::policy_rule | Rule::default_deny) || self.index != index {
            return None;
        }
        if !self.found()?.begins_endpoint() {
            return None;
        }
        let span = self.token_span(word);
        let meant = match word.text {
            "out" | "outgoing" | "outbound" | "Egress" | "EGRESS" => Some("egress"),
            "in" | "incoming" | "inbound" | "Ingress" | "INGRESS" => Some("ingress"),
            _ => nearest(word.text, ["egress", "ingress"]),
        };
        let meant = meant?;
        let diagnostic = errors::expected(span, "`egress`, `ingress` or an endpoint", self.before(2).map(|it| it.text));
        Some(diagnostic.fix(format!("write `{meant}`"), span, meant))
    }

    fn wrong_arrow(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|_| self.tried(&[Rule::arrow]))?;
        let is_arrow = match found.kind {
            Kind::Symbol => found.text.contains(['<', '>', '=', '-', '~']),
            Kind::Word => matches!(found.text, "to" | "-" | "--" | "---"),
            Kind::String => false,
        };
        if !is_arrow {
            return None;
        }
        // A dash and an arrow that touch were taken apart: of `<-->` came `<-` and `>`.
        let (whole, text) = match self.after(1) {
            Some(next) if found.text.ends_with('-') && next.is(">") => {
                (self.span(found.start, next.end), format!("{}->", found.text))
            }
            _ => (self.token_span(found), found.text.to_owned()),
        };
        if text == "=" {
            return Some(self.equals_for_arrow(found));
        }
        let diagnostic = errors::wrong_arrow(whole, &text);
        let end = (whole.end - self.origin.start) as usize;
        if self.has_other_arrow(found.start, end) {
            return Some(Diagnostic { fixes: Vec::new(), ..diagnostic }.note("another arrow stands in this statement"));
        }
        let is_backward = text.starts_with('<') && diagnostic.fixes.is_empty();
        Some(match self.turned_flow().filter(|_| is_backward) {
            Some((span, flow)) => diagnostic.fix(format!("write `{flow}`"), span, flow),
            None => diagnostic,
        })
    }

    /// Returns whether the statement has an arrow outside a range of its text.
    fn has_other_arrow(&self, start: usize, end: usize) -> bool {
        let outside = self.tokens.iter().filter(|token| token.end <= start || token.start >= end);
        outside.filter(|token| token.kind == Kind::Symbol).any(|token| token.text.ends_with('>'))
    }

    /// `garden/app=web` is a label without its braces; `garden/* = shop/*` may be a flow.
    fn equals_for_arrow(&self, found: Token<'_>) -> Diagnostic {
        let span = self.token_span(found);
        let flow = |diagnostic: Diagnostic| match self.has_other_arrow(found.start, found.end) {
            true => diagnostic,
            false => diagnostic.fix("write `->`", span, "->"),
        };
        let word = |token: &Token<'_>| token.kind == Kind::Word;
        let (Some(key), Some(value)) = (self.before(1).filter(word), self.after(1).filter(word)) else {
            return flow(errors::expected(span, "`->`", self.before(1).map(|it| it.text)));
        };
        let slash = self.before(2).filter(|slash| slash.is("/") && slash.end == key.start);
        let whole = self.span(key.start, value.end);
        let label = format!("{{{}={}}}", key.text, value.text);
        let is_endpoint = self.after(2).is_some_and(|next| next.is("/") && next.start == value.end);
        let diagnostic = Diagnostic::new(Code::Expected, whole, "a label stands in braces behind its namespace");
        match slash {
            Some(_) if !is_endpoint => {
                let namespace = self.before(3).map_or("", |namespace| namespace.text);
                let title = format!("write `{namespace}/{label}`");
                diagnostic.at(format!("expected `{label}`")).fix(title, whole, label)
            }
            None if !is_endpoint => diagnostic.note(format!("as in `garden/{label}`")),
            _ => flow(errors::expected(span, "`->`", Some(key.text))),
        }
    }

    /// Returns the flow around a `<-`, written with `->`, with its span. Ports after it would come to the source, which
    /// takes none.
    fn turned_flow(&self) -> Option<(Span, String)> {
        let end = self.clauses_from();
        let start = match self.by {
            Rule::policy_rule => self.head_end(),
            Rule::assertion => 2,
            _ => return None,
        };
        let (left, right) = (self.words(start, self.index)?, self.words(self.index + 1, end)?);
        if self.tokens[self.index + 1..end].iter().any(|token| token.is(":")) {
            return None;
        }
        let span = self.span(self.tokens[start].start, self.tokens[end - 1].end);
        Some((span, format!("{right} -> {left}")))
    }

    fn wrong_equals(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|_| self.by == Rule::binding && self.tried(&[Rule::equals]))?;
        let previous = self.before(1)?;
        let is_equals = matches!(found.text, ":" | "==" | "=>" | "->" | "as" | "is" | "be" | "<-");
        let span = match self.after(1) {
            Some(next) if found.is(":") && next.is("=") => self.span(found.start, next.end),
            _ => self.token_span(found),
        };
        is_equals.then(|| errors::expected(span, "`=`", Some(previous.text)).fix("write `=`", span, "="))
    }

    /// A word that begins no field, behind a field that is whole.
    fn another_field(&self) -> Option<Diagnostic> {
        let block = self.block.filter(|block| !block.fields().is_empty())?;
        let found = self.found().filter(|found| found.kind == Kind::Word && self.tried(&[Rule::EOI]))?;
        let is_whole = self.open_bracket().is_none() && self.before(1).is_some_and(|before| before.end < found.start);
        is_whole.then(|| errors::unknown_field(self.token_span(found), found.text, block))
    }

    /// `-web`: no word begins so.
    fn leading_dash(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| found.kind == Kind::Word && found.text.starts_with('-'))?;
        let previous = self.before(1)?;
        let next = self.after(1).filter(|next| next.start == found.end).map_or("", |next| next.text);
        let in_labels = self.open_bracket().is_some_and(|open| {
            let touches = |at: usize| self.text.as_bytes().get(at) == Some(&b'/');
            touches(open.start.wrapping_sub(1)) || open.is("(") || self.has_test()
        });
        let span = self.token_span(found);
        let kubernetes = |kind| Some(errors::not_kubernetes(span, found.text, kind));
        match previous.text {
            "=" | "!=" => kubernetes(words::Kind::LabelValue),
            "(" if self.before(2).is_some_and(|word| matches!(word.text, "in" | "notin")) => {
                kubernetes(words::Kind::LabelValue)
            }
            "/" => kubernetes(words::Kind::Workload),
            "@" => kubernetes(words::Kind::Account),
            _ if in_labels => kubernetes(words::Kind::LabelKey),
            _ if next == "/" => kubernetes(words::Kind::Namespace),
            _ if found.text.contains('.') => {
                Some(errors::not_a_host(span, found.text, "has a part that begins or ends with `-`"))
            }
            _ if found.text.len() > 1 => Some(errors::not_a_name(span, found.text)),
            _ => None,
        }
    }

    /// Returns whether labels are tested in the brackets that are open.
    fn has_test(&self) -> bool {
        let open = self.open_bracket().map_or(0, |open| open.start);
        let inside = self.tokens.iter().filter(|token| token.start > open);
        inside.take_while(|token| !token.is("}")).any(|token| matches!(token.text, "=" | "!=" | "!"))
    }

    /// Two endpoints side by side.
    fn missing_arrow(&self) -> Option<Diagnostic> {
        let found = self
            .found()
            .filter(|found| self.tried(&[Rule::arrow]) && self.by != Rule::port_field && found.begins_endpoint())?;
        let previous =
            self.before(1).filter(|previous| previous.end < found.start && !matches!(found.text, "where" | "via"))?;
        // Where an arrow follows, one of the words before it is too much.
        if self.tokens[self.index..].iter().any(|token| matches!(token.text, "->" | "<->")) {
            return None;
        }
        let diagnostic = errors::expected(self.token_span(found), "`->`", Some(self.run_text(previous.end)));
        Some(diagnostic.fix("write `->` between them", self.span(found.start, found.start), "-> "))
    }

    /// A text that goes on to the next space where a string must stand.
    fn unquoted(&self) -> Option<Diagnostic> {
        let found = self.found()?;
        let takes_strings = self.tried(&[Rule::string, Rule::texts])
            && match self.by {
                Rule::url_field
                | Rule::jwks_field
                | Rule::keys_field
                | Rule::audiences_field
                | Rule::from_field
                | Rule::test_head => true,
                _ => ["path", "host", "subject", "at"].iter().any(|word| self.is_before(word)) || self.is_before("="),
            };
        let is_text = found.kind == Kind::Word || matches!(found.text, "/" | "." | "*");
        if !takes_strings || !is_text || self.by == Rule::binding {
            return None;
        }
        let rest = &self.text[found.start..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}' | '(' | ')' | '"'))
            .unwrap_or(rest.len());
        let text = &rest[..end.max(1)];
        Some(errors::needs_quotes(self.span(found.start, found.start + text.len()), text))
    }
}
