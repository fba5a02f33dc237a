//! Mistakes in endpoints and ports.

use crate::diag::{Code, Diagnostic, nearest};
use crate::source::Span;

/// The protocols of ports.
pub const PROTOCOLS: [&str; 8] = ["tcp", "udp", "sctp", "icmp", "http", "grpc", "tls", "https"];

/// Says that a lone star, number or string names nothing. `governed` says that only pods can stand there.
pub fn not_an_endpoint(span: Span, text: &str, governed: bool) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::Expected, span, format!("`{text}` is not an endpoint"));
    let star = |diagnostic: Diagnostic| diagnostic.fix("for every pod of every namespace write `*/*`", span, "*/*");
    match text {
        "*" if governed => star(diagnostic),
        "*" => star(diagnostic).fix("for public addresses write `internet`", span, "internet").fix(
            "for everybody, in the cluster or not, write `anywhere`",
            span,
            "anywhere",
        ),
        _ if text.starts_with('"') => {
            diagnostic.note("a string names a workload behind its namespace: `garden/\"web.v2\"`")
        }
        _ => diagnostic.note(ENDPOINTS),
    }
}

/// The forms of endpoints, for messages.
pub const ENDPOINTS: &str =
    "an endpoint is pods (`garden/web`), a host (`example.com:443`), an address (`203.0.113.0/24`) or a name";

/// Says why a host is none.
pub fn not_a_host(span: Span, text: &str, why: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NotAHost, span, format!("the host `{text}` {why}"));
    match text.strip_suffix('.') {
        Some(host) if crate::syntax::words::host_problem(host).is_none() => {
            let dot = Span { start: span.end - 1, ..span };
            // A string ends in its quote.
            let dot = if span.end - span.start == text.len() as u32 {
                dot
            } else {
                Span { start: dot.start - 1, end: dot.start, ..dot }
            };
            diagnostic.fix(format!("write `{host}`"), dot, "")
        }
        _ => diagnostic,
    }
}

/// Says that a text of digits and dots is no IPv4 address or network.
pub fn not_ipv4(span: Span, address: &str, prefix: Option<&str>) -> Diagnostic {
    let parts: Vec<&str> = address.split('.').collect();
    let text = match prefix {
        Some(prefix) => format!("{address}/{prefix}"),
        None => address.to_owned(),
    };
    let large = |part: &&&str| part.parse::<u16>().map_or(part.len() > 3, |number| number > 255);
    let why = if parts.iter().any(|part| part.is_empty()) {
        "a number is missing beside a dot".to_owned()
    } else if parts.len() != 4 {
        format!("an IPv4 address has four numbers, and here are {}", parts.len())
    } else if let Some(part) = parts.iter().find(large) {
        format!("{part} is more than 255")
    } else if let Some(part) = parts.iter().find(|part| part.len() > 1 && part.starts_with('0')) {
        format!("{part} begins with 0, which some readers take for octal")
    } else {
        "a prefix is a number from 0 to 32".to_owned()
    };
    let what = if prefix.is_some() { "network" } else { "address" };
    Diagnostic::new(Code::NotAnAddress, span, format!("`{text}` is not an IPv4 {what}")).at(why)
}

/// Says that pods cannot follow an address.
pub fn pods_of_address(span: Span, address: &str, after: &str) -> Diagnostic {
    Diagnostic::new(Code::NotAnAddress, span, format!("`{address}/{after}` is not an IPv4 network"))
        .at("after the address and its `/` stands the length of the prefix, from 0 to 32")
}

/// Says that a text is no IPv6 address or network.
pub fn not_ipv6(span: Span, text: &str) -> Diagnostic {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let diagnostic = Diagnostic::new(Code::NotAnAddress, span, format!("`{bare}` is not an IPv6 address or network"));
    let (ip, prefix) = bare.split_once('/').unwrap_or((bare, ""));
    if ip.parse::<std::net::Ipv4Addr>().is_ok() {
        return diagnostic.at("brackets are for IPv6 alone").fix(format!("write `{bare}`"), span, bare);
    }
    if ip.matches("::").count() > 1 {
        diagnostic.at("`::` stands once at most")
    } else if ip.contains('%') {
        diagnostic.at("an address of a policy has no zone")
    } else if ip.parse::<std::net::Ipv6Addr>().is_ok() && !prefix.is_empty() {
        diagnostic.at("a prefix is a number from 0 to 128")
    } else {
        diagnostic.at("eight groups of hexadecimal digits, or fewer and one `::`")
    }
}

/// Says that an IPv6 address needs brackets; `repairs` are what could have been meant.
pub fn needs_brackets(span: Span, text: &str, repairs: &[String]) -> Diagnostic {
    let mut diagnostic =
        Diagnostic::new(Code::NeedsBrackets, span, format!("the IPv6 address `{text}` needs brackets"))
            .at("without them its end and a port look alike");
    for repair in repairs {
        diagnostic = diagnostic.fix(format!("write `{repair}`"), span, repair.clone());
    }
    diagnostic
}

/// Says that the prefix of an IPv6 network stands behind its brackets.
pub fn prefix_outside(span: Span, text: &str, repair: String) -> Diagnostic {
    Diagnostic::new(Code::NotAnAddress, span, format!("`{text}` is not an IPv6 network"))
        .at("the prefix stands inside the brackets")
        .fix(format!("write `{repair}`"), span, repair)
}

/// Says why a port is none; `read` says that a protocol follows.
pub fn not_a_port(span: Span, text: &str, why: &str, read: bool) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::NotAPort, span, format!("`{text}` is not a port: {why}"));
    let plain = text.trim_start_matches('0');
    match text.split_once('-') {
        _ if text == "0" && read => diagnostic.fix("for every port write `*`", span, "*"),
        _ if text == "0" => diagnostic
            .fix("for every port of tcp write `*`", span, "*")
            .note("without a suffix every port of every protocol is meant"),
        _ if plain.len() < text.len() && plain.parse::<u16>().is_ok() => {
            diagnostic.at("no zero stands before a number").fix(format!("write `{plain}`"), span, plain)
        }
        Some((first, last))
            if first.parse::<u16>().is_ok_and(|first| last.parse().is_ok_and(|last| first > last && last > 0)) =>
        {
            let turned = format!("{last}-{first}");
            diagnostic.fix(format!("write `{turned}`"), span, turned)
        }
        _ if text.parse::<u64>().is_ok_and(|port| port > 65535) => diagnostic.at("the last port is 65535"),
        _ => diagnostic,
    }
}

/// Says that there is no such protocol.
pub fn unknown_protocol(span: Span, word: &str) -> Diagnostic {
    let note =
        "the protocols are `tcp`, `udp`, `sctp`, `icmp`, and for tcp ports that are read `http`, `grpc` and `tls`";
    if word.is_empty() {
        return Diagnostic::new(Code::UnknownProtocol, span, "expected a protocol after `/`").note(note);
    }
    let diagnostic = Diagnostic::new(Code::UnknownProtocol, span, format!("there is no protocol `{word}`"));
    let lower = word.to_ascii_lowercase();
    match PROTOCOLS.into_iter().find(|&one| one == lower) {
        Some(same) => diagnostic.at("protocols are lower case").fix(format!("write `{same}`"), span, same),
        None => match nearest(&lower, PROTOCOLS) {
            Some(near) => diagnostic.note(note).fix(format!("did you mean `{near}`?"), span, near),
            None => diagnostic.note(note),
        },
    }
}

/// Says that a port's protocol stands before its number.
pub fn swapped_port(span: Span, number: &str, protocol: &str) -> Diagnostic {
    Diagnostic::new(Code::NotAPort, span, format!("the port stands before its protocol: `{number}/{protocol}`")).fix(
        format!("write `{number}/{protocol}`"),
        span,
        format!("{number}/{protocol}"),
    )
}

/// Says that icmp has no ports.
pub fn icmp_port(span: Span) -> Diagnostic {
    Diagnostic::new(Code::IcmpPort, span, "icmp has no ports, and is written `:*/icmp`").fix(
        "write `*/icmp`",
        span,
        "*/icmp",
    )
}

/// Says that a protocol stands without a port.
pub fn protocol_without_port(span: Span, endpoint: &str, protocol: &str) -> Diagnostic {
    let port = match protocol {
        "http" => "80",
        "tls" | "https" => "443",
        _ => "*",
    };
    let repair = format!("{endpoint}:{port}/{protocol}");
    Diagnostic::new(Code::ProtocolWithoutPort, span, format!("`/{protocol}` stands behind a port, and here is none"))
        .fix(format!("write `{repair}`"), span, repair)
}

/// Says that ports are written twice: `suffixes` are what follows the first `:`, as in `8000:8999`.
pub fn two_suffixes(span: Span, suffixes: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::TwoSuffixes, span, "ports are written twice here");
    let ports: Vec<&str> = suffixes.split(':').collect();
    let number = |text: &str| text.parse::<u16>().ok().filter(|&port| port > 0 && !text.starts_with(['0', '+']));
    let [first, second] = ports.as_slice() else {
        return diagnostic.note("several ports of one endpoint stand in braces: `:{80, 443}`");
    };
    let (last, protocol) = second.split_at(second.find('/').unwrap_or(second.len()));
    let (Some(low), Some(high)) = (number(first), number(last)) else {
        let bare = |text: &str| text.trim_start_matches('{').trim_end_matches('}').trim().to_owned();
        return diagnostic.fix(
            format!("write `:{{{}, {}}}`", bare(first), bare(second)),
            span,
            format!("{{{}, {}}}", bare(first), bare(second)),
        );
    };
    let diagnostic = match low < high {
        true => {
            let range = format!("{low}-{high}{protocol}");
            diagnostic.fix(format!("for a range write `:{range}`"), span, range)
        }
        false => diagnostic,
    };
    let both = format!("{{{low}{protocol}, {high}{protocol}}}");
    diagnostic.fix(format!("for these two write `:{both}`"), span, both)
}

/// Says that namespaces in braces before a `/` look like labels; `repair` is what was meant.
pub fn keys_before_slash(span: Span, repair: &str) -> Diagnostic {
    Diagnostic::new(Code::NamesAsLabels, span, "these are names of labels, and not of namespaces")
        .at("namespaces that have all of these labels, whatever their values")
        .fix(format!("write `{repair}`"), span, repair)
}

/// Says that labels stand on their own.
pub fn labels_alone(span: Span, text: &str) -> Diagnostic {
    Diagnostic::new(Code::LabelsAlone, span, "labels stand beside a `/`, and here they stand alone")
        .note(format!("pods with these labels are `NAMESPACE/{text}` or, in any namespace, `*/{text}`"))
        .note(format!("the pods of namespaces with these labels are `{text}/*`"))
}

/// Says that a union touches a slash.
pub fn union_at_slash(span: Span) -> Diagnostic {
    Diagnostic::new(Code::UnionAtSlash, span, "beside a `/` braces hold labels, and this is none")
        .note("a union is of whole endpoints: `{ team-a/web, team-b/web }`")
}

/// Says that `at` gives addresses to something that cannot take them.
pub fn host_at(span: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::HostAt, span, why)
        .note("a host with fixed addresses has a name: `let db = host db.internal at 203.0.113.50`; its port stands where it is used")
}

/// Says what the block of a host looks like.
pub fn origination(span: Span, why: &str) -> Diagnostic {
    Diagnostic::new(Code::HostBlock, span, why)
        .note("the mesh opens TLS at a port of a host so: `let api = host api.example.com { port 80/http -> 443/tls }`, then `api:80`")
}

/// Says that an arrow is misspelled.
pub fn wrong_arrow(span: Span, found: &str) -> Diagnostic {
    let diagnostic = Diagnostic::new(Code::WrongArrow, span, format!("`{found}` is not the arrow of the language"));
    match (found.starts_with('<'), found.ends_with('>')) {
        (true, false) => diagnostic.at("traffic is written from its source to its destination"),
        (true, true) => diagnostic.fix("write `<->`", span, "<->"),
        (false, _) => diagnostic.fix("write `->`", span, "->"),
    }
}

/// Says that too many `except` follow each other.
pub fn too_many_excepts(span: Span, most: usize) -> Diagnostic {
    Diagnostic::new(Code::TextLimit, span, format!("more than {most} `except` follow each other here"))
        .note("`except { a, b }` takes both away at once")
}
