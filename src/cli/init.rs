//! `netpol init`: a first configuration and a first policy, which builds.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::paths::Paths;
use super::report::{Messages, Report};
use super::{Exit, Fatal, Global, load, paths};
use crate::compile::{self, Input};
use crate::diag::Diagnostics;
use crate::inventory::Inventory;
use crate::settings::{Platform, Settings};
use crate::targets::names::Words;

/// Namespaces of the cluster itself, which a first policy does not name.
const SYSTEM: [&str; 6] = ["kube-", "istio-", "kyma-system", "openshift", "cert-manager", "gke-"];

/// The most workloads of a namespace that are named; the others are counted.
const NAMES_SHOWN: usize = 8;

/// Write a commented netpol.toml and a first policy
#[derive(clap::Args)]
pub struct Args {
    /// The folder to write to
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Real manifests: the first policy speaks of their namespaces and workloads
    #[arg(long, value_name = "DIR|FILE|-")]
    inventory: Option<PathBuf>,
    #[command(flatten)]
    messages: Messages,
}

/// Writes both files, or neither if one of them exists.
pub fn run(args: &Args, global: &Global) -> Result<Exit, Fatal> {
    let (config, policy) = (args.folder.join("netpol.toml"), args.folder.join("policy.netpol"));
    for file in [&config, &policy] {
        if fs::symlink_metadata(file).is_ok() {
            return Err(Fatal::new(format!("`{}` is there already, and init overwrites nothing", file.display())));
        }
    }
    let report =
        Report { messages: &args.messages, colour: global.color, stdout_is_taken: false, deny_warnings: false };
    let known = match &args.inventory {
        None => Inventory::default(),
        Some(path) => match read(path, &report)? {
            Some(known) => known,
            None => return Ok(1),
        },
    };
    let listed = args.inventory.as_deref().filter(|path| path.as_os_str() != "-");
    let listed = listed.map(|path| from_folder(path, &args.folder)).transpose()?;
    fs::create_dir_all(&args.folder).map_err(|error| cannot_write(&args.folder, error))?;
    create(&config, &configuration(&name(&args.folder)?, &known, listed.as_deref()))?;
    create(&policy, &first_policy(&known))?;
    report.say(&format!(
        "wrote {} and {}; `netpol build {}` shows what comes of them",
        paths::show(&config),
        paths::show(&policy),
        paths::show(&args.folder)
    ));
    Ok(0)
}

fn read(path: &Path, report: &Report<'_>) -> Result<Option<Inventory>, Fatal> {
    let mut input = Input::new(Settings::new(time::Date::MIN));
    let mut diagnostics = Diagnostics::new();
    if let Some((files, of_folder)) = load::manifests(path, &Paths::new()?, &mut input.sources, &mut diagnostics)? {
        input.found = if of_folder { files.clone() } else { Vec::new() };
        input.manifests = Some(files);
    }
    let known = input.manifests.is_some().then(|| compile::inventory(&input, &mut diagnostics));
    let exit = report.print(&mut diagnostics, &input.sources)?;
    report.close(&diagnostics, "");
    Ok(known.filter(|_| exit == 0))
}

/// Returns a path as the configuration in `folder` writes it.
fn from_folder(path: &Path, folder: &Path) -> Result<String, Fatal> {
    let mut paths = Paths::new()?;
    paths.below(&folder.join("netpol.toml"));
    Ok(paths.show(path))
}

fn create(path: &Path, text: &str) -> Result<(), Fatal> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| cannot_write(path, error))
}

fn cannot_write(path: &Path, error: std::io::Error) -> Fatal {
    Fatal::io(&format!("cannot write `{}`", path.display()), error)
}

/// Returns the name of a folder as the first word of objects' names.
fn name(folder: &Path) -> Result<String, Fatal> {
    let path = Paths::new()?.absolute(folder);
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let words = Words::of(&name).text;
    let short = words.get(..words.len().min(24)).unwrap_or_default().trim_end_matches('-');
    Ok(if short.is_empty() { "policy".to_owned() } else { short.to_owned() })
}

fn configuration(name: &str, known: &Inventory, inventory: Option<&str>) -> String {
    let meshed = known.workloads.iter().any(|workload| workload.sidecar);
    let (targets, why) = match (known.given, meshed) {
        (true, false) => {
            ("[\"networkpolicy\"]", "no workload of the inventory has a sidecar, so there is no \"istio\"")
        }
        _ => ("[\"networkpolicy\", \"istio\"]", "leave out what the cluster does not have"),
    };
    let inventory = match inventory {
        Some(path) => format!("inventory = {}\n", toml::Value::from(path)),
        None => "# inventory = \"cluster/\"\n".to_owned(),
    };
    let platforms: Vec<&str> = Platform::ALL.into_iter().map(Platform::word).collect();
    format!(
        "# The configuration of netpol. Paths start from the folder of this file.

# The first word of every object's name, and the label app.kubernetes.io/part-of: two builds for one cluster need two.
name = \"{name}\"

# The enforcement layers of the cluster; {why}.
targets = {targets}

# Real manifests, as `kubectl get namespaces,services,deployments,statefulsets,daemonsets,pods,serviceaccounts -A -o yaml`
# prints them: with them names that match nothing are errors, and Service ports become the pods'.
{inventory}
# Files of assertions that every build must hold.
# guardrails = \"org/\"

[cluster]
# {}
platform = \"{}\"

# Where the API server, the nodes and the pods are, where the platform does not say it.
# apiserver = [\"192.0.2.1:443\"]
# nodes = [\"10.250.0.0/16\"]
# pods = [\"100.64.0.0/12\"]

# [enforcement]
# require = \"exact\"          # a rule that only well-behaved pods keep becomes an error
",
        platforms.join(", "),
        compile::platform_of(known).word(),
    )
}

fn first_policy(known: &Inventory) -> String {
    let mut namespaces: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for workload in known.workloads.iter().filter(|workload| !workload.host_network && !workload.owned) {
        if !SYSTEM.iter().any(|system| workload.namespace.starts_with(system)) {
            let names = namespaces.entry(&workload.namespace).or_default();
            if !names.contains(&workload.name.as_str()) {
                names.push(&workload.name);
            }
        }
    }
    if namespaces.is_empty() {
        return FIRST.to_owned();
    }
    let mut text = String::from(
        "# A draft to read before it is applied: each namespace is reached from its own pods alone, so gateways and monitoring
# need lines of their own. Everything that no line here governs stays as open as it was.
#
#   allow ingress monitoring/* -> garden/*:9090          who may reach garden besides
#   allow egress garden/web -> zenquotes.io:443          what garden/web may reach, and nothing else
#   allow garden/web -> garden/{app=api}:8080            both ends at once
#   deny garden/* -> payments/*                          beats every allow
",
    );
    for (namespace, workloads) in namespaces {
        let mut names = workloads.iter().take(NAMES_SHOWN).copied().collect::<Vec<_>>().join(", ");
        if workloads.len() > NAMES_SHOWN {
            names.push_str(&format!(" and {} more", workloads.len() - NAMES_SHOWN));
        }
        text.push_str(&format!("\n# In {namespace}: {names}.\nallow ingress {namespace}/* -> {namespace}/*\n"));
    }
    text
}

/// The first policy for an unknown cluster.
const FIRST: &str = "# A draft to make your own: pods of garden are reached from garden alone. Everything that no line here governs stays as
# open as it was.
#
#   allow ingress monitoring/* -> garden/*:9090          who may reach garden besides
#   allow egress garden/web -> zenquotes.io:443          what garden/web may reach, and nothing else
#   allow garden/web -> garden/{app=api}:8080            both ends at once
#   deny garden/* -> payments/*                          beats every allow

allow ingress garden/* -> garden/*
";
