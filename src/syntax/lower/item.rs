//! Statements.

use pest::iterators::{Pair, Pairs};
use smol_str::SmolStr;

use super::{Lower, parse};
use crate::diag::Code;
use crate::source::Span;
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::Keyword;
use crate::syntax::scan::{Comment, Statement};
use crate::syntax::tree::{
    Annotation, AnnotationKind, Apply, Arrow, Claim, ClaimKind, DefaultDeny, Direction, Effect, Item, ItemKind,
    Parameter, Template, Test,
};

impl Lower<'_> {
    /// Lowers a statement with what stands before it.
    pub fn item(&mut self, statement: &Statement, comments: &[Comment]) -> Item {
        let span = Span::new(self.file, self.base + statement.start, self.base + statement.end);
        let doc = self.doc(comments.get(statement.comments.clone()).unwrap_or_default());
        let annotations = self.annotations(statement);
        let kind = self.kind(statement, comments);
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
        let mut annotations = Vec::with_capacity(statement.annotations.len());
        for (index, &start) in statement.annotations.iter().enumerate() {
            let next = statement.annotations.get(index + 1).copied();
            let end = next.unwrap_or(if statement.keyword.is_some() { statement.keyword_at } else { statement.end });
            if statement.broken {
                continue;
            }
            let text = self.enter(start, end, statement.has_extras);
            match parse(Rule::annotation, text.trim_ascii_end()) {
                Ok(pairs) => annotations.extend(self.annotation(pairs)),
                Err(error) => self.refuse(&error),
            }
        }
        annotations
    }

    fn annotation(&mut self, mut pairs: Pairs<'_, Rule>) -> Option<Annotation> {
        let name = pairs.next()?;
        let argument = pairs.find(|pair| matches!(pair.as_rule(), Rule::word | Rule::string))?;
        let span = self.at(0, pairs.get_input().len());
        let kind = match name.as_str() {
            "owner" => AnnotationKind::Owner(self.text(argument)),
            "reason" => AnnotationKind::Reason(self.text(argument)),
            "approximate" => AnnotationKind::Approximate(self.text(argument)),
            "expires" => match date(argument.as_str()) {
                Some(date) => AnnotationKind::Expires(date),
                None => {
                    self.error(Code::Expected, self.span(&argument), "not a date");
                    return None;
                }
            },
            _ => {
                self.error(Code::Expected, self.span(&name), "unknown annotation");
                return None;
            }
        };
        Some(Annotation { span, kind })
    }

    fn kind(&mut self, statement: &Statement, comments: &[Comment]) -> ItemKind {
        let Some(keyword) = statement.keyword else {
            if !statement.broken {
                let span = Span::new(self.file, self.base + statement.start, self.base + statement.end);
                self.error(Code::Expected, span, "no statement begins so");
            }
            return ItemKind::Error;
        };
        let head = match &statement.body {
            Some(body) => statement.keyword_at..body.open + 1,
            None => statement.keyword_at..statement.end,
        };
        let rule = match keyword {
            Keyword::Allow | Keyword::Deny => Rule::policy_rule,
            Keyword::Default => Rule::default_deny,
            Keyword::Assert => Rule::assertion,
            Keyword::Scope => Rule::scope,
            Keyword::Use => Rule::use_module,
            Keyword::Let => Rule::binding,
            Keyword::Apply => Rule::apply,
            Keyword::Template => Rule::template_head,
            Keyword::Test => Rule::test_head,
            Keyword::Namespace => Rule::namespace_head,
            Keyword::Service => Rule::service_head,
            Keyword::Issuer => Rule::issuer_head,
            _ => Rule::gateway_head,
        };
        let pieces = statement.body.as_ref().map_or(&[][..], |body| &body.pieces);
        if statement.broken {
            return ItemKind::Error;
        }
        let text = self.enter(head.start, head.end, statement.has_extras);
        let pairs = match parse(rule, &text) {
            Ok(pairs) => pairs,
            Err(error) => {
                self.refuse(&error);
                return ItemKind::Error;
            }
        };
        match keyword {
            Keyword::Allow | Keyword::Deny => self.rule(pairs),
            Keyword::Default => self.default_deny(pairs),
            Keyword::Assert => self.assertion(pairs),
            Keyword::Scope => {
                let mut pairs = pairs;
                ItemKind::Scope(self.expr(pairs.next()))
            }
            Keyword::Use => self.use_module(pairs),
            Keyword::Let => self.binding(pairs),
            Keyword::Apply => self.apply(pairs),
            Keyword::Template => self.template(pairs, pieces, comments),
            Keyword::Test => self.test(pairs, pieces),
            Keyword::Namespace => self.namespace(pairs, pieces),
            Keyword::Service => self.service(pairs, pieces),
            Keyword::Issuer => self.issuer(pairs, pieces),
            _ => self.gateway(pairs, pieces),
        }
    }

    /// Says what a text is that the grammar refused.
    pub(super) fn refuse(&mut self, error: &pest::error::Error<Rule>) {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) => at,
            pest::error::InputLocation::Span((start, _)) => start,
        };
        self.error(Code::Expected, self.at(at, at + 1), "something else was expected here");
    }

    fn direction(&mut self, pairs: &mut Pairs<'_, Rule>) -> Option<(Direction, Span)> {
        let pair = pairs.peek().filter(|pair| pair.as_rule() == Rule::direction)?;
        pairs.next();
        let direction = if pair.as_str().starts_with("egress") { Direction::Egress } else { Direction::Ingress };
        Some((direction, self.trimmed(&pair)))
    }

    fn arrow(&mut self, pair: &Pair<'_, Rule>) -> (Arrow, Span) {
        let span = self.span(pair);
        match pair.as_str() {
            "<->" => (Arrow::Both, span),
            ">" => {
                let dash = (span.start as usize - self.base).checked_sub(1);
                if dash.and_then(|dash| self.text.as_bytes().get(dash)) != Some(&b'-') {
                    self.error(Code::Expected, span, "write `->`");
                }
                (Arrow::To, Span { start: span.start.saturating_sub(1), ..span })
            }
            _ => (Arrow::To, span),
        }
    }

    fn rule(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let effect = if pairs.get_input().starts_with("deny") { Effect::Deny } else { Effect::Allow };
        let direction = self.direction(&mut pairs);
        let source = self.expr(pairs.next());
        let Some(arrow) = pairs.next() else { return ItemKind::Error };
        let (arrow, arrow_span) = self.arrow(&arrow);
        let destination = self.expr(pairs.next());
        let clauses = self.clauses(pairs);
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
        ItemKind::DefaultDeny(DefaultDeny { direction, subject })
    }

    fn assertion(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let span = self.at(0, pairs.get_input().len());
        let kind = match pairs.next() {
            Some(pair) if pair.as_str() == "always" => ClaimKind::Always,
            _ => ClaimKind::Never,
        };
        ItemKind::Assert(self.claim(kind, span, pairs))
    }

    fn claim(&mut self, kind: ClaimKind, span: Span, mut pairs: Pairs<'_, Rule>) -> Claim {
        if let Some((_, span)) = self.direction(&mut pairs) {
            self.error(Code::Expected, span, "a claim has no direction");
        }
        let source = self.expr(pairs.next());
        if let Some((Arrow::Both, span)) = pairs.next().map(|arrow| self.arrow(&arrow)) {
            self.error(Code::Expected, span, "a claim has no `<->`");
        }
        let destination = self.expr(pairs.next());
        let clauses = self.clauses(pairs);
        Claim { span, kind, source, destination, clauses }
    }

    fn test(&mut self, mut pairs: Pairs<'_, Rule>, pieces: &[Statement]) -> ItemKind {
        let name = self.word_or_empty(pairs.next());
        let mut claims = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if piece.broken {
                continue;
            }
            let text = self.enter(piece.start, piece.end, piece.has_extras);
            let span = self.at(0, text.len());
            match parse(Rule::policy_rule, &text) {
                Ok(pairs) => {
                    let kind = if pairs.get_input().starts_with("deny") { ClaimKind::Never } else { ClaimKind::Always };
                    claims.push(self.claim(kind, span, pairs));
                }
                Err(error) => self.refuse(&error),
            }
        }
        ItemKind::Test(Test { name, claims })
    }

    fn template(&mut self, mut pairs: Pairs<'_, Rule>, pieces: &[Statement], comments: &[Comment]) -> ItemKind {
        let name = self.ident(pairs.next());
        let parameters = pairs
            .filter(|pair| pair.as_rule() == Rule::parameter)
            .map(|pair| {
                let mut words = pair.into_inner();
                Parameter { name: self.ident(words.next()), kind: self.ident(words.next()) }
            })
            .collect();
        let body = pieces.iter().map(|piece| self.item(piece, comments)).collect();
        ItemKind::Template(Template { name, parameters, body })
    }

    fn apply(&mut self, mut pairs: Pairs<'_, Rule>) -> ItemKind {
        let template = self.ident(pairs.next());
        let arguments: Vec<Pair<'_, Rule>> = pairs.filter(|pair| pair.as_rule() == Rule::argument).collect();
        let arguments = arguments.into_iter().map(|pair| self.argument(pair)).collect();
        ItemKind::Apply(Apply { template, arguments })
    }
}

/// Reads `2027-01-31`.
fn date(text: &str) -> Option<time::Date> {
    let well_formed = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    if !well_formed {
        return None;
    }
    let month = time::Month::try_from(text[5..7].parse::<u8>().ok()?).ok()?;
    time::Date::from_calendar_date(text[..4].parse().ok()?, month, text[8..].parse().ok()?).ok()
}
