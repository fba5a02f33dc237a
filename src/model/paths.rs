//! Paths of requests, as a mesh's normalisation leaves them.
//!
//! Envoy resolves `.` and `..`, takes a backslash for a slash, decodes letters, digits and `-._~`, and encodes what
//! must not stand in a path. Other encoded characters stay as the client wrote them, so that `/a%3Ab`, `/a%3ab` and
//! `/a:b` are three paths to the mesh, and one to most servers.

/// Printable characters that Envoy encodes where they stand in a path.
const ENCODED: &[u8] = b"\"<>^`{|}";
/// Characters that stand in a path as they are, and stay encoded if they came so.
const RESERVED: &[u8] = b"!$&'()*+,;:@=[]";

/// Returns a path, without its query, as the mesh compares it; `None` if the mesh refuses the request. Characters that
/// no client sends as they are, such as a space or `é`, are encoded first, as clients do.
pub fn normalize(path: &str, how: PathNormalization) -> Option<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let sent = encode(path, |byte| byte <= b' ' || byte >= 0x7f);
    if how == PathNormalization::None {
        return Some(sent);
    }
    let sent = match how {
        PathNormalization::DecodeAndMergeSlashes => decode_slashes(&sent),
        _ => sent,
    };
    let path = canonical(&sent)?;
    Some(if how < PathNormalization::MergeSlashes { path } else { merge_slashes(&path) })
}

/// Returns a path pattern as requests have it after normalisation: the same pattern if some request can match it, else
/// the one to propose. Segments `*` and a final `**` stay.
pub fn normal_pattern(pattern: &str, how: PathNormalization) -> String {
    // The letters that replace the stars are left alone by the mesh, and stand nowhere else in the pattern.
    let mut star = "x".to_owned();
    while pattern.contains(&star) {
        star.push('x');
    }
    let (one, all) = (format!("{star}-one"), format!("{star}-all"));
    let segments = pattern.split('/').map(|segment| match segment {
        "*" => one.clone(),
        "**" => all.clone(),
        other => encode_percent(other),
    });
    let path = segments.collect::<Vec<_>>().join("/");
    let path = normalize(&path, how).unwrap_or(path);
    let back = path.split('/').map(|segment| match segment {
        _ if segment == one => "*",
        _ if segment == all => "**",
        other => other,
    });
    back.collect::<Vec<_>>().join("/")
}

/// Returns all spellings of a text without slashes that the mesh tells apart and servers do not: `:`, `%3A` and `%3a`.
/// `None` if there are more than `most`.
pub fn spellings(text: &str, most: usize) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    for unit in units(text) {
        let ways = ways(unit);
        if all.len() * ways.len() > most {
            return None;
        }
        all = all.iter().flat_map(|begun| ways.iter().map(move |way| format!("{begun}{way}"))).collect();
    }
    Some(all)
}

/// Returns whether two texts without slashes are spellings of one.
pub fn same_spelling(one: &str, other: &str) -> bool {
    one == other || {
        let (mut left, mut right) = (units(one), units(other));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a == b || ways(a).first() == ways(b).first() => {}
                _ => return false,
            }
        }
    }
}

/// Returns the plainest spelling of a text: the same for all spellings of one text.
pub fn plainest(text: &str) -> String {
    units(text).map(|unit| ways(unit).into_iter().next().unwrap_or_default()).collect()
}

/// Divides a text into its characters, an encoded one taken together.
fn units(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let length = match rest.chars().next()? {
            '%' if decoded(rest.as_bytes()).is_some() => 3,
            other => other.len_utf8(),
        };
        let (unit, after) = rest.split_at(length);
        rest = after;
        Some(unit)
    })
}

/// Returns the ways to write a character, the plainest first.
fn ways(unit: &str) -> Vec<String> {
    let byte = match (unit.as_bytes(), decoded(unit.as_bytes())) {
        (_, Some(byte)) => byte,
        ([byte], None) if RESERVED.contains(byte) => *byte,
        _ => return vec![unit.to_owned()],
    };
    let mut ways = Vec::new();
    if RESERVED.contains(&byte) {
        ways.push(char::from(byte).to_string());
    }
    let digits = [byte >> 4, byte & 15].map(|digit| {
        let upper = char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase();
        if upper.is_ascii_digit() { vec![upper] } else { vec![upper, upper.to_ascii_lowercase()] }
    });
    let [first, second] = &digits;
    ways.extend(first.iter().flat_map(|a| second.iter().map(move |b| format!("%{a}{b}"))));
    ways
}

/// Returns the byte that an encoded character at the beginning of a text stands for.
fn decoded(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    match text {
        [b'%', a, b, ..] => Some(digit(*a)? * 16 + digit(*b)?),
        _ => None,
    }
}

fn encode(text: &str, which: impl Fn(u8) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if which(byte) {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

/// Encodes each `%` that begins no encoded character.
fn encode_percent(text: &str) -> String {
    units(text).map(|unit| if unit == "%" { "%25" } else { unit }).collect()
}

fn decode_slashes(path: &str) -> String {
    path.replace("%2F", "/").replace("%2f", "/").replace("%5C", "\\").replace("%5c", "\\")
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

/// Resolves dots and brings characters into their usual writing.
fn canonical(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let mut list = path.strip_prefix('/').unwrap_or(&path).split('/').peekable();
    let mut kept: Vec<String> = Vec::new();
    while let Some(segment) = list.next() {
        match dots(segment) {
            0 => kept.push(characters(segment)?),
            up => {
                if up == 2 {
                    kept.pop();
                }
                if list.peek().is_none() {
                    kept.push(String::new());
                }
            }
        }
    }
    Some(format!("/{}", kept.join("/")))
}

/// Returns 1 for `.`, 2 for `..`, and 0 for a segment that is neither. A `;` and the text after it do not count.
fn dots(segment: &str) -> usize {
    match segment.replace("%2e", ".").replace("%2E", ".").as_str() {
        "." => 1,
        ".." => 2,
        _ if segment.starts_with(".;") => 1,
        _ if segment.starts_with("..;") => 2,
        _ => 0,
    }
}

fn characters(segment: &str) -> Option<String> {
    let mut out = String::with_capacity(segment.len());
    // A `%` that begins no encoded character must not begin one afterwards.
    let mut bare: Option<usize> = None;
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        match decoded(rest) {
            Some(0) => return None,
            Some(byte) => {
                rest = &rest[3..];
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(char::from(byte));
                    if let Some(at) = bare {
                        let begun: Vec<u8> = out.bytes().skip(at).chain(rest.iter().copied()).take(3).collect();
                        if decoded(&begun).is_some() {
                            out.insert_str(at + 1, "25");
                            bare = None;
                        }
                    }
                } else {
                    out.push_str(std::str::from_utf8(&segment.as_bytes()[segment.len() - rest.len() - 3..][..3]).ok()?);
                }
            }
            None => {
                rest = after;
                if *first == b'%' {
                    bare = Some(out.len());
                }
                if ENCODED.contains(first) {
                    out.push_str(&format!("%{first:02X}"));
                } else {
                    out.push(char::from(*first));
                }
            }
        }
    }
    Some(out)
}

/// How the mesh normalises paths before it compares them (Istio's `pathNormalization`, in the order of strictness).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathNormalization {
    /// Paths stay as they are.
    None,
    /// RFC 3986 normalisation, backslashes become slashes. Istio's default.
    Base,
    /// As [`Self::Base`], and adjacent slashes are merged.
    MergeSlashes,
    /// As [`Self::MergeSlashes`], and `%2F` and `%5C` are decoded first.
    DecodeAndMergeSlashes,
}

impl PathNormalization {
    /// Every kind.
    pub const ALL: [PathNormalization; 4] = [
        PathNormalization::None,
        PathNormalization::Base,
        PathNormalization::MergeSlashes,
        PathNormalization::DecodeAndMergeSlashes,
    ];

    /// Returns Istio's name for it.
    pub fn word(self) -> &'static str {
        match self {
            PathNormalization::None => "NONE",
            PathNormalization::Base => "BASE",
            PathNormalization::MergeSlashes => "MERGE_SLASHES",
            PathNormalization::DecodeAndMergeSlashes => "DECODE_AND_MERGE_SLASHES",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Envoy makes of paths under BASE, MERGE_SLASHES and DECODE_AND_MERGE_SLASHES.
    #[test]
    fn paths_arrive_as_envoy_leaves_them() {
        let modes =
            [PathNormalization::Base, PathNormalization::MergeSlashes, PathNormalization::DecodeAndMergeSlashes];
        for (path, wanted) in [
            ("/caf%c3%a9", ["/caf%c3%a9"; 3]),
            ("/a/../b", ["/b"; 3]),
            ("/a/./b", ["/a/b"; 3]),
            ("/a/..", ["/"; 3]),
            ("/a/.", ["/a/"; 3]),
            ("/a//../b", ["/a/b"; 3]),
            ("/x//y", ["/x//y", "/x/y", "/x/y"]),
            ("/x//", ["/x//", "/x/", "/x/"]),
            ("//x", ["//x", "/x", "/x"]),
            ("/a%2Fb%5cc\\d", ["/a%2Fb%5cc/d", "/a%2Fb%5cc/d", "/a/b/c/d"]),
            ("/a/%2e%2E/b", ["/b"; 3]),
            ("/a/%2e./b", ["/b"; 3]),
            ("/a/...", ["/a/..."; 3]),
            ("/a/..b", ["/a/..b"; 3]),
            ("/%zz", ["/%zz"; 3]),
            ("/a%2", ["/a%2"; 3]),
            ("/../..", ["/"; 3]),
            ("/a%2f..%2fb", ["/a%2f..%2fb", "/a%2f..%2fb", "/b"]),
            ("/a%2f%2fb", ["/a%2f%2fb", "/a%2f%2fb", "/a/b"]),
            ("/a%252fb", ["/a%252fb"; 3]),
            ("/a?x=//../y", ["/a"; 3]),
            ("/%25%32%66", ["/%252f"; 3]),
            ("/a|b\"c`d{e}f^g<h>", ["/a%7Cb%22c%60d%7Be%7Df%5Eg%3Ch%3E"; 3]),
            ("/%5B%21%61", ["/%5B%21a"; 3]),
            ("/x/%2F../y", ["/x/%2F../y", "/x/%2F../y", "/x/y"]),
            ("/a/..;/b", ["/b"; 3]),
            ("/a/.;x/b", ["/a/b"; 3]),
            ("/a/...;/b", ["/a/...;/b"; 3]),
            ("/a/b;/c", ["/a/b;/c"; 3]),
            ("/%2%32", ["/%2522"; 3]),
            ("/%%32e", ["/%252e"; 3]),
            ("/%%32%65", ["/%252e"; 3]),
            ("/%2%2e/x", ["/%2./x"; 3]),
            ("/%x%32", ["/%x2"; 3]),
            ("/%2%%32e", ["/%2%252e"; 3]),
            ("/a b/café", ["/a%20b/caf%C3%A9"; 3]),
        ] {
            for (how, wanted) in modes.into_iter().zip(wanted) {
                assert_eq!(normalize(path, how).as_deref(), Some(wanted), "{path} {how:?}");
            }
        }
        assert_eq!(normalize("/a%00", PathNormalization::Base), None);
        assert_eq!(normalize("/a/../b", PathNormalization::None).as_deref(), Some("/a/../b"));
    }

    #[test]
    fn patterns_keep_their_stars() {
        for (pattern, wanted) in [
            ("/api/**", "/api/**"),
            ("/**", "/**"),
            ("/*/x/*", "/*/x/*"),
            ("/café/**", "/caf%C3%A9/**"),
            ("/x//y", "/x/y"),
            ("/a/../b", "/b"),
            ("/a/*/../**", "/a/**"),
            ("/a b", "/a%20b"),
            ("/100%", "/100%25"),
            ("/%61dmin", "/admin"),
            ("/a%2Fb", "/a/b"),
            ("/a//**", "/a/**"),
            ("/a/", "/a/"),
        ] {
            assert_eq!(normal_pattern(pattern, PathNormalization::DecodeAndMergeSlashes), wanted);
        }
        assert_eq!(normal_pattern("/x//y", PathNormalization::Base), "/x//y");
    }

    #[test]
    fn spellings_are_what_the_mesh_tells_apart() {
        assert_eq!(spellings("a-b", 8).unwrap(), ["a-b"]);
        assert_eq!(spellings("a:b", 8).unwrap(), ["a:b", "a%3Ab", "a%3ab"]);
        assert_eq!(spellings("%c3", 8).unwrap(), ["%C3", "%c3"]);
        assert_eq!(spellings("a%20b", 8).unwrap(), ["a%20b"]);
        assert_eq!(spellings("a::b", 8), None);
        assert!(same_spelling("a:b%c3", "a%3ab%C3") && same_spelling("x", "x"));
        assert!(!same_spelling("a:b", "a;b") && !same_spelling("a%2Fb", "a/b") && !same_spelling("a", "ab"));
    }
}
