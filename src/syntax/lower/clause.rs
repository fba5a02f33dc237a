//! The clauses of rules and claims.

use std::mem::discriminant;

use pest::iterators::{Pair, Pairs};

use super::Lower;
use super::endpoint::lower_case;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{Clause, ClauseKind, Ident, JwtClause, Text};
use crate::syntax::{errors, words};

impl Lower<'_> {
    /// Lowers clauses; `None` if one of them has a mistake, since without it the rule would mean something else.
    pub(super) fn clauses(&mut self, pairs: Pairs<'_, Rule>) -> Option<Vec<Clause>> {
        let found = self.found();
        let mut clauses: Vec<Clause> = Vec::new();
        for pair in pairs.filter(|pair| pair.as_rule() != Rule::EOI) {
            let span = self.trimmed(&pair);
            let Some(kind) = self.clause(pair) else { continue };
            match clauses.iter().find(|clause| is_same(&clause.kind, &kind)) {
                Some(first) => self.push(errors::duplicate_clause(span, &clause_name(&kind), first.span)),
                None => clauses.push(Clause { span, kind }),
            }
        }
        (self.found() == found).then_some(clauses)
    }

    fn clause(&mut self, pair: Pair<'_, Rule>) -> Option<ClauseKind> {
        let is_via = pair.as_rule() == Rule::via_clause;
        let mut pairs = pair.into_inner();
        if is_via {
            let gateway = self.ident(pairs.next());
            let at = self.public_hosts(pairs.next());
            return Some(ClauseKind::Via { gateway, at });
        }
        let test = pairs.next()?;
        Some(match test.as_rule() {
            Rule::method_test => ClauseKind::Method(self.methods(test.into_inner())),
            Rule::path_test => {
                let mut pairs = test.into_inner();
                let paths = self.strings(pairs.next());
                let except = pairs.next().map(|but| self.strings(but.into_inner().next()));
                ClauseKind::Path { paths, except: except.unwrap_or_default() }
            }
            Rule::header_test => {
                let mut pairs = test.into_inner();
                let name = self.word_or_empty(pairs.next());
                if let Some(why) = words::header_problem(&name.text) {
                    self.push(errors::not_a_header(name.span, &name.text, why));
                }
                ClauseKind::Header { name, values: self.strings(pairs.next()) }
            }
            Rule::host_test => ClauseKind::Host(self.hosts(test.into_inner().next())),
            _ => ClauseKind::Jwt(self.jwt(test.into_inner())),
        })
    }

    fn methods(&mut self, pairs: Pairs<'_, Rule>) -> Vec<Ident> {
        let mut methods = Vec::new();
        for pair in pairs.filter(|pair| pair.as_rule() == Rule::word) {
            let method = self.plain_ident(Some(pair));
            if !words::is_method(&method.text) {
                self.push(errors::not_a_method(method.span, &method.text));
            }
            methods.push(method);
        }
        methods
    }

    /// Lowers `at "public.host", …`.
    pub(super) fn public_hosts(&mut self, pair: Option<Pair<'_, Rule>>) -> Vec<Text> {
        self.hosts(pair.and_then(|pair| pair.into_inner().next()))
    }

    fn hosts(&mut self, pair: Option<Pair<'_, Rule>>) -> Vec<Text> {
        let Some(pair) = pair else { return Vec::new() };
        pair.into_inner().filter(|pair| pair.as_rule() != Rule::comma).map(|pair| self.host_string(pair)).collect()
    }

    /// Lowers a string that is a host, in lower case.
    fn host_string(&mut self, pair: Pair<'_, Rule>) -> Text {
        let mut host = self.string(pair);
        if let Text::Literal(word) = &mut host {
            word.text = lower_case(&word.text);
        }
        host
    }

    fn jwt(&mut self, mut pairs: Pairs<'_, Rule>) -> JwtClause {
        let issuer = self.ident(pairs.next());
        let mut clause = JwtClause { issuer, subjects: Vec::new(), claims: Vec::new() };
        for pair in pairs {
            let mut inner = pair.clone().into_inner();
            if pair.as_rule() == Rule::subject {
                clause.subjects = self.strings(inner.next());
            } else {
                let name = self.word_or_empty(inner.next());
                if !name.quoted && name.text.split('.').any(str::is_empty) {
                    self.push(errors::not_a_claim(name.span, &name.text));
                }
                inner.next();
                clause.claims.push((name, self.strings(inner.next())));
            }
        }
        clause
    }
}

/// Returns whether two clauses cannot both stand on one rule: they are of one kind, and of headers about the same one.
fn is_same(one: &ClauseKind, other: &ClauseKind) -> bool {
    discriminant(one) == discriminant(other)
        && match (one, other) {
            (ClauseKind::Header { name: one, .. }, ClauseKind::Header { name: other, .. }) => {
                one.text.eq_ignore_ascii_case(&other.text)
            }
            _ => true,
        }
}

fn clause_name(kind: &ClauseKind) -> String {
    let name = match kind {
        ClauseKind::Method(_) => "where method",
        ClauseKind::Path { .. } => "where path",
        ClauseKind::Host(_) => "where host",
        ClauseKind::Header { name, .. } => return format!("where header {}", name.text),
        ClauseKind::Jwt(_) => "where jwt",
        ClauseKind::Via { .. } => "via",
    };
    name.to_owned()
}
