//! Tests of `netpol fmt` as a command; what the layout is, the formatter's own tests say.

use super::{folder, netpol, netpol_with};

const TIDY: &str = "allow egress garden/* -> zenquotes.io:443\n";

#[test]
fn a_formatted_folder_is_left_as_it_is() {
    let here = folder(&[("a.netpol", TIDY), ("sub/b.netpol", TIDY), (".hidden/c.netpol", "((("), ("d.txt", "(((")]);
    for arguments in [&["fmt"][..], &["fmt", "--check"], &["fmt", "--diff"], &["fmt", ".", "a.netpol", "./a.netpol"]] {
        let run = netpol(here.path(), arguments);
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "", ""), "{arguments:?}");
    }
    assert_eq!(std::fs::read_to_string(here.path().join("a.netpol")).unwrap(), TIDY);
}

#[test]
fn stdin_is_formatted_to_stdout() {
    let here = folder(&[]);
    let run = netpol_with(here.path(), &["fmt", "-"], TIDY.as_bytes());
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, TIDY, ""));
}

#[test]
fn what_cannot_be_read_is_exit_2_and_what_is_no_text_is_exit_1() {
    let here = folder(&[("a.netpol", TIDY), ("empty/x.txt", "")]);
    let run = netpol(here.path(), &["fmt", "missing.netpol"]);
    assert_eq!(run.code, 2);
    assert_eq!(run.err, "error: cannot read `missing.netpol`: no such file or directory\n");
    let run = netpol(here.path(), &["fmt", "empty"]);
    assert_eq!((run.code, run.err.as_str()), (2, "error: there is no `*.netpol` file below `empty`\n"));

    std::fs::write(here.path().join("b.netpol"), b"# ok\n# F\xfcr\xfe\n# \xff\n").unwrap();
    let run = netpol(here.path(), &["fmt", "--error-format", "short", "b.netpol"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert_eq!(
        run.err,
        "b.netpol:2:4: error[E0911]: the file is not UTF-8 here\nb.netpol:3:3: error[E0911]: the file is not UTF-8 here\n"
    );
    let run = netpol(here.path(), &["fmt", "--error-format", "json", "b.netpol"]);
    assert_eq!((run.code, run.out.lines().count(), run.err.as_str()), (1, 2, ""));
}

#[test]
fn paths_are_told_from_the_folder_of_the_configuration() {
    let here = folder(&[("netpol.toml", ""), ("sub/b.netpol", "")]);
    std::fs::write(here.path().join("sub/b.netpol"), b"\xff").unwrap();
    for (arguments, from) in
        [(&["fmt", "--error-format", "short"][..], "sub"), (&["fmt", "--error-format", "short", "sub"], ".")]
    {
        let run = netpol(&here.path().join(from), arguments);
        assert_eq!(run.err, "sub/b.netpol:1:1: error[E0911]: the file is not UTF-8 here\n");
    }
}

const UNTIDY: &str = "allow   egress garden/*->zenquotes.io:443   # kept\n";
const TIDIED: &str = "allow egress garden/* -> zenquotes.io:443  # kept\n";

#[test]
fn files_are_formatted_in_place() {
    let here = folder(&[("a.netpol", UNTIDY), ("b.netpol", TIDY)]);
    let run = netpol(here.path(), &["fmt"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, "", "1 of 2 files formatted\n"));
    assert_eq!(std::fs::read_to_string(here.path().join("a.netpol")).unwrap(), TIDIED);
    let left: Vec<_> = std::fs::read_dir(here.path()).unwrap().collect();
    assert_eq!(left.len(), 2, "nothing is left beside them");
    assert_eq!(netpol(here.path(), &["fmt", "--check"]).code, 0);
    let run = netpol_with(here.path(), &["fmt", "-"], UNTIDY.as_bytes());
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, TIDIED, ""));
}

#[test]
fn check_and_diff_tell_and_write_nothing() {
    let here = folder(&[("a.netpol", UNTIDY)]);
    let run = netpol(here.path(), &["fmt", "--check"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (1, "", "a.netpol is not formatted\n"));
    let run = netpol(here.path(), &["fmt", "--diff"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.out, format!("--- a/a.netpol\n+++ b/a.netpol\n@@ -1 +1 @@\n-{UNTIDY}+{TIDIED}"));
    let run = netpol_with(here.path(), &["fmt", "--check", "-"], UNTIDY.as_bytes());
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (1, "", "<stdin> is not formatted\n"));
    assert_eq!(std::fs::read_to_string(here.path().join("a.netpol")).unwrap(), UNTIDY);
}

#[test]
fn what_cannot_be_parsed_stays_as_it_is_and_the_rest_is_formatted() {
    let broken = "allow   egress garden/* ->\n";
    let here = folder(&[("a.netpol", broken), ("b.netpol", UNTIDY)]);
    let run = netpol(here.path(), &["fmt", "--error-format", "json"]);
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    assert!(run.out.lines().count() == 1 && run.out.contains("\"path\":\"a.netpol\""), "{}", run.out);
    assert_eq!(std::fs::read_to_string(here.path().join("a.netpol")).unwrap(), broken);
    assert_eq!(std::fs::read_to_string(here.path().join("b.netpol")).unwrap(), TIDIED);
    let run = netpol_with(here.path(), &["fmt", "-"], broken.as_bytes());
    assert_eq!((run.code, run.out.as_str()), (1, ""));
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let here = folder(&[("real/a.netpol", UNTIDY)]);
    let real = here.path().join("real/a.netpol");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/a.netpol", here.path().join("link.netpol")).unwrap();
    let run = netpol(here.path(), &["fmt", "."]);
    assert_eq!((run.code, run.err.as_str()), (0, "1 of 1 file formatted\n"));
    assert!(std::fs::symlink_metadata(here.path().join("link.netpol")).unwrap().is_symlink());
    assert_eq!(std::fs::read_to_string(&real).unwrap(), TIDIED);
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}
