//! Refusals of the notation of other languages: YAML's `app: web` and `[a, b]`, a URL, `port 53`, `from … to …`, `deny
//! all`.

use super::Refusal;
use super::tokens::{Kind, Token};
use crate::diag::{Code, Diagnostic, Edit};
use crate::syntax::errors;
use crate::syntax::grammar::Rule;

/// Words without a meaning in a rule: `allow all traffic from …`.
const FILLERS: [&str; 8] = ["all", "any", "default", "everything", "by", "traffic", "access", "connections"];

impl Refusal<'_> {
    pub(super) fn in_other_languages(&self) -> Option<Diagnostic> {
        self.labels_with_colons()
            .or_else(|| self.labels_with_signs())
            .or_else(|| self.url())
            .or_else(|| self.list_in_brackets())
            .or_else(|| self.ports_without_braces())
            .or_else(|| self.port_behind())
            .or_else(|| self.protocol_behind())
            .or_else(|| self.told_in_words())
            .or_else(|| self.deny_without_arrow())
            .or_else(|| self.fillers())
            .or_else(|| self.joined_by_words())
    }

    /// `{app: web}`
    fn labels_with_colons(&self) -> Option<Diagnostic> {
        let is_colon = self.is_found(":") || self.is_before(":");
        let (open, close) = self.braces_at_place().filter(|_| is_colon)?;
        let colons: Vec<usize> = (open + 1..close).filter(|&at| self.tokens[at].is(":")).collect();
        let is_word = |at: usize| self.tokens.get(at).is_some_and(|token| token.kind != Kind::Symbol);
        let is_port = |at: usize| self.tokens[at].text.starts_with(|c: char| c.is_ascii_digit());
        // `{time=12:30}`: what stands before this colon is a value, and no key.
        let is_key = |at: usize| !matches!(self.tokens[at - 1].text, "=" | "!=" | ":");
        if !colons.iter().all(|&at| is_word(at - 1) && is_key(at - 1) && is_word(at + 1)) || colons.is_empty() {
            return None;
        }
        let edits = colons.iter().map(|&colon| {
            let span = self.span(self.tokens[colon - 1].end, self.tokens[colon + 1].start);
            Edit { span, text: "=".into() }
        });
        let edits: Vec<Edit> = edits.collect();
        let (open, close) = (self.tokens[open], self.tokens[close]);
        let text = self.with_edits(open.start, close.end, &edits);
        let first = edits.first()?.span;
        if self.is_labels(open, close) {
            return Some(errors::label_colon(first, &text).fix_all(format!("write `{text}`"), edits));
        }
        // In a union `web: 80` is an endpoint with its port.
        let ports = colons.iter().any(|&colon| is_port(colon + 1));
        (!ports).then(|| errors::labels_alone(self.span(open.start, close.end), &text))
    }

    /// `{app == web}`
    fn labels_with_signs(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| matches!(found.text, "==" | "===" | "=>" | "->"))?;
        let (open, close) = self.braces_at_place()?;
        if !self.is_labels(self.tokens[open], self.tokens[close]) {
            return None;
        }
        let of_labels = &self.tokens[open..close];
        let signs = of_labels.iter().filter(|token| token.is(found.text)).map(|sign| self.token_span(*sign));
        let edits: Vec<Edit> = signs.map(|span| Edit { span, text: "=".into() }).collect();
        let text = self.with_edits(self.tokens[open].start, self.tokens[close].end, &edits);
        let what = format!("a label's value follows `=`, not `{}`", found.text);
        let diagnostic = Diagnostic::new(Code::Expected, self.token_span(found), what);
        Some(diagnostic.fix_all(format!("write `{text}`"), edits))
    }

    /// `https://api.example.com/v1`
    fn url(&self) -> Option<Diagnostic> {
        let scheme = self.before(2).filter(|scheme| scheme.kind == Kind::Word)?;
        let (colon, slash, second) = (self.before(1)?, self.found()?, self.after(1)?);
        let touches = scheme.end == colon.start && colon.end == slash.start && slash.end == second.start;
        if !touches || !colon.is(":") || !slash.is("/") || !second.is("/") {
            return None;
        }
        let rest = &self.text[second.end..];
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | '}' | ')' | '"');
        let rest = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        let span = self.span(scheme.start, second.end + rest.len());
        let is_destination = self.has_arrow() || self.by == Rule::binding;
        Some(errors::url(span, scheme.text, rest, is_destination))
    }

    /// `[a, b]`, `(a, b)`, `:[80, 443]`, and `app in [a, b]`
    fn list_in_brackets(&self) -> Option<Diagnostic> {
        let open = self.found()?;
        let (closing, wanted) = match open.text {
            "[" => ("]", ("{", "}")),
            "(" if self.takes_endpoint() => (")", ("{", "}")),
            _ => return None,
        };
        let close = self.tokens[self.index..].iter().position(|token| token.is(closing))? + self.index;
        let (what, (left, right)) = match self.before(1)?.text {
            "in" | "notin" => ("values", ("(", ")")),
            ":" => ("ports", wanted),
            _ if self.takes_endpoint() => ("endpoints", wanted),
            _ => return None,
        };
        let close = self.tokens[close];
        let inner = self.text[open.end..close.start].trim();
        if self.text[..open.start].ends_with('/') && !inner.contains([',', ' ', '/']) {
            let span = self.span(open.start, close.end);
            let diagnostic = Diagnostic::new(Code::UnionWithoutBraces, span, "a name stands here without brackets");
            return Some(diagnostic.fix(format!("write `{inner}`"), span, inner));
        }
        let space = if what == "endpoints" { " " } else { "" };
        let text = format!("{left}{space}{inner}{space}{right}");
        let span = self.span(open.start, close.end);
        Some(errors::list_in_brackets(span, what, &text))
    }

    fn takes_endpoint(&self) -> bool {
        let endpoint = [Rule::source, Rule::destination, Rule::endpoint, Rule::braces, Rule::weighted];
        self.tried(&endpoint) && self.by != Rule::apply
    }

    /// `10.0.0.0/8:80,443`
    fn ports_without_braces(&self) -> Option<Diagnostic> {
        let comma = self.found().filter(|found| found.is(",") && self.open_bracket().is_none())?;
        let first = self.index.checked_sub(1)?;
        let start = self.run_start(first);
        let colon = (start..=first).rev().find(|&at| self.tokens[at].is(":"))?;
        let mut ports = vec![self.text[self.tokens[colon].end..comma.start].trim().to_owned()];
        let is_named = ports[0].starts_with(|c: char| c.is_ascii_lowercase());
        let (mut at, mut end) = (self.index, comma.start);
        while self.tokens.get(at).is_some_and(|token| token.is(",")) {
            let named = || self.port_name_at(at + 1).filter(|_| is_named);
            let Some((text, next)) = self.port_at(at + 1).or_else(named) else { break };
            ports.push(text);
            end = self.tokens[next - 1].end;
            at = next;
        }
        let is_suffix = ports[0].bytes().all(|byte| byte != b'{' && byte != b',');
        // Another endpoint follows: then the endpoints stand in braces, too.
        let ends = self.tokens.get(at).is_none_or(|token| !token.is(","));
        if ports.len() < 2 || !is_suffix || !ends {
            return None;
        }
        let repair = format!("{{{}}}", ports.join(", "));
        let span = self.span(self.tokens[colon].end, end);
        let title = format!("write `{}:{repair}`", &self.text[self.tokens[start].start..self.tokens[colon].start]);
        let diagnostic = Diagnostic::new(Code::UnionWithoutBraces, span, "several ports stand in braces");
        Some(diagnostic.fix(title, span, repair))
    }

    /// Returns the name of a port that touches the comma before it, and the token after it: `http,grpc`.
    fn port_name_at(&self, at: usize) -> Option<(String, usize)> {
        let (comma, name) = (self.tokens.get(at - 1)?, self.tokens.get(at)?);
        let ends = self.tokens.get(at + 1).is_none_or(|next| next.start > name.end || next.is(","));
        (name.kind == Kind::Word && comma.end == name.start && ends).then(|| (name.text.to_owned(), at + 1))
    }

    /// Returns the port that begins at a token, `80`, `8000-8999` or `53/udp`, and the token after it.
    fn port_at(&self, at: usize) -> Option<(String, usize)> {
        let number = self.tokens.get(at)?;
        if !is_port_number(number.text) {
            return None;
        }
        let slash = self.tokens.get(at + 1).filter(|slash| slash.is("/") && slash.start == number.end);
        let protocol = slash.and(self.tokens.get(at + 2)).filter(|word| errors::PROTOCOLS.contains(&word.text));
        Some(match protocol {
            Some(protocol) => (format!("{}/{}", number.text, protocol.text), at + 3),
            None => (number.text.to_owned(), at + 1),
        })
    }

    /// `dns port 53`, `garden/web on tcp 80, 443`
    fn port_behind(&self) -> Option<Diagnostic> {
        let previous = self.before(1).filter(|previous| self.has_arrow() && previous.ends_endpoint())?;
        let first = self.found().filter(|found| matches!(found.text, "port" | "ports" | "on" | "tcp" | "udp"))?;
        let mut at = self.index;
        let (mut has_word, mut protocol) = (false, "");
        while let Some(token) = self.tokens.get(at) {
            match token.text {
                "port" | "ports" => has_word = true,
                "tcp" | "udp" => {
                    has_word = true;
                    protocol = token.text;
                }
                "on" | "=" | ":" | "{" | "[" | "(" => {}
                _ => break,
            }
            at += 1;
        }
        let mut ports = Vec::new();
        while let Some((text, next)) = self.port_at(at) {
            ports.push(if protocol == "udp" && !text.contains('/') { format!("{text}/udp") } else { text });
            at = next;
            match self.tokens.get(at) {
                Some(token) if matches!(token.text, "," | "and") && self.port_at(at + 1).is_some() => at += 1,
                _ => break,
            }
        }
        while self.tokens.get(at).is_some_and(|token| matches!(token.text, "}" | "]" | ")")) {
            at += 1;
        }
        let endpoint = self.run_text(previous.end);
        if !has_word || ports.is_empty() || endpoint.contains(':') {
            return None;
        }
        let end = self.tokens[at - 1].end;
        let span = self.span(first.start, end);
        let suffix = match ports.as_slice() {
            [one] => format!(":{one}"),
            several => format!(":{{{}}}", several.join(", ")),
        };
        let diagnostic = errors::port_behind(span);
        let gap = self.span(previous.end, end);
        if matches!(endpoint, "dns" | "apiserver") {
            return Some(diagnostic.fix(format!("leave it out: `{endpoint}` brings its own ports"), gap, ""));
        }
        Some(diagnostic.fix(format!("write `{endpoint}{suffix}`"), gap, suffix))
    }

    /// `garden/web:53 udp`
    fn protocol_behind(&self) -> Option<Diagnostic> {
        let previous = self.before(1).filter(|previous| is_port_number(previous.text))?;
        let word =
            self.found().filter(|found| errors::PROTOCOLS.contains(&found.text) && found.start > previous.end)?;
        let colon = self.before(2).filter(|colon| colon.is(":") && colon.end == previous.start);
        colon?;
        let repair = format!("{}/{}", previous.text, word.text);
        let gap = self.span(previous.end, word.end);
        let diagnostic =
            Diagnostic::new(Code::Expected, self.token_span(word), "a protocol follows its port and a `/`");
        Some(diagnostic.fix(format!("write `:{repair}`"), gap, format!("/{}", word.text)))
    }

    /// `from X to Y`, `to Y from X`
    fn told_in_words(&self) -> Option<Diagnostic> {
        if self.by != Rule::policy_rule {
            return None;
        }
        let is_word = |at: usize, word: &str| {
            let token = self.tokens[at];
            let next = self.tokens.get(at + 1);
            token.is(word) && next.is_some_and(|next| next.start > token.end && next.begins_endpoint())
        };
        let head = self.head_end();
        let first = (head..self.tokens.len().min(head + 3)).find(|&at| is_word(at, "from") || is_word(at, "to"))?;
        if !(head..first).all(|at| FILLERS.contains(&self.tokens[at].text)) {
            return None;
        }
        let end = self.clauses_from();
        let between = if self.tokens[first].is("from") { ["to", "->"] } else { ["from", "from"] };
        let second = (first + 2..end).find(|&at| self.depth(at) == 0 && between.contains(&self.tokens[at].text))?;
        let (a, b) = (self.words(first + 1, second)?, self.words(second + 1, end)?);
        let (source, destination) = if self.tokens[first].is("from") { (a, b) } else { (b, a) };
        let flow = format!("{source} -> {destination}");
        let span = self.span(self.tokens[head].start, self.tokens[end - 1].end);
        let said = self.span(self.tokens[first].start, self.tokens[first].end);
        let title = format!("write `{} {flow}`", &self.text[..self.tokens[head - 1].end]);
        Some(errors::wrong_flow(said, self.tokens[first].text).fix(title, span, flow))
    }

    /// `deny all garden/*`, `deny default garden/*`, `deny garden/*`
    fn deny_without_arrow(&self) -> Option<Diagnostic> {
        let deny = self.tokens.first().filter(|deny| self.by == Rule::policy_rule && deny.is("deny"))?;
        let is_flow = self.tokens.iter().any(|token| matches!(token.text, "->" | "<->" | "<-" | ">" | "where" | "via"));
        if is_flow {
            return None;
        }
        let mut direction = "";
        let mut at = 1;
        while let Some(token) = self.tokens.get(at) {
            match token.text {
                "egress" | "ingress" => direction = token.text,
                word if FILLERS.contains(&word) || matches!(word, "for" | "in" | "from" | "to") => {}
                _ => break,
            }
            let next = self.tokens.get(at + 1);
            if next.is_some_and(|next| next.start == token.end) {
                break;
            }
            at += 1;
        }
        let head = if direction.is_empty() { "default deny".to_owned() } else { format!("default deny {direction}") };
        let diagnostic = errors::deny_without_arrow(self.token_span(*deny));
        let Some(subject) = self.tokens.get(at) else {
            return Some(diagnostic.note(format!("every pod of every namespace: `{head} */*`")));
        };
        let subject = &self.text[subject.start..];
        let span = self.span(deny.start, self.text.len() - subject.len());
        let subject = subject.trim_end();
        Some(diagnostic.fix(format!("write `{head} {subject}`"), span, format!("{head} ")))
    }

    /// `allow all garden/web -> …`, `default deny all garden/*`
    fn fillers(&self) -> Option<Diagnostic> {
        let filler = self.before(1).filter(|word| FILLERS.contains(&word.text) || word.is("from"))?;
        let found = self.found().filter(|found| found.start > filler.end && found.begins_endpoint())?;
        if !matches!(self.by, Rule::policy_rule | Rule::default_deny) || self.index != self.head_end() + 1 {
            return None;
        }
        let is_flow = self.tokens[self.index..].iter().any(|token| matches!(token.text, "->" | "<->" | ">"));
        if self.by == Rule::policy_rule && !is_flow {
            let pods = &self.text[found.start..self.tokens[self.run_end(self.index)].end];
            return Some(errors::one_end(self.token_span(filler), pods));
        }
        let span = self.span(filler.start, found.start);
        let diagnostic = errors::expected(self.token_span(filler), "an endpoint", self.before(2).map(|it| it.text));
        Some(diagnostic.fix(format!("leave `{}` out", filler.text), span, ""))
    }

    /// `garden/web and garden/db`
    fn joined_by_words(&self) -> Option<Diagnostic> {
        let found = self.found().filter(|found| matches!(found.text, "and" | "or" | "&&" | "||" | "&" | "|" | "+"))?;
        let previous = self.before(1).filter(|previous| previous.ends_endpoint())?;
        if self.open_bracket().is_some() || self.has_word("where") || self.has_word("via") {
            return None;
        }
        let first = self.tokens[self.run_start(self.index - 1)];
        let mut parts = vec![&self.text[first.start..previous.end]];
        let mut at = self.index;
        let mut end = previous.end;
        while self.tokens.get(at).is_some_and(|token| token.is(found.text) || token.is(",")) {
            let Some(next) = self.tokens.get(at + 1).filter(|next| next.begins_endpoint()) else { break };
            let last = self.run_end(at + 1);
            end = self.tokens[last].end;
            parts.push(&self.text[next.start..end]);
            at = last + 1;
        }
        let span = self.span(first.start, end);
        let text = format!("{{ {} }}", parts.join(", "));
        let diagnostic = Diagnostic::new(Code::UnionWithoutBraces, span, "several endpoints stand in braces");
        (parts.len() > 1).then(|| diagnostic.fix(format!("write `{text}`"), span, text))
    }

    // Tokens around the place.

    /// Returns the braces around the refused token, with the tokens that open and close them.
    fn braces_at_place(&self) -> Option<(usize, usize)> {
        let open = self.open_bracket().filter(|open| open.is("{"))?;
        let at = self.tokens.iter().position(|token| token.start == open.start)?;
        let close = self.tokens[at..].iter().position(|token| token.is("}"))? + at;
        (close >= self.index).then_some((at, close))
    }

    /// Returns whether braces contain labels: they touch a `/`, or are a field of a declaration.
    fn is_labels(&self, open: Token<'_>, close: Token<'_>) -> bool {
        let bytes = self.text.as_bytes();
        let touches = |at: usize| bytes.get(at) == Some(&b'/');
        touches(open.start.wrapping_sub(1))
            || touches(close.end)
            || matches!(self.by, Rule::labels_field | Rule::select_field)
    }

    /// Returns the number of tokens that come before a rule's endpoints: its keyword and its direction.
    pub(super) fn head_end(&self) -> usize {
        let keyword = if self.by == Rule::default_deny { 2 } else { 1 };
        let direction = self.tokens.get(keyword).is_some_and(|word| matches!(word.text, "egress" | "ingress"));
        keyword + usize::from(direction)
    }

    /// Returns the token at which a rule's clauses begin.
    pub(super) fn clauses_from(&self) -> usize {
        let is_clause = |&at: &usize| self.depth(at) == 0 && matches!(self.tokens[at].text, "where" | "via");
        (0..self.tokens.len()).find(is_clause).unwrap_or(self.tokens.len())
    }

    /// Returns how many brackets are open before a token.
    pub(super) fn depth(&self, at: usize) -> i32 {
        let change = |token: &Token<'_>| match token.text {
            "{" | "(" | "[" => 1,
            "}" | ")" | "]" => -1,
            _ => 0,
        };
        self.tokens[..at].iter().map(change).sum()
    }

    /// Returns the text from one token up to another, without the latter.
    pub(super) fn words(&self, from: usize, to: usize) -> Option<&str> {
        (from < to && to <= self.tokens.len()).then(|| &self.text[self.tokens[from].start..self.tokens[to - 1].end])
    }

    /// Returns a part of the text as it is after some edits inside it, which are in order.
    fn with_edits(&self, start: usize, end: usize, edits: &[Edit]) -> String {
        let mut out = String::new();
        let mut at = start;
        let offset = |place: u32| (place - self.origin.start) as usize;
        for edit in edits {
            out.push_str(&self.text[at..offset(edit.span.start)]);
            out.push_str(&edit.text);
            at = offset(edit.span.end);
        }
        out.push_str(&self.text[at..end]);
        out
    }
}

fn is_port_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}
