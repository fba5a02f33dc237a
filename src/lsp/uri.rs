//! The addresses of documents: files, and the texts that the server itself has (pages of codes, the standard library).

use std::path::{Path, PathBuf};

use lsp_types::Uri;

/// The scheme of the server's own texts, which a client reads by `workspace/textDocumentContent`.
pub const SCHEME: &str = "netpol";

/// Returns the path of a file's address. A document that is no file yet, as `untitled:Untitled-1`, is its own path; the
/// server's own texts have none.
pub fn path(uri: &Uri) -> Option<PathBuf> {
    let text = uri.0.as_str();
    let Some(rest) = text.strip_prefix("file://") else {
        return (!text.starts_with("netpol:")).then(|| PathBuf::from(text));
    };
    // A host name before the path is this machine.
    let path = rest.find('/').and_then(|at| rest.get(at..))?;
    let path = decoded(path);
    let is_drive = path.as_bytes().get(2) == Some(&b':') && cfg!(windows);
    Some(PathBuf::from(if is_drive { &path[1..] } else { &path }))
}

/// Returns the address of a file.
pub fn of_file(path: &Path) -> Uri {
    let text = path.to_string_lossy();
    if !path.is_absolute() {
        return Uri(text.into_owned());
    }
    let text = if cfg!(windows) { format!("/{}", text.replace('\\', "/")) } else { text.into_owned() };
    let mut uri = String::from("file://");
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    Uri(uri)
}

/// Returns the address of a text of the server: `std/kyma.netpol`, `rule/E0312.md`.
pub fn of_own(name: &str) -> Uri {
    Uri(format!("{SCHEME}:///{name}"))
}

/// Returns the name of a text of the server.
pub fn own(uri: &Uri) -> Option<String> {
    uri.0.strip_prefix("netpol:").map(|rest| decoded(rest.trim_start_matches('/')))
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_lead_to_each_other() {
        for path in ["/srv/shop/a.netpol", "/srv/a b/ü%20#.netpol"] {
            let uri = of_file(Path::new(path));
            assert!(uri.0.is_ascii() && !uri.0.contains([' ', '#']), "{}", uri.0);
            assert_eq!(super::path(&uri), Some(PathBuf::from(path)));
        }
        assert_eq!(super::path(&Uri("file://localhost/a%zz".into())), Some(PathBuf::from("/a%zz")));
        assert_eq!(super::path(&Uri("untitled:Untitled-1".into())), Some(PathBuf::from("untitled:Untitled-1")));
        assert_eq!(super::path(&of_own("std/net.netpol")), None);
        assert_eq!(own(&of_own("std/net.netpol")).as_deref(), Some("std/net.netpol"));
    }
}
