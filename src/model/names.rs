//! Kubernetes' own rules for names, label keys and values, and port names (apimachinery's `validation` package, which
//! takes them from RFC 1123 and RFC 6335).

/// Returns whether `name` is a DNS label, as names of namespaces and Services are: lower-case letters, digits and inner
/// `-`, at most 63.
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63 && framed(name, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), b"-")
}

/// Returns whether `name` is a DNS subdomain, as names of workloads and service accounts are: DNS labels joined by
/// dots, at most 253 characters.
pub fn is_dns_subdomain(name: &str) -> bool {
    let part = |part| framed(part, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), b"-");
    name.len() <= 253 && name.split('.').all(part)
}

/// Returns whether `value` is a label value: empty, or letters, digits and inner `-`, `_`, `.`, at most 63.
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_qualified(value)
}

/// Returns whether `key` is a label key: a name as a non-empty label value has it, perhaps after a DNS subdomain and a
/// `/`.
pub fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_qualified(name),
        None => is_qualified(key),
    }
}

/// Returns whether `name` is a port name (RFC 6335): lower-case letters, digits and single inner `-`, with a letter, at
/// most 15.
pub fn is_port_name(name: &str) -> bool {
    name.len() <= 15
        && framed(name, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), b"-")
        && !name.contains("--")
        && name.bytes().any(|c| c.is_ascii_lowercase())
}

fn is_qualified(name: &str) -> bool {
    name.len() <= 63 && framed(name, |c| c.is_ascii_alphanumeric(), b"-_.")
}

/// Returns whether `name` begins and ends with an `outer` byte and has only these and `inner` ones between.
fn framed(name: &str, outer: impl Fn(u8) -> bool, inner: &[u8]) -> bool {
    let ends = |c: Option<u8>| c.is_some_and(&outer);
    ends(name.bytes().next()) && ends(name.bytes().next_back()) && name.bytes().all(|c| outer(c) || inner.contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_shapes_that_the_api_server_takes() {
        let long = "a".repeat(64);
        for (name, label, subdomain, key, value) in [
            ("web", true, true, true, true),
            ("web.v2", false, true, true, true),
            ("Web", false, false, true, true),
            ("web-", false, false, false, false),
            ("", false, false, false, true),
            ("a..b", false, false, true, true),
            ("a_b", false, false, true, true),
            ("é", false, false, false, false),
            ("example.com/app", false, false, true, false),
            ("Example.com/app", false, false, false, false),
            ("a/b/c", false, false, false, false),
            ("/a", false, false, false, false),
            (&long, false, true, false, false),
        ] {
            assert_eq!(is_dns_label(name), label, "label {name}");
            assert_eq!(is_dns_subdomain(name), subdomain, "subdomain {name}");
            assert_eq!(is_label_key(name), key, "key {name}");
            assert_eq!(is_label_value(name), value, "value {name}");
        }
        for (name, port) in
            [("http", true), ("80", false), ("h2-web", true), ("a--b", false), ("sixteen-letters-x", false)]
        {
            assert_eq!(is_port_name(name), port, "port {name}");
        }
    }
}
