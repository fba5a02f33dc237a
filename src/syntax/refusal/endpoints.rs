//! Refusals inside endpoints, and between them.

use super::Refusal;
use super::tokens::{Kind, Token};
use crate::diag::{Code, Diagnostic, Edit};
use crate::syntax::grammar::Rule;
use crate::syntax::keyword::is_reserved;
use crate::syntax::{errors, words};

impl Refusal<'_> {
    pub(super) fn in_endpoints(&self) -> Option<Diagnostic> {
        self.partial_wildcard()
            .or_else(|| self.space())
            .or_else(|| self.second_suffix())
            .or_else(|| self.second_slash())
            .or_else(|| self.extra_comma())
            .or_else(|| self.comma_outside())
            .or_else(|| self.reserved_word())
    }

    /// Returns whether a token is a word before the endpoints of a statement: `allow`, `egress`.
    fn is_head(&self, token: Token<'_>) -> bool {
        let rules = [Rule::policy_rule, Rule::default_deny, Rule::assertion];
        rules.contains(&self.by) && self.tokens.iter().take(self.head_end()).any(|head| head.start == token.start)
    }

    fn touches(&self, left: Token<'_>, right: Token<'_>) -> bool {
        left.end == right.start
    }

    fn partial_wildcard(&self) -> Option<Diagnostic> {
        let (previous, found) = (self.before(1)?, self.found()?);
        let star_after_word = found.is("*") && previous.kind != Kind::Symbol;
        let word_after_star = previous.is("*") && found.kind == Kind::Word;
        if self.touches(previous, found) && (star_after_word || word_after_star) {
            let (first, last) = (self.run_start(self.index - 1), self.run_end(self.index));
            let (start, end) = (self.tokens[first].start, self.tokens[last].end);
            let governed = words::is_governed(&self.text[..start]);
            return Some(errors::partial_wildcard(self.span(start, end), &self.text[start..end], governed));
        }
        let is_value = found.is("*") && matches!(previous.text, "=" | "!=") && self.open_bracket().is_some();
        is_value.then(|| errors::label_wildcard(self.token_span(found)))
    }

    /// A space around the `/`, `:` or `@` of an endpoint.
    fn space(&self) -> Option<Diagnostic> {
        let (previous, found) = (self.before(1)?, self.found()?);
        let is_sign = |token: Token<'_>| matches!(token.text, "/" | ":" | "@");
        let (left, sign, right) = if is_sign(found) && previous.ends_endpoint() && !self.touches(previous, found) {
            (Some(previous), found, self.after(1).filter(|next| next.begins_endpoint()))
        } else if is_sign(previous) && found.begins_endpoint() && !self.touches(previous, found) {
            (self.before(2).filter(|left| left.ends_endpoint() || is_sign(*left)), previous, Some(found))
        } else {
            return None;
        };
        // `default deny ingress /*`: what stands before the sign is no namespace.
        if let Some(word) = left.filter(|word| sign.is("/") && self.is_head(*word)) {
            let diagnostic = errors::expected(self.token_span(sign), "a namespace", Some(word.text));
            return Some(diagnostic.at("pods stand behind their namespace, as in `garden/*`"));
        }
        let start = left.map_or(sign.start, |left| left.end);
        let span = self.span(start, right.map_or(sign.end, |right| right.start));
        let diagnostic = Diagnostic::new(
            Code::SpaceInEndpoint,
            span,
            format!("no space stands around the `{}` of an endpoint", sign.text),
        );
        // `in /,`: without the space something is still missing.
        Some(if right.is_some() { diagnostic.fix("remove the space", span, sign.text) } else { diagnostic })
    }

    /// `a:{80}:443`
    fn second_suffix(&self) -> Option<Diagnostic> {
        let (previous, found) = (self.before(1)?, self.found()?);
        if !found.is(":") || !self.touches(previous, found) {
            return None;
        }
        let first = self.run_start(self.index - 1);
        let colon = self.tokens[first..self.index].iter().find(|token| token.is(":"));
        let last = self.run_end(self.index);
        let whole = &self.text[self.tokens[first].start..self.tokens[last].end];
        if let Some(repair) = words::bracketed_with_port(whole) {
            let span = self.span(self.tokens[first].start, self.tokens[last].end);
            return Some(errors::needs_brackets(span, whole, &[repair]));
        }
        let (start, end) = (colon?.end, self.tokens[last].end);
        Some(errors::two_suffixes(self.span(start, end), &self.text[start..end]))
    }

    /// `garden/web/x`
    fn second_slash(&self) -> Option<Diagnostic> {
        let (previous, found) = (self.before(1)?, self.found()?);
        if !found.is("/") || !self.touches(previous, found) {
            return None;
        }
        let (first, last) = (self.run_start(self.index - 1), self.run_end(self.index));
        let span = self.span(self.tokens[first].start, self.tokens[last].end);
        let text = &self.text[self.tokens[first].start..self.tokens[last].end];
        let is_key = self.tokens.get(last + 1).is_some_and(|next| matches!(next.text, "=" | "!=" | "in" | "notin"));
        if is_key && self.open_bracket().is_some() {
            return Some(errors::not_kubernetes(span, text, words::Kind::LabelKey));
        }
        let has_slash = self.tokens[first..self.index].iter().any(|token| token.is("/"));
        has_slash.then(|| errors::expected(span, "one `/` in an endpoint", None).note(errors::ENDPOINTS))
    }

    /// A comma that nothing stands before.
    fn extra_comma(&self) -> Option<Diagnostic> {
        let (previous, found) = (self.before(1)?, self.found()?);
        let is_extra = found.is(",") && matches!(previous.text, "," | "{" | "(");
        let span = self.token_span(found);
        is_extra.then(|| errors::expected(span, "something before this `,`", None).fix("remove the comma", span, ""))
    }

    /// `garden/web, garden/db`
    fn comma_outside(&self) -> Option<Diagnostic> {
        let takes_endpoints = matches!(
            self.by,
            Rule::policy_rule
                | Rule::default_deny
                | Rule::assertion
                | Rule::scope
                | Rule::binding
                | Rule::pods_field
                | Rule::whole_endpoint
        );
        let is_clause = self.has_word("where") || self.has_word("via");
        if !takes_endpoints || is_clause || !self.is_found(",") || self.open_bracket().is_some() {
            return None;
        }
        let first = self.run_start(self.index.checked_sub(1)?);
        // `default deny ingress, egress garden/*`
        let is_direction =
            |token: Option<Token<'_>>| token.is_some_and(|token| matches!(token.text, "egress" | "ingress"));
        if let (true, Some(second), Some(next)) = (is_direction(self.before(1)), self.after(1), self.after(2))
            && is_direction(Some(second))
        {
            let span = self.span(self.tokens[first].start, next.start);
            let diagnostic = errors::expected(self.token_span(self.tokens[self.index]), "one direction or none", None);
            return Some(diagnostic.fix("leave both out, which means both", span, ""));
        }
        let mut last = self.index;
        while self.tokens.get(last).is_some_and(|token| token.is(",")) {
            match self.tokens.get(last + 1) {
                Some(next) if next.begins_endpoint() => last = self.run_end(last + 1) + 1,
                _ => break,
            }
        }
        let end = self.tokens[last.saturating_sub(1)].end;
        let (start, end) = (self.tokens[first].start, end.max(self.tokens[self.index].start));
        let span = self.span(start, end);
        let diagnostic = Diagnostic::new(Code::UnionWithoutBraces, span, "several endpoints stand in braces");
        let edits = vec![
            Edit { span: self.span(start, start), text: "{ ".into() },
            Edit { span: self.span(end, end), text: " }".into() },
        ];
        Some(diagnostic.fix_all(format!("write `{{ {} }}`", &self.text[start..end]), edits))
    }

    /// A word of the language that was read as an endpoint, because none stands there: `-> where method GET`.
    fn reserved_word(&self) -> Option<Diagnostic> {
        let word = self.before(1).filter(|word| word.kind == Kind::Word && is_reserved(word.text))?;
        let before = self.before(2)?;
        let is_endpoint = matches!(before.text, "->" | "<->" | ">" | "{" | "," | "except" | "=");
        if !is_endpoint || self.found().is_some_and(|found| found.is("=") || self.touches(word, found)) {
            return None;
        }
        let what = if before.text.ends_with('>') { "a destination" } else { "an endpoint" };
        Some(errors::expected(self.token_span(word), what, Some(before.text)).note(errors::ENDPOINTS))
    }
}
