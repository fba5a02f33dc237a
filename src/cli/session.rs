//! One run over a policy: its configuration, its files and its inventory, and the way from text to the policy.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::config::{self, Config};
use super::load::{self, Input};
use super::paths::{self, Paths};
use super::report::{Messages, Report};
use super::{Fatal, Global};
use crate::diag::{Code, Diagnostic, Diagnostics, Severity};
use crate::inventory::{self, Inventory};
use crate::model::settings::Layer;
use crate::policy::provenance::attribution;
use crate::policy::{self, Policy};
use crate::resolve;
use crate::source::{FileId, Sources, Span};
use crate::syntax;
use crate::targets::{self, Artifact, Lowering};
use crate::types;

/// A configuration is small.
const CONFIG_LIMIT: u64 = 1 << 20;

/// What a verb over a policy takes.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files, folders (all *.netpol below) or - for stdin; the current folder where none is given
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The path at which stdin is taken to stand
    #[arg(long, value_name = "PATH")]
    stdin_filepath: Option<PathBuf>,
    /// Real manifests: Namespaces, workloads, Services and ServiceAccounts
    #[arg(long, value_name = "DIR|FILE|-")]
    inventory: Vec<PathBuf>,
    /// Policy files whose assertions hold for this build too
    #[arg(long, value_name = "DIR|FILE")]
    guardrails: Vec<PathBuf>,
    /// The enforcement layers of the cluster
    #[arg(long, value_name = "LAYER", value_delimiter = ',', value_parser = layer())]
    target: Vec<Layer>,
    /// The day on which @expires is judged, instead of today
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    now: Option<time::Date>,
    /// Let a warning count as an error
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    messages: Messages,
}

impl Arguments {
    /// Returns how the findings of the run are reported.
    pub fn report(&self, global: &Global, stdout_is_taken: bool) -> Report<'_> {
        Report { messages: &self.messages, colour: global.color, stdout_is_taken, deny_warnings: self.deny_warnings }
    }
}

fn layer() -> impl TypedValueParser<Value = Layer> {
    PossibleValuesParser::new(Layer::ALL.map(Layer::word)).map(|word| {
        let layer = Layer::ALL.into_iter().find(|layer| layer.word() == word);
        layer.unwrap_or(Layer::NetworkPolicy)
    })
}

fn date(text: &str) -> Result<time::Date, String> {
    let parts: Vec<&str> = text.split('-').collect();
    let date = match parts.as_slice() {
        [year, month, day] if (year.len(), month.len(), day.len()) == (4, 2, 2) => {
            let month = month.parse().ok().and_then(|month: u8| time::Month::try_from(month).ok());
            let (year, day) = (year.parse().ok(), day.parse().ok());
            year.zip(month)
                .zip(day)
                .and_then(|((year, month), day)| time::Date::from_calendar_date(year, month, day).ok())
        }
        _ => None,
    };
    date.ok_or_else(|| "a day is written 2027-01-31".to_owned())
}

/// A run.
pub struct Session {
    /// How paths are shown.
    pub paths: Paths,
    /// Every text of the run.
    pub sources: Sources,
    /// What was found so far.
    pub diagnostics: Diagnostics,
    /// The configuration, with what the command line changed.
    pub config: Config,
    /// The folder of the configuration, from which its paths start.
    pub folder: PathBuf,
    /// The policy files that the verb was given.
    given: Vec<FileId>,
    /// The files of `--guardrails` that are not among them.
    guardrails: Vec<FileId>,
    /// The manifests, where there are any.
    manifests: Option<Vec<FileId>>,
    /// Whether every file was text.
    readable: bool,
    /// Whether one of them came in on stdin.
    pub stdin_is_read: bool,
    disk: Disk,
}

impl Session {
    /// Reads the configuration, the policy files, the guardrails and the inventory that the arguments name.
    pub fn open(arguments: &Arguments, global: &Global) -> Result<Session, Fatal> {
        let mut paths = Paths::new()?;
        let config = global.find_config(&paths, arguments.paths.first());
        let mut folder = PathBuf::new();
        if let Some(config) = &config {
            paths.below(config);
            folder = config.parent().map(Path::to_path_buf).unwrap_or_default();
        }
        let today = arguments.now.unwrap_or_else(|| time::OffsetDateTime::now_utc().date());
        let mut session = Session {
            paths,
            sources: Sources::new(),
            diagnostics: Diagnostics::new(),
            config: Config::new(today),
            folder: folder.clone(),
            given: Vec::new(),
            guardrails: Vec::new(),
            manifests: None,
            readable: true,
            stdin_is_read: false,
            disk: Disk::default(),
        };
        if let Some(path) = config {
            session.configure(&path, today)?;
        }
        if !arguments.target.is_empty() {
            let mut targets = arguments.target.clone();
            targets.dedup();
            session.config.settings.targets = targets;
        }
        let given = load::policy_inputs(&arguments.paths, arguments.stdin_filepath.as_deref())?;
        let guardrails = either(&arguments.guardrails, &session.config.guardrails, &folder);
        let inventory = either(&arguments.inventory, &session.config.inventory, &folder);
        let pipes = given.iter().filter(|input| matches!(input, Input::Stdin(_))).count();
        let pipes = pipes + guardrails.iter().chain(&inventory).filter(|path| path.as_os_str() == "-").count();
        if pipes > 1 {
            return Err(Fatal::new("stdin can be read only once, and `-` is given twice"));
        }
        session.stdin_is_read = pipes > 0;
        for input in &given {
            if let Some(file) = session.read_policy(input)? {
                session.given.push(file);
            }
        }
        if !guardrails.is_empty() {
            let inputs = load::policy_inputs(&guardrails, None)?;
            let known = |input: &Input| matches!(input, Input::File(path) if session.disk.knows(path));
            for input in inputs.into_iter().filter(|input| !known(input)).collect::<Vec<_>>() {
                if let Some(file) = session.read_policy(&input)? {
                    session.guardrails.push(file);
                }
            }
        }
        for path in &inventory {
            session.read_manifests(path)?;
        }
        Ok(session)
    }

    /// Takes the run from text to the policy. After an error there is none.
    pub fn policy(&mut self) -> Option<Policy> {
        let (sources, diagnostics) = (&mut self.sources, &mut self.diagnostics);
        let files = self.given.iter().chain(&self.guardrails);
        let files: Vec<_> = files.map(|&file| syntax::open(sources, file, diagnostics)).collect();
        if !self.readable {
            files.into_iter().for_each(|opened| opened.flows.report(sources, opened.file.id, diagnostics));
            return None;
        }
        let settings = &self.config.settings;
        let mut loader = |from: &str, wanted: &str| self.disk.load(&self.paths, from, wanted);
        let mut names = resolve::resolve(files, sources, settings, &mut loader, diagnostics);
        let errors = diagnostics.count(Severity::Error);
        let inventory = match &self.manifests {
            Some(files) => inventory::read(sources, files, diagnostics),
            None => Inventory::default(),
        };
        // What could not be read would be missed by the policy, and every such message would be wrong.
        if diagnostics.count(Severity::Error) > errors {
            for (module, flows) in names.take_flows() {
                flows.report(sources, names.module(module).file.id, diagnostics);
            }
            return None;
        }
        let program = types::check(&mut names, inventory, settings, sources, diagnostics);
        let policy = policy::lower(program, settings, diagnostics);
        self.refuse_rules_of_guardrails(&policy);
        (!self.diagnostics.has_errors()).then_some(policy)
    }

    /// Lowers the policy to the files of every layer of the build, and hands them on until `then` wants no more.
    pub fn build(&mut self, policy: &Policy, then: &mut dyn FnMut(Vec<Artifact>) -> bool) {
        targets::build(policy, &self.sources, &mut self.diagnostics, then);
        self.say_whose(policy);
    }

    /// Does the same for a policy that was judged before.
    pub fn build_judged(&self, policy: &Policy, then: &mut dyn FnMut(Vec<Artifact>) -> bool) {
        targets::files_of(policy, &self.sources, then);
    }

    /// Judges the policy by every layer of the build.
    pub fn judge(&mut self, policy: &Policy) -> Lowering {
        let lowering = targets::judge(policy, &self.sources, &mut self.diagnostics);
        self.say_whose(policy);
        lowering
    }

    /// Says in the messages about rules whose these are and why they are there.
    fn say_whose(&mut self, policy: &Policy) {
        let said = policy.rules.iter().filter_map(|rule| Some((rule.origin.span, attribution(&rule.origin)?)));
        let said: HashMap<Span, String> = said.collect();
        if !said.is_empty() {
            self.diagnostics.annotate(|span| said.get(&span).cloned());
        }
    }

    fn configure(&mut self, path: &Path, today: time::Date) -> Result<(), Fatal> {
        let bytes = paths::read(path, CONFIG_LIMIT)?;
        if bytes.len() as u64 > CONFIG_LIMIT {
            return Err(Fatal::new(format!("`{}` is too large to be a configuration", path.display())));
        }
        let shown = self.paths.show(path);
        match load::text(shown, bytes, CONFIG_LIMIT, &mut self.sources, &mut self.diagnostics) {
            Some(file) => self.config = config::read(&self.sources, file, today, &mut self.diagnostics),
            None => self.readable = false,
        }
        Ok(())
    }

    fn read_policy(&mut self, input: &Input) -> Result<Option<FileId>, Fatal> {
        let file = load::policy(input, &self.paths, &mut self.sources, &mut self.diagnostics)?;
        self.readable &= file.is_some();
        if let Input::File(path) | Input::Stdin(Some(path)) = input {
            self.disk.add(path, input.show(&self.paths));
        }
        Ok(file)
    }

    fn read_manifests(&mut self, path: &Path) -> Result<(), Fatal> {
        let files = load::manifests(path, &self.paths, &mut self.sources, &mut self.diagnostics)?;
        self.readable &= files.is_some();
        self.manifests.get_or_insert_default().extend(files.unwrap_or_default());
        Ok(())
    }

    /// Guardrails add assertions to a build, and never rules.
    fn refuse_rules_of_guardrails(&mut self, policy: &Policy) {
        for rule in &policy.rules {
            let span = rule.origin.place();
            if self.guardrails.contains(&span.file) {
                let message = "a file of `--guardrails` holds a rule";
                let note = "guardrails assert what must hold for every build; rules belong in the files that are built";
                self.diagnostics.push(Diagnostic::new(Code::GuardrailRule, span, message).note(note));
            }
        }
    }
}

/// Returns the paths that the command line gives, or else those of the configuration, which start from its folder.
fn either(given: &[PathBuf], configured: &[String], folder: &Path) -> Vec<PathBuf> {
    if given.is_empty() { configured.iter().map(|path| folder.join(path)).collect() } else { given.to_vec() }
}

/// Where the policy files of a run are on disk, for the paths that their `use` statements write.
#[derive(Default)]
struct Disk {
    real: HashMap<String, PathBuf>,
    shown: HashMap<PathBuf, String>,
}

impl Disk {
    fn add(&mut self, path: &Path, shown: String) {
        self.real.insert(shown.clone(), path.to_path_buf());
        self.shown.insert(load::identity(path), shown);
    }

    fn knows(&self, path: &Path) -> bool {
        self.shown.contains_key(&load::identity(path))
    }

    /// Returns the shown path and the text of the file that a `use` in `from` names. One file has one shown path,
    /// however it is reached.
    fn load(&mut self, paths: &Paths, from: &str, wanted: &str) -> Result<(String, String), String> {
        let folder = self.real.get(from).and_then(|path| path.parent()).unwrap_or(Path::new(""));
        let path = paths::clean(&folder.join(wanted));
        let shown = match self.shown.get(&load::identity(&path)) {
            Some(shown) => shown.clone(),
            None => paths.show(&path),
        };
        let text = load::module(&path)?;
        self.add(&path, shown.clone());
        Ok((shown, text))
    }
}
