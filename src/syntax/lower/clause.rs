//! The clauses of rules and claims.

use pest::iterators::{Pair, Pairs};

use super::Lower;
use crate::syntax::grammar::Rule;
use crate::syntax::tree::{Clause, ClauseKind, Ident, JwtClause};

impl Lower<'_> {
    pub(super) fn clauses(&mut self, pairs: Pairs<'_, Rule>) -> Vec<Clause> {
        let mut clauses = Vec::new();
        for pair in pairs.filter(|pair| pair.as_rule() != Rule::EOI) {
            let span = self.trimmed(&pair);
            if let Some(kind) = self.clause(pair) {
                clauses.push(Clause { span, kind });
            }
        }
        clauses
    }

    fn clause(&mut self, pair: Pair<'_, Rule>) -> Option<ClauseKind> {
        let is_via = pair.as_rule() == Rule::via_clause;
        let mut pairs = pair.into_inner();
        if is_via {
            let gateway = self.ident(pairs.next());
            let at = pairs.next().and_then(|pair| pair.into_inner().next()).map(|pair| self.text(pair));
            return Some(ClauseKind::Via { gateway, at });
        }
        let test = pairs.next()?;
        Some(match test.as_rule() {
            Rule::method_test => ClauseKind::Method(self.methods(test.into_inner())),
            Rule::path_test => ClauseKind::Path(self.texts(test.into_inner().next())),
            Rule::host_test => ClauseKind::Host(self.texts(test.into_inner().next())),
            _ => ClauseKind::Jwt(self.jwt(test.into_inner())),
        })
    }

    fn methods(&mut self, pairs: Pairs<'_, Rule>) -> Vec<Ident> {
        pairs.filter(|pair| pair.as_rule() == Rule::word).map(|pair| self.ident(Some(pair))).collect()
    }

    fn jwt(&mut self, mut pairs: Pairs<'_, Rule>) -> JwtClause {
        let issuer = self.ident(pairs.next());
        let mut clause = JwtClause { issuer, subjects: Vec::new(), claims: Vec::new() };
        for pair in pairs {
            if pair.as_rule() == Rule::subject {
                clause.subjects = self.texts(pair.into_inner().next());
            } else {
                let mut pairs = pair.into_inner();
                let name = self.word_or_empty(pairs.next());
                pairs.next();
                clause.claims.push((name, self.texts(pairs.next())));
            }
        }
        clause
    }
}
