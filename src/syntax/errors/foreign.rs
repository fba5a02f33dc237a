//! Messages about the notation of other languages, with that of this one.

use std::net::Ipv4Addr;

use crate::diag::{Code, Diagnostic, Edit};
use crate::model::names::is_dns_label;
use crate::source::Span;
use crate::syntax::keyword::Keyword;
use crate::syntax::words::host_problem;

/// Says that a comment begins as in another language; `text` is all of it, and `around` the words before and after it
/// on its lines.
pub fn foreign_comment(span: Span, text: &str, around: [&str; 2]) -> Diagnostic {
    let slashes = text.bytes().take_while(|&byte| byte == b'/').count();
    let edit = |start: usize, end: usize, text: &str| Edit {
        span: Span { start: span.start + start as u32, end: span.start + end as u32, ..span },
        text: text.into(),
    };
    let diagnostic = Diagnostic::new(Code::ForeignComment, span, "a comment begins with `#` and ends with its line");
    if slashes > 1 {
        let sign = if slashes > 2 { "##" } else { "#" };
        let rest = text[slashes..].trim_end();
        let title = if rest.len() <= 60 { format!("write `{sign}{rest}`") } else { format!("write `{sign}`") };
        return diagnostic.fix_all(title, vec![edit(0, slashes, sign)]);
    }
    let [before, after] = around;
    let indentation = before.trim().is_empty().then_some(before);
    let code = after.trim_start();
    let begins_statement = || {
        let word: &str = code.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
        code.starts_with('@') || Keyword::of_statement(word.as_bytes()).is_some()
    };
    // `#` reaches to the end of the line, and `deny` in `/* old */ deny …` is no comment.
    let line_end = match (code.is_empty(), indentation) {
        (true, _) => None,
        (false, Some(indentation)) if begins_statement() => Some(indentation),
        _ => {
            return diagnostic
                .note("what follows on this line would be part of it: move the comment to a line of its own");
        }
    };
    // The sign at the end comes first where the comment is a single line.
    let mut edits = vec![edit(0, text.len() - text.trim_start_matches(['/', '*']).len(), "#")];
    let mut at = 0;
    for line in text.split_inclusive('\n').skip(1) {
        at = text.len() - (text[at..].len() - text[at..].find('\n').map_or(0, |end| end + 1));
        let indent = line.len() - line.trim_start().len();
        let stars = line.trim_start().len() - line.trim_start().trim_start_matches(['*', '/']).len();
        let is_end = line.trim_start().trim_start_matches(['*', '/']).is_empty();
        if !is_end {
            edits.push(edit(at + indent, at + indent + stars, if stars > 0 { "#" } else { "# " }));
        } else if stars > 0 {
            edits.push(edit(at + indent, at + indent + stars, ""));
        }
    }
    let end = text.trim_end_matches("*/").len();
    if end < text.len() && edits.last().is_none_or(|edit| (edit.span.end - span.start) as usize <= end) {
        edits.push(edit(text[..end].trim_end_matches(' ').len(), text.len(), ""));
    }
    let last = text.rsplit('\n').next().unwrap_or_default().trim_start();
    let is_closing = text.contains('\n') && last.trim_start_matches(['*', '/']).is_empty();
    if let Some(indentation) = line_end.filter(|_| !is_closing) {
        let gap = after.len() - code.len();
        edits.push(edit(text.len(), text.len() + gap, &format!("\n{indentation}")));
    }
    diagnostic.fix_all("write `#` before each of its lines", edits)
}

/// Says that labels are written with `=`; `text` is how they are.
pub fn label_colon(span: Span, text: &str) -> Diagnostic {
    Diagnostic::new(Code::Expected, span, "a label's value follows `=`, not `:`").at(format!("expected `{text}`"))
}

/// Says that several things stand in brackets where they need others; `text` is how they are written.
pub fn list_in_brackets(span: Span, what: &str, text: &str) -> Diagnostic {
    let brackets = if text.starts_with('(') { "parentheses" } else { "braces" };
    Diagnostic::new(Code::UnionWithoutBraces, span, format!("several {what} stand in {brackets}")).fix(
        format!("write `{text}`"),
        span,
        text,
    )
}

/// Says that a URL is no endpoint; `rest` is what follows its `//`.
pub fn url(span: Span, scheme: &str, rest: &str, is_destination: bool) -> Diagnostic {
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let diagnostic = Diagnostic::new(Code::NotAHost, span, "a URL is not an endpoint, which has a host and a port")
        .at(format!("expected a host without `{scheme}://`"));
    let diagnostic = match (path.trim_end_matches('/'), scheme) {
        ("", _) => diagnostic,
        (path, "http" | "ws" | "grpc") => {
            diagnostic.note(format!("the path is asked for behind the destination: `where path \"{path}\"`"))
        }
        _ => diagnostic.note("of TLS only the host's name is seen: the path cannot be asked for"),
    };
    let port = port.map(str::to_owned).filter(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let bare_host = host.parse::<Ipv4Addr>().is_ok();
    let suffix = match (scheme, port) {
        _ if !is_destination => Some(String::new()),
        ("http" | "ws", Some(port)) if port != "80" => Some(format!(":{port}/http")),
        ("http" | "ws", _) if bare_host => Some(":80/http".into()),
        ("http" | "ws", _) => Some(":80".into()),
        ("https" | "wss", Some(port)) if port != "443" => Some(format!(":{port}/tls")),
        ("https" | "wss", _) if bare_host => Some(":443/tls".into()),
        ("https" | "wss", _) => Some(":443".into()),
        ("grpc", Some(port)) => Some(format!(":{port}/grpc")),
        (_, Some(port)) => Some(format!(":{port}")),
        _ => None,
    };
    let inner = host.strip_suffix(".cluster.local").unwrap_or(host).strip_suffix(".svc");
    let inside = inner
        .and_then(|name| name.split_once('.'))
        .filter(|(name, namespace)| is_dns_label(name) && is_dns_label(namespace));
    match (suffix, inside) {
        (Some(suffix), Some((name, namespace))) => {
            let port = suffix.trim_start_matches(':').split('/').next().unwrap_or_default();
            match port {
                "" => diagnostic.fix(format!("write `{namespace}/{name}`"), span, format!("{namespace}/{name}")),
                // Which ports a Service has is not known here.
                port => diagnostic.note(format!(
                    "a Service stands with one of its own ports: `{namespace}/{name}:{port}`, if {port} is one of them"
                )),
            }
        }
        (Some(suffix), None) if host.contains('.') && host_problem(host).is_none() => {
            let text = format!("{host}{suffix}");
            diagnostic.fix(format!("write `{text}`"), span, text)
        }
        (suffix, _) if !host.contains('.') && is_dns_label(host) => {
            let port = suffix.unwrap_or_default();
            let port = port.split('/').next().unwrap_or_default();
            diagnostic.note(format!("a Service is written with its namespace: `NAMESPACE/{host}{port}`"))
        }
        _ => diagnostic.note("a host has its port behind it: `api.example.com:443`"),
    }
}

/// Says that a port stands as a word of its own behind its endpoint.
pub fn port_behind(span: Span) -> Diagnostic {
    Diagnostic::new(Code::Expected, span, "a port follows its endpoint and a `:`").at("and is not told in words")
}

/// Says that a flow is written in words, `from … to …`; `word` is the first of them.
pub fn wrong_flow(span: Span, word: &str) -> Diagnostic {
    Diagnostic::new(Code::Expected, span, "a rule is written `SOURCE -> DESTINATION`")
        .at(format!("not in words, as with `{word}`"))
}

/// Says that an `allow` names one end only, `pods`.
pub fn one_end(span: Span, pods: &str) -> Diagnostic {
    Diagnostic::new(Code::Expected, span, "an `allow` names both ends of a flow")
        .at("no `->` follows, and no destination")
        .note(format!("to let everybody in: `allow ingress anywhere -> {pods}`"))
        .note(format!("to let these out everywhere: `allow egress {pods} -> anywhere`"))
}

/// Says that a `deny` names one end only.
pub fn deny_without_arrow(span: Span) -> Diagnostic {
    Diagnostic::new(Code::Expected, span, "a `deny` names both ends of a flow; pods are isolated by `default deny`")
        .at("no `->` follows, and no destination")
}
