//! Refusals among clauses, or at words that were meant to be one.

use super::Refusal;
use super::tokens::Kind;
use crate::diag::{Code, Diagnostic, nearest};
use crate::syntax::errors;
use crate::syntax::grammar::Rule;

/// The words after `where`.
pub const CONDITIONS: [&str; 5] = ["method", "path", "host", "header", "jwt"];
const CLAUSES: &str =
    "the clauses are `where method`, `where path`, `where host`, `where header`, `where jwt` and `via`";

impl Refusal<'_> {
    pub(super) fn in_clauses(&self) -> Option<Diagnostic> {
        self.before_arrow()
            .or_else(|| self.header_equals())
            .or_else(|| self.unknown_condition())
            .or_else(|| self.joined_conditions())
            .or_else(|| self.condition_without_where())
            .or_else(|| self.addresses_elsewhere())
            .or_else(|| self.unknown_clause())
    }

    fn before_arrow(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| matches!(found.text, "where" | "via") && self.tried(&[Rule::arrow]))?;
        let span = self.token_span(found);
        Some(
            Diagnostic::new(Code::MisplacedClause, span, format!("`{}` stands behind the destination", found.text))
                .note("`allow ingress shop/* -> garden/*:8080/http where method GET`"),
        )
    }

    /// `where header x-team = "web"`, `where header x-team = web`
    fn header_equals(&self) -> Option<Diagnostic> {
        let found =
            self.found().filter(|found| matches!(found.text, "=" | "==" | ":") && self.by == Rule::policy_rule)?;
        let name = self.before(1).filter(|_| self.before(2).is_some_and(|word| word.is("header")))?;
        let value = self.after(1).filter(|value| value.kind != Kind::Symbol);
        let diagnostic = errors::expected(self.token_span(found), "a string", Some(name.text))
            .at("the values of a header follow its name");
        let Some(value) = value else {
            return Some(diagnostic.note("with its values: `where header x-team \"web\", \"api\"`"));
        };
        let text = if value.kind == Kind::String { value.text.to_owned() } else { format!("\"{}\"", value.text) };
        let span = self.span(name.end, value.end);
        Some(diagnostic.fix(format!("write `where header {} {text}`", name.text), span, format!(" {text}")))
    }

    fn unknown_condition(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| self.is_before("where") && found.kind == Kind::Word)?;
        let span = self.token_span(found);
        let diagnostic =
            Diagnostic::new(Code::UnknownClause, span, format!("there is no clause `where {}`", found.text))
                .note(CLAUSES);
        let near = match found.text {
            "verb" | "verbs" => Some("method"),
            "url" | "uri" | "route" => Some("path"),
            "sni" | "hostname" => Some("host"),
            "headers" => Some("header"),
            "token" | "claims" | "claim" => Some("jwt"),
            word => nearest(&word.to_ascii_lowercase(), CONDITIONS),
        };
        Some(match near {
            Some(near) => diagnostic.fix(format!("write `{near}`"), span, near),
            None => diagnostic,
        })
    }

    fn is_clause_place(&self) -> bool {
        self.tried(&[Rule::where_clause, Rule::via_clause])
            || self.has_arrow() && (self.has_word("where") || self.has_word("via")) && self.tried(&[Rule::EOI])
    }

    /// `where method GET and path "/api/**"`
    fn joined_conditions(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| matches!(found.text, "and" | "&&" | "&" | ","))?;
        if !self.has_word("where") || !self.after(1).is_some_and(|next| CONDITIONS.contains(&next.text)) {
            return None;
        }
        let span = self.span(self.before(1)?.end, found.end);
        let diagnostic =
            Diagnostic::new(Code::UnknownClause, self.token_span(found), "each condition begins with `where`");
        Some(diagnostic.at("a request must meet all of them").fix("write `where`", span, " where"))
    }

    /// `method GET` without `where`.
    fn condition_without_where(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| self.is_clause_place() && CONDITIONS.contains(&found.text))?;
        let span = self.token_span(found);
        let diagnostic = Diagnostic::new(Code::UnknownClause, span, format!("`{}` begins no clause", found.text));
        Some(diagnostic.fix(format!("write `where {}`", found.text), self.span(found.start, found.start), "where "))
    }

    /// `host NAME at …` outside a `let`.
    fn addresses_elsewhere(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| found.is("at") && self.by != Rule::binding)?;
        let host = self.before(2).is_some_and(|word| word.is("host"))
            || self.has_arrow() && !self.has_word("via") && self.before(1)?.ends_endpoint();
        let public = self.after(1).is_some_and(|next| next.kind == Kind::String) && self.has_arrow();
        if host && public {
            let diagnostic = errors::expected(self.token_span(found), "`via` and a gateway before `at`", None);
            let at = "`at` names the public host for which clients ask a gateway";
            return Some(
                diagnostic.at(at).note("with `use std/istio`: `… via ingress-gateway at \"shop.example.com\"`"),
            );
        }
        host.then(|| errors::host_at(self.token_span(found), "addresses of a host stand in a `let` alone"))
    }

    fn unknown_clause(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| self.is_clause_place() && found.kind == Kind::Word)?;
        let near = nearest(&found.text.to_ascii_lowercase(), ["where", "via", "except"]);
        let near = near.or(match found.text {
            "if" | "when" | "with" => Some("where"),
            "through" => Some("via"),
            "but" | "unless" => Some("except"),
            _ => None,
        })?;
        let span = self.token_span(found);
        let diagnostic = Diagnostic::new(Code::UnknownClause, span, format!("`{}` begins no clause", found.text));
        Some(diagnostic.note(CLAUSES).fix(format!("write `{near}`"), span, near))
    }
}
