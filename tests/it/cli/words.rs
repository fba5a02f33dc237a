//! Tests of the verbs that print what is compiled in, and of usage.

use super::{folder, netpol};

#[test]
fn rule_prints_the_page_of_a_code() {
    let here = folder(&[]);
    let run = netpol(here.path(), &["rule", "e0902"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.starts_with("# E0902: the configuration has an unknown key\n"), "{}", run.out);
    let run = netpol(here.path(), &["rule", "E0992"]);
    assert_eq!((run.code, run.out.as_str()), (2, ""));
    assert!(run.err.starts_with("error: there is no code `E0992`; did you mean `E09"), "{}", run.err);
}

#[test]
fn completions_are_printed_for_every_shell() {
    let here = folder(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = netpol(here.path(), &["completions", shell]);
        assert_eq!((run.code, run.err.as_str()), (0, ""));
        assert!(run.out.contains("netpol") && run.out.contains("error-format"), "{shell}");
    }
}

#[test]
fn wrong_usage_is_told_on_stderr_and_help_on_stdout() {
    let here = folder(&[]);
    for arguments in [&["chekc"][..], &["rule"], &["fmt", "--error-format", "xml"], &["fmt", "--color"], &[]] {
        let run = netpol(here.path(), arguments);
        assert_eq!((run.code, run.out.as_str()), (2, ""), "{arguments:?}");
        assert!(run.err.contains("--help"), "{}", run.err);
    }
    let run = netpol(here.path(), &["--help"]);
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    assert!(run.out.contains("fmt"), "{}", run.out);
}
