//! The language as its documents have it: the specification, the reference, README, the standard library, the examples.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{Case, cases, check, differences, findings, is_of_layers, judge, root};

/// Findings that an excerpt may have: names that it does not use.
fn of_excerpts(code: &str) -> bool {
    ["W0220", "W0221", "W0420"].contains(&code)
}

/// Every error and warning of the language is provoked, on its line, and correct lines have none. What layers can
/// enforce is not tested here.
#[test]
fn specification() {
    judge(&markdown("tests/spec"), |case| differences(case, is_of_layers));
}

/// Every block of the reference is right, or wrong with the code that its fence names.
#[test]
fn reference() {
    let cases = [root().join("docs/language.md"), root().join("README.md")];
    let cases: Vec<Case> = cases.iter().flat_map(|path| self::cases(path)).collect();
    judge(&cases, |case| {
        let due: BTreeSet<&str> =
            case.info.iter().skip_while(|word| *word != "error").skip(1).map(String::as_str).collect();
        if due.is_empty() {
            return differences(case, of_excerpts);
        }
        match check(&case.files) {
            Err(why) => vec![why],
            Ok(found) => {
                let errors = found.iter().filter(|one| one.severity == "error" && !is_of_layers(&one.code));
                let errors: BTreeSet<&str> = errors.map(|one| one.code.as_str()).collect();
                if errors == due { Vec::new() } else { vec![format!("{errors:?} where {due:?} was due")] }
            }
        }
    });
}

/// Every fence of the reference is one that a test looks at.
#[test]
fn reference_has_no_block_without_a_test() {
    let text = fs::read_to_string(root().join("docs/language.md")).unwrap();
    let fences: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("```")).filter(|info| !info.is_empty()).collect();
    assert!(fences.len() > 40, "the reference has {} blocks", fences.len());
    for info in fences {
        let words: Vec<&str> = info.split(' ').collect();
        let known = matches!(words.as_slice(), ["netpol"] | ["yaml"] | ["toml"] | ["text"])
            || matches!(words.as_slice(), ["netpol", "error", ..] if words.len() > 2)
            || matches!(words.as_slice(), ["netpol", path] if path.starts_with("path="));
        assert!(known, "```{info}");
    }
}

/// What README shows of the headline sentence is what comes out.
#[test]
fn readme_shows_what_comes_out() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shown =
        |fence: &str| readme.split(fence).nth(1).and_then(|rest| rest.split("\n```").next()).unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_netpol"));
    let output = command.current_dir(root()).args(["build", "examples/headline", "-o", "-"]).output().unwrap();
    let (yaml, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(yaml.contains(&shown("```yaml\n")), "{yaml}");
    assert!(said.contains(&shown("```text\n")), "{said}");
}

/// Every example is a policy without an error.
#[test]
fn examples() {
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for path in netpol_files(&root().join("examples")) {
        folders.insert(path.parent().unwrap().to_path_buf());
    }
    assert!(folders.len() >= 20, "{} examples", folders.len());
    for folder in folders {
        let mut command = Command::new(env!("CARGO_BIN_EXE_netpol"));
        command.current_dir(root()).arg("check").arg(&folder).args(["--error-format", "json", "--now", "2026-11-01"]);
        let found = findings(&mut command).unwrap();
        // The layer of the first does not exist yet, and the second is built for a filter alone; what layers say is no
        // matter of the language.
        let foreign = folder.ends_with("cilium") || folder.ends_with("runtime/proxy");
        let errors: Vec<String> = found
            .iter()
            .filter(|one| one.severity == "error" && !(foreign && is_of_layers(&one.code)))
            .map(ToString::to_string)
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", folder.display());
    }
}

/// Every name of the standard library has a documentation comment and means something, on every platform.
#[test]
fn standard_library() {
    let arguments = [
        ("mesh-control-plane", "istio-system"),
        ("meshed", "garden/{app=web}"),
        ("ambient", "garden/{app=web}"),
        ("kyma-operator", "kyma-system"),
        ("nlb-health-checks", "istio-system/{istio=ingressgateway}, 10.0.0.0/16"),
    ];
    let platforms = netpol_files(&root().join("stdlib/prelude"));
    assert_eq!(platforms.len(), 8);
    for path in netpol_files(&root().join("stdlib")) {
        let text = fs::read_to_string(&path).unwrap();
        let module = path.file_stem().unwrap().to_string_lossy().to_string();
        let is_prelude = path.parent().unwrap().ends_with("prelude");
        let mut policy = if is_prelude { String::new() } else { format!("use std/{module}\n") };
        let mut documented = false;
        for line in text.lines() {
            let words: Vec<&str> = line.split([' ', '(']).collect();
            match words.as_slice() {
                ["let" | "gateway", name, ..] => policy += &format!("allow egress garden/* -> {name}\n"),
                ["template", name, ..] => {
                    let (_, arguments) = arguments.iter().find(|(known, _)| known == name).unwrap();
                    policy += &format!("apply {name}({arguments})\n");
                }
                ["service", ..] => {}
                _ => {
                    documented = line.starts_with("##") || documented && line.starts_with('#');
                    continue;
                }
            }
            assert!(documented, "{}: `{line}` has no documentation comment", path.display());
            documented = false;
        }
        assert!(policy.lines().count() > 1, "{}", path.display());
        for platform in &platforms {
            let platform = platform.file_stem().unwrap().to_string_lossy().to_string();
            if is_prelude && platform != module {
                continue;
            }
            let files = [
                ("policy.netpol".to_string(), policy.clone().into_bytes()),
                ("netpol.toml".to_string(), format!("[cluster]\nplatform = \"{platform}\"\n").into_bytes()),
            ];
            let found = check(&files.into()).unwrap();
            let errors: Vec<String> =
                found.iter().filter(|one| one.severity == "error").map(ToString::to_string).collect();
            assert!(errors.is_empty(), "{module} on {platform}: {errors:#?}\n{policy}");
        }
    }
}

/// The names of the library, judged flow by flow: platform, an egress destination, a party, the verdict.
const FACTS: &[(&str, &str, &str, &str)] = &[
    ("kubernetes", "dns", "kube-system/{k8s-app=kube-dns}:53/udp", "allow"),
    ("kubernetes", "dns", "kube-system/{k8s-app=kube-dns}:53", "allow"),
    ("kubernetes", "dns", "kube-system/{k8s-app=kube-dns}:9153", "deny"),
    ("kubernetes", "dns", "kube-system/{k8s-app=metrics-server}:53", "deny"),
    ("kubernetes", "dns", "169.254.20.10:53", "deny"),
    ("kyma", "dns", "kube-system/{k8s-app=kube-dns}:8053/udp", "allow"),
    ("kyma", "dns", "169.254.20.10:53/udp", "allow"),
    ("kyma", "dns", "169.254.20.10:8053/udp", "deny"),
    ("gardener", "dns", "[fd30:1319:f1e:230b::1]:53/udp", "allow"),
    ("gke", "dns", "169.254.169.254:53/udp", "allow"),
    ("gke", "dns", "169.254.169.254:80", "deny"),
    ("aks", "dns", "169.254.10.11:53/udp", "allow"),
    ("openshift", "dns", "openshift-dns/{dns.operator.openshift.io/daemonset-dns=default}:5353/udp", "allow"),
    ("openshift", "dns", "kube-system/{k8s-app=kube-dns}:53/udp", "deny"),
    ("kubernetes", "internet", "8.8.8.8:443", "allow"),
    ("kubernetes", "internet", "[2606:4700::1111]:443", "allow"),
    ("kubernetes", "internet", "172.15.255.255:443", "allow"),
    ("kubernetes", "internet", "172.16.0.0:443", "deny"),
    ("kubernetes", "internet", "100.64.0.1:443", "deny"),
    ("kubernetes", "internet", "169.254.169.254:80", "deny"),
    ("kubernetes", "internet", "[fd00:ec2::254]:80", "deny"),
    ("kubernetes", "internet", "224.0.0.1:443", "deny"),
    ("kubernetes", "private", "192.168.1.1:443", "allow"),
    ("kubernetes", "private", "[fd00::1]:443", "allow"),
    ("kubernetes", "private", "169.254.169.254:80", "deny"),
    ("kubernetes", "anywhere", "kube-system/{a=b}:1", "allow"),
    ("kubernetes", "anywhere", "[2001:db8::1]:*/icmp", "allow"),
    ("kubernetes", "metadata", "169.254.169.254:80", "allow"),
    ("kubernetes", "metadata", "[fd00:ec2::254]:80", "allow"),
    ("kubernetes", "any-apiserver", "10.0.0.1:6443", "allow"),
    ("kubernetes", "any-apiserver", "10.0.0.1:8443", "deny"),
    ("kubernetes", "any-apiserver", "169.254.169.254:443", "deny"),
    ("kubernetes", "any-apiserver", "[fd00:ec2::254]:443", "deny"),
    ("kubernetes", "istiod", "istio-system/{app=istiod}:15012", "allow"),
    ("kubernetes", "istiod", "istio-system/{app=istiod}:15010", "deny"),
    ("kubernetes", "ingress-gateway", "istio-system/{istio=ingressgateway}:8443", "allow"),
    ("kubernetes", "ingress-gateway", "istio-system/{istio=ingressgateway}:443", "deny"),
    ("kyma", "nats", "kyma-system/eventing-nats:4222", "allow"),
    ("kyma", "nats", "kyma-system/eventing-nats:8222", "deny"),
];

#[test]
fn library_facts() {
    for (platform, destination, to, verdict) in FACTS {
        let folder = tempfile::tempdir().unwrap();
        let policy = format!(
            "use std/net (metadata)\nuse std/k8s (any-apiserver)\nuse std/istio (istiod, ingress-gateway)\n\
             use std/kyma (nats)\nallow egress garden/* -> {destination}\n"
        );
        let settings = format!("[cluster]\nplatform = \"{platform}\"\ndns = \"explicit\"\n");
        fs::write(folder.path().join("policy.netpol"), policy).unwrap();
        fs::write(folder.path().join("netpol.toml"), settings).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_netpol"));
        command.current_dir(&folder).args(["eval", "policy.netpol", "--from", "garden/{app=web}", "--to", to]);
        let output = command.args(["--expect", verdict]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{platform}: {destination} to {to} is not {verdict}\n{said}");
    }
}

/// Returns the cases of every Markdown file of a folder.
fn markdown(folder: &str) -> Vec<Case> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| cases(path)).collect()
}

fn netpol_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "netpol"))
        .collect();
    files.sort();
    files
}
