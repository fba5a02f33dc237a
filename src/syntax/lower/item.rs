//! Statements.

use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::Lower;
use super::endpoint::error_expr;
use crate::diag::{Code, Severity};
use crate::model::rules::ClaimKind;
use crate::source::Span;
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::{Keyword, is_reserved};
use crate::syntax::scan::{Comment, Statement, is_word};
use crate::syntax::tree::{
    Annotation, AnnotationKind, Apply, Arrow, Claim, DefaultDeny, Direction, Effect, Ident, Item, ItemKind, Let,
    LetValue, Scope,
};
use crate::syntax::{errors, words};

impl Lower<'_> {
    /// Lowers a statement with its documentation and its annotations.
    pub fn item(&mut self, statement: &Statement) -> Item {
        let doc = self.doc(self.scan.comments.get(statement.comments.clone()).unwrap_or_default());
        let annotations = self.annotations(statement);
        let kind = self.kind(statement);
        let end = if statement.body.is_some() || statement.keyword.is_none() { statement.end } else { self.end };
        let span = Span::new(self.file, self.base + statement.start, self.base + end);
        Item { span, doc, annotations, kind }
    }

    fn doc(&self, comments: &[Comment]) -> Option<SmolStr> {
        let mut lines = comments.iter().filter(|comment| comment.doc).map(|comment| {
            let line = self.text[comment.start..comment.end].trim_start_matches('#');
            line.strip_prefix(' ').unwrap_or(line).trim_end()
        });
        let first = lines.next()?;
        let doc = lines.fold(first.to_owned(), |doc, line| doc + "\n" + line);
        Some(doc.into())
    }

    fn annotations(&mut self, statement: &Statement) -> Vec<Annotation> {
        let mut annotations: Vec<Annotation> = Vec::with_capacity(statement.annotations.len());
        if statement.broken {
            return annotations;
        }
        let last_end = if statement.keyword.is_some() { statement.keyword_at } else { statement.end };
        let mut followed = statement.keyword.is_some();
        for (index, &start) in statement.annotations.iter().enumerate() {
            let end = statement.annotations.get(index + 1).copied().unwrap_or(last_end);
            let read = self.read(Rule::annotation, (start, end), statement.has_extras, Self::annotation);
            followed |= read.is_none() || self.end < end;
            let Some(Some(annotation)) = read else { continue };
            let same = |one: &&Annotation| match (&one.kind, &annotation.kind) {
                (AnnotationKind::Allow(one, _), AnnotationKind::Allow(other, _)) => one.text == other.text,
                (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
            };
            match annotations.iter().find(same) {
                Some(first) => {
                    let name = annotation_name(&annotation.kind);
                    self.push(errors::duplicate_annotation(annotation.span, name, first.span));
                }
                None => annotations.push(annotation),
            }
        }
        let takes_annotations =
            matches!(statement.keyword, Some(Keyword::Allow | Keyword::Deny | Keyword::Default | Keyword::Apply));
        let misplaced = |one: &Annotation| {
            let is_allow = matches!(one.kind, AnnotationKind::Allow(..));
            !followed || statement.keyword.is_some() && !takes_annotations && !is_allow
        };
        if let Some(first) = annotations.iter().find(|one| misplaced(one)) {
            let before = statement.keyword.map(|word| format!("`{}`", word.word()));
            self.push(errors::misplaced_annotation(first.span, before.as_deref()));
            annotations.clear();
        }
        annotations
    }

    fn annotation(&mut self, mut pairs: Pairs<'_, Rule>) -> Option<Annotation> {
        let span = self.at(0, pairs.get_input().trim_ascii_end().len());
        let name = pairs.next()?;
        let argument = pairs.find(|pair| matches!(pair.as_rule(), Rule::word | Rule::string))?;
        let second = pairs.find(|pair| matches!(pair.as_rule(), Rule::word | Rule::string));
        if name.as_str() == "allow" {
            let code = self.allowed_code(&argument)?;
            let Some(why) = second else {
                let diagnostic = errors::annotation_argument(self.span(&argument), "allow");
                self.push(diagnostic.at("say why, too").note(format!("write `@allow({}, \"…\")`", code.text)));
                return None;
            };
            return Some(Annotation { span, kind: AnnotationKind::Allow(code, self.string(why)) });
        }
        if let Some(second) = second.filter(|_| errors::ANNOTATIONS.contains(&name.as_str())) {
            let diagnostic = errors::annotation_argument(self.span(&second), name.as_str());
            let diagnostic = diagnostic.at("an annotation takes one argument");
            self.push(diagnostic.note(errors::annotation_example(name.as_str())));
            return None;
        }
        let is_string = argument.as_rule() == Rule::string;
        let place = self.span(&argument);
        let kind = match name.as_str() {
            "owner" => AnnotationKind::Owner(self.string(argument)),
            "reason" => AnnotationKind::Reason(self.string(argument)),
            "approximate" => AnnotationKind::Approximate(self.string(argument)),
            "expires" => match date(argument.as_str()) {
                Some(date) => AnnotationKind::Expires(date),
                None => {
                    let inner = argument.as_str().trim_matches('"');
                    let diagnostic =
                        match date(inner) {
                            Some(_) => errors::annotation_argument(place, "expires")
                                .at("a day stands without quotes")
                                .fix(format!("write `@expires({inner})`"), place, inner),
                            None if is_string => errors::annotation_argument(place, "expires")
                                .note(errors::annotation_example("expires")),
                            None => errors::not_a_date(place, inner),
                        };
                    self.push(diagnostic);
                    return None;
                }
            },
            unknown => {
                self.push(errors::unknown_annotation(self.span(&name), unknown));
                return None;
            }
        };
        Some(Annotation { span, kind })
    }

    /// Reads the code of an `@allow`, which is that of a warning or a note.
    fn allowed_code(&mut self, argument: &Pair<'_, Rule>) -> Option<Ident> {
        let (span, text) = (self.span(argument), argument.as_str());
        let wrong = match Code::parse(text) {
            Some(code) if code.severity() == Severity::Error => format!("{text} is an error, and errors stay errors"),
            Some(code) if code.as_str() == text => return Some(Ident { text: text.into(), span }),
            _ => "the code of a warning or a note stands here, such as W0521".to_owned(),
        };
        let diagnostic = errors::annotation_argument(span, "allow").at(wrong);
        self.push(match Code::parse(text.trim_matches('"')).filter(|code| code.severity() != Severity::Error) {
            Some(code) => diagnostic.fix(format!("write `{}`", code.as_str()), span, code.as_str()),
            None if text == Code::NotEnforced.as_str() => {
                diagnostic.note("the gap of a rule that no layer holds is accepted by `@approximate(\"…\")`")
            }
            None => diagnostic.note(errors::annotation_example("allow")),
        });
        None
    }

    fn kind(&mut self, statement: &Statement) -> ItemKind {
        let Some(keyword) = statement.keyword else {
            if !statement.broken && statement.annotations.is_empty() {
                self.unknown((statement.start, statement.end), statement.has_extras);
            }
            return ItemKind::Error;
        };
        if let Some(body) = &statement.body {
            return self.block(keyword, statement, body);
        }
        if statement.broken {
            self.end = statement.end;
            return self.unread(statement);
        }
        let range = (statement.keyword_at, statement.end);
        let then = |lower: &mut Self, pairs: Pairs<'_, Rule>| lower.statement(keyword, pairs);
        self.read(statement_rule(keyword), range, statement.has_extras, then).unwrap_or_else(|| self.unread(statement))
    }

    /// Returns the node of a statement that could not be read. A `let` keeps its name, so that the uses of the name are
    /// no mistakes.
    fn unread(&mut self, statement: &Statement) -> ItemKind {
        match self.name_after(Keyword::Let, (statement.keyword_at, statement.end)) {
            Some(name) => {
                let value = LetValue::Endpoint(error_expr(name.span));
                ItemKind::Let(Box::new(Let { name, value }))
            }
            None => ItemKind::Error,
        }
    }

    /// Returns the name that follows the keyword with which a stretch of the text begins.
    pub(super) fn name_after(&self, keyword: Keyword, (start, end): (usize, usize)) -> Option<Ident> {
        let name = self.text[start..end].strip_prefix(keyword.word())?.trim_ascii_start();
        let length = name.bytes().position(|byte| !is_word(byte)).unwrap_or(name.len());
        let start = end - name.len();
        let span = Span::new(self.file, self.base + start, self.base + start + length);
        let text = &name[..length];
        (words::is_name(text) && !is_reserved(text)).then(|| Ident { text: text.into(), span })
    }

    fn statement(&mut self, keyword: Keyword, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        match keyword {
            Keyword::Allow | Keyword::Deny => self.policy_rule(pairs),
            Keyword::Default => self.default_deny(pairs),
            Keyword::Assert => self.assertion(pairs),
            Keyword::Scope => {
                let pods = self.expr(pairs.next());
                let hosts = self.public_hosts(pairs.next().filter(|pair| pair.as_rule() == Rule::via_host));
                ItemKind::Scope(Box::new(Scope { pods, hosts }))
            }
            Keyword::Use => self.use_module(pairs),
            Keyword::Let => self.binding(pairs),
            Keyword::Apply => self.apply(pairs),
            _ => ItemKind::Error,
        }
    }

    fn direction(&mut self, pairs: &mut Pairs<'_, Rule>) -> Option<(Direction, Span)> {
        let pair = pairs.peek().filter(|pair| pair.as_rule() == Rule::direction)?;
        pairs.next();
        let direction = if pair.as_str().starts_with("egress") { Direction::Egress } else { Direction::Ingress };
        Some((direction, self.trimmed(&pair)))
    }

    pub(super) fn arrow(&mut self, pair: &Pair<'_, Rule>) -> (Arrow, Span) {
        let span = self.span(pair);
        match pair.as_str() {
            "->" => (Arrow::To, span),
            "<->" => (Arrow::Both, span),
            found => {
                // The dash of the arrow touches the word before it, and was replaced by a space for that reason.
                let whole = Span { start: span.start.saturating_sub(1), ..span };
                if found == ">" && self.slice(whole) == "->" {
                    return (Arrow::To, whole);
                }
                self.push(errors::wrong_arrow(span, found));
                (Arrow::To, span)
            }
        }
    }

    fn policy_rule(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let effect = if pairs.get_input().starts_with("deny") { Effect::Deny } else { Effect::Allow };
        let direction = self.direction(&mut pairs);
        let source = self.expr(pairs.next());
        let Some(arrow) = pairs.next() else { return ItemKind::Error };
        let (arrow, arrow_span) = self.arrow(&arrow);
        let destination = self.expr(pairs.next());
        let Some(clauses) = self.clauses(pairs) else { return ItemKind::Error };
        ItemKind::Rule(Box::new(crate::syntax::tree::Rule {
            effect,
            direction,
            source,
            arrow,
            arrow_span,
            destination,
            clauses,
        }))
    }

    fn default_deny(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        pairs.next();
        let direction = self.direction(&mut pairs);
        let subject = self.expr(pairs.next());
        ItemKind::DefaultDeny(Box::new(DefaultDeny { direction, subject }))
    }

    fn assertion(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let kind = match pairs.next() {
            Some(pair) if pair.as_str() == "always" => ClaimKind::Always,
            _ => ClaimKind::Never,
        };
        self.claim(kind, pairs).map_or(ItemKind::Error, |claim| ItemKind::Assert(Box::new(claim)))
    }

    pub(super) fn claim(&mut self, kind: ClaimKind, mut pairs: Pairs<'_, Rule>) -> Option<Claim> {
        let span = self.at(0, self.end - self.offset);
        let found = self.found();
        if let Some((_, span)) = self.direction(&mut pairs) {
            self.push(errors::claim_direction(span, self.slice(span)));
        }
        let source = pairs.next();
        if let Some((Arrow::Both, span)) = pairs.next().map(|arrow| self.arrow(&arrow)) {
            self.push(errors::claim_both_ways(span));
        }
        let is_claim = self.found() == found;
        let source = self.expr(source);
        let destination = self.expr(pairs.next());
        let clauses = self.clauses(pairs)?;
        is_claim.then_some(Claim { span, kind, source, destination, clauses })
    }

    fn apply(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let template = self.ident(pairs.next());
        let mut arguments = Vec::new();
        let mut open: Option<Span> = None;
        for pair in pairs {
            match pair.as_rule() {
                Rule::comma => open = None,
                Rule::argument => {
                    let argument = self.argument(pair);
                    if let Some(before) = open.replace(argument.span()) {
                        self.push(errors::missing_comma(before, argument.span()));
                    }
                    arguments.push(argument);
                }
                _ => {}
            }
        }
        ItemKind::Apply(Apply { template, arguments })
    }
}

fn statement_rule(keyword: Keyword) -> Rule {
    match keyword {
        Keyword::Allow | Keyword::Deny => Rule::policy_rule,
        Keyword::Default => Rule::default_deny,
        Keyword::Assert => Rule::assertion,
        Keyword::Scope => Rule::scope,
        Keyword::Use => Rule::use_module,
        Keyword::Let => Rule::binding,
        Keyword::Apply => Rule::apply,
        // The other keywords have a block; the grammar reports a missing one.
        Keyword::Template => Rule::template_head,
        Keyword::Test => Rule::test_head,
        Keyword::Namespace => Rule::namespace_head,
        Keyword::Service => Rule::service_head,
        Keyword::Workload => Rule::workload_head,
        Keyword::Issuer => Rule::issuer_head,
        _ => Rule::gateway_head,
    }
}

fn annotation_name(kind: &AnnotationKind) -> &'static str {
    match kind {
        AnnotationKind::Owner(_) => "owner",
        AnnotationKind::Reason(_) => "reason",
        AnnotationKind::Expires(_) => "expires",
        AnnotationKind::Approximate(_) => "approximate",
        AnnotationKind::Allow(..) => "allow",
    }
}

/// Reads `2027-01-31`.
fn date(text: &str) -> Option<time::Date> {
    let is_right = |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    if text.len() != 10 || !text.bytes().enumerate().all(is_right) {
        return None;
    }
    let month = time::Month::try_from(text[5..7].parse::<u8>().ok()?).ok()?;
    time::Date::from_calendar_date(text[..4].parse().ok()?, month, text[8..].parse().ok()?).ok()
}
