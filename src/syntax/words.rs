//! Words and their forms: the language's own names, and the words that Kubernetes, DNS and HTTP accept.
//!
//! A check returns the mistake, as the end of a sentence that begins with the word, or nothing.

use std::net::Ipv6Addr;

use super::keyword::is_reserved;
use crate::model::names::{is_dns_label, is_dns_subdomain, is_label_key, is_label_value};

/// The words of Kubernetes that the language writes bare or as strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A namespace.
    Namespace,
    /// A workload, or a Service, that an endpoint names: the syntax does not tell which.
    Workload,
    /// A Service that is declared.
    Service,
    /// A service account.
    Account,
    /// The key of a label.
    LabelKey,
    /// The value of a label.
    LabelValue,
}

impl Kind {
    /// Returns the name of this kind, with its article.
    pub fn phrase(self) -> &'static str {
        match self {
            Kind::Namespace => "a namespace",
            Kind::Workload => "a workload",
            Kind::Service => "a Service",
            Kind::Account => "a service account",
            Kind::LabelKey => "a label's key",
            Kind::LabelValue => "a label's value",
        }
    }

    /// Returns the rule of Kubernetes for words of this kind.
    pub fn rule(self) -> &'static str {
        match self {
            Kind::Namespace => {
                "lower-case letters, digits and `-`, beginning and ending with a letter or digit, at most 63"
            }
            Kind::Service => "lower-case letters, digits and `-`, beginning with a letter, at most 63",
            Kind::Workload | Kind::Account => {
                "lower-case letters, digits, `-` and `.`, each part beginning and ending with a letter or digit, at most 253"
            }
            Kind::LabelKey => {
                "letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit, at most 63, and before \
                 it perhaps a DNS name and `/`"
            }
            Kind::LabelValue => {
                "letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit, at most 63, or nothing"
            }
        }
    }

    /// Returns whether Kubernetes accepts a word as one of this kind.
    pub fn accepts(self, text: &str) -> bool {
        match self {
            Kind::Namespace => is_dns_label(text),
            Kind::Service => is_dns_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase()),
            Kind::Workload | Kind::Account => is_dns_subdomain(text),
            Kind::LabelKey => is_label_key(text),
            Kind::LabelValue => is_label_value(text),
        }
    }
}

/// Returns whether a text is a name of the language.
pub fn is_name(text: &str) -> bool {
    is_dns_label(text) && text.starts_with(|c: char| c.is_ascii_lowercase())
}

/// Returns a word that is near to the given one and that `accepts` takes: in lower case, with dashes for underscores.
pub fn nearest_accepted(text: &str, accepts: impl Fn(&str) -> bool) -> Option<String> {
    let lower = text.to_ascii_lowercase().replace('_', "-");
    let trimmed = lower.trim_matches('-');
    (trimmed != text && accepts(trimmed) && !is_reserved(trimmed)).then(|| trimmed.to_owned())
}

/// Returns why a text, without the `*.` of a wildcard, is no name of a host.
pub fn host_problem(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("has no name");
    }
    if text.ends_with('.') {
        return Some("ends in a dot, which is left out here");
    }
    if text.len() > 253 {
        return Some("is longer than 253 characters");
    }
    for label in text.split('.') {
        if label.is_empty() {
            return Some("has two dots without a name between them, or begins with one");
        }
        if label.len() > 63 {
            return Some("has a part of more than 63 characters");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return Some("has a part that begins or ends with `-`");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Some("has a character that is no letter, digit or `-`");
        }
    }
    None
}

/// Returns whether the last label of a name is a number, in digits or as `0x7f`: some resolvers read such a name as an
/// address.
pub fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    match last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")) {
        Some(rest) => rest.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => last.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Returns whether a word is an HTTP method.
pub fn is_method(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
}

/// Returns why a text is no name of a header that a condition may ask for.
pub fn header_problem(text: &str) -> Option<&'static str> {
    let of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() {
        return Some("a header has a name");
    }
    if !text.bytes().all(of_name) {
        return Some("the name of a header has letters, digits and `-`");
    }
    text.eq_ignore_ascii_case("host").then_some("the host of a request is asked for by `where host`")
}

/// Returns whether a word is a name of a port: what Kubernetes accepts, with at least one letter.
pub fn is_port_name(text: &str) -> bool {
    is_dns_label(text) && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Reads an IPv6 address, or a network with the length of its prefix.
pub fn read_ipv6(text: &str) -> Option<(Ipv6Addr, Option<u8>)> {
    let (ip, prefix) = match text.split_once('/') {
        Some((ip, prefix)) if is_digits(prefix) && prefix.len() <= 3 => (ip, Some(prefix.parse::<u8>().ok()?)),
        Some(_) => return None,
        None => (text, None),
    };
    let ip = ip.parse::<Ipv6Addr>().ok()?;
    prefix.is_none_or(|prefix| prefix <= 128).then_some((ip, prefix))
}

/// Returns a text that ends in a port after an IPv6 address or network, with the brackets that it needs.
pub fn bracketed_with_port(text: &str) -> Option<String> {
    let (address, port) = text.rsplit_once(':')?;
    let number = port.split('/').next().filter(|number| is_digits(number) && number.parse::<u16>().is_ok());
    (number.is_some() && read_ipv6(address).is_some()).then(|| format!("[{address}]:{port}"))
}

/// Returns whether an endpoint must be pods, by the text of its statement before it: both ends of a rule without a
/// direction, else the one that the direction governs.
pub fn is_governed(before: &str) -> bool {
    let mut words = before.split_ascii_whitespace();
    let is_right = before.contains("->");
    match (words.next(), words.next()) {
        (Some("default" | "scope" | "pods"), _) => true,
        (Some("allow" | "deny"), Some("egress")) => !is_right,
        (Some("allow" | "deny"), Some("ingress")) => is_right,
        (first, _) => matches!(first, Some("allow" | "deny")),
    }
}

/// Returns whether a text is of digits, at least one.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubernetes_rules_hold_at_their_limits() {
        for (kind, text, accepted) in [
            (Kind::Namespace, "a", true),
            (Kind::Namespace, "0-0", true),
            (Kind::Namespace, "a.b", false),
            (Kind::Namespace, "a_b", false),
            (Kind::Namespace, "A", false),
            (Kind::Namespace, "-a", false),
            (Kind::Namespace, "a-", false),
            (Kind::Namespace, "", false),
            (Kind::Service, "0a", false),
            (Kind::Service, "a0", true),
            (Kind::Workload, "web.v2", true),
            (Kind::Workload, "web..v2", false),
            (Kind::Workload, "web.-v2", false),
            (Kind::LabelKey, "example.com/a_B.c", true),
            (Kind::LabelKey, "Example.com/a", false),
            (Kind::LabelKey, "a/b/c", false),
            (Kind::LabelKey, "/a", false),
            (Kind::LabelKey, "", false),
            (Kind::LabelValue, "", true),
            (Kind::LabelValue, "A.b_c-9", true),
            (Kind::LabelValue, "a.", false),
        ] {
            assert_eq!(kind.accepts(text), accepted, "{kind:?} {text}");
        }
        let long = "a".repeat(63);
        assert!(Kind::Namespace.accepts(&long) && Kind::LabelValue.accepts(&long) && Kind::LabelKey.accepts(&long));
        let longer = long.clone() + "a";
        assert!(!Kind::Namespace.accepts(&longer) && !Kind::LabelValue.accepts(&longer));
        assert!(Kind::Workload.accepts(&longer) && !Kind::LabelKey.accepts(&longer));
        let domain = [&long, &long, &long, &"a".repeat(61)].map(String::as_str).join(".");
        assert!(domain.len() == 253 && Kind::Workload.accepts(&domain) && !Kind::Workload.accepts(&(domain + "a")));
    }

    #[test]
    fn hosts_have_whole_labels() {
        for host in ["a.b", "9.example.com", "A-b.example", "xn--bcher-kva.example"] {
            assert_eq!(host_problem(host), None, "{host}");
        }
        for host in ["", "a.", ".a", "a..b", "-a.b", "a-.b", "a_b.c", "a.b/c"] {
            assert!(host_problem(host).is_some(), "{host}");
        }
    }
}
