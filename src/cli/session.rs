//! A run of a verb: its configuration, its files and its inventory, and the steps from text to the policy.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::load::{self, Argument};
use super::paths::{self, Paths};
use super::report::{Messages, Report};
use super::{Fatal, Global};
use crate::compile::{self, Input};
use crate::diag::Diagnostics;
use crate::ide::Analysis;
use crate::model::names::is_dns_label;
use crate::policy::{Flow, Policy};
use crate::replay::Trial;
use crate::settings::{self, Layer, Project, Settings};
use crate::source::FileId;
use crate::targets::wasm::{Abi, Module};
use crate::targets::{Artifact, Lowering};
use crate::verify::Decision;

/// The most bytes of a configuration.
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
    /// Real manifests: Namespaces, workloads, Services and ServiceAccounts; several are one inventory
    #[arg(long, value_name = "DIR|FILE|-")]
    inventory: Vec<PathBuf>,
    /// The namespace of manifests that name none, as for kubectl
    #[arg(long, value_name = "NAME", value_parser = namespace)]
    namespace: Option<String>,
    /// Policy files whose assertions hold for this build too
    #[arg(long, value_name = "DIR|FILE")]
    guardrails: Vec<PathBuf>,
    /// The enforcement layers of the cluster; for `build` also wasm, the evaluator module, by itself
    #[arg(long, value_name = "LAYER", value_delimiter = ',', value_parser = target())]
    target: Vec<Target>,
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
    /// Returns whether the run is to make the evaluator module.
    pub fn asks_for_module(&self) -> Result<bool, Fatal> {
        let module = self.target.contains(&Target::Module);
        match module && self.target.iter().any(|target| *target != Target::Module) {
            true => Err(Fatal::new("`wasm` is no layer, and is built by itself: `--target wasm`")),
            false => Ok(module),
        }
    }

    /// Returns whether policy files are named.
    #[cfg(feature = "wasm-run")]
    pub fn names_files(&self) -> bool {
        !self.paths.is_empty()
    }

    /// Returns how the findings of the run are reported.
    pub fn report(&self, global: &Global, stdout_is_taken: bool) -> Report<'_> {
        Report { messages: &self.messages, colour: global.color, stdout_is_taken, deny_warnings: self.deny_warnings }
    }
}

/// A value of `--target`: a layer, or the evaluator module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Layer(Layer),
    Module,
}

fn target() -> impl TypedValueParser<Value = Target> {
    PossibleValuesParser::new(Layer::ALL.map(Layer::word).into_iter().chain(["wasm"])).map(|word| {
        let layer = Layer::ALL.into_iter().find(|layer| layer.word() == word);
        layer.map_or(Target::Module, Target::Layer)
    })
}

fn namespace(text: &str) -> Result<String, String> {
    match is_dns_label(text) {
        true => Ok(text.to_owned()),
        false => Err("a namespace's name has lower-case letters, digits and inner `-`, at most 63".to_owned()),
    }
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
    /// The paths of the run, as messages show them.
    pub paths: Paths,
    /// The input of the compilation.
    pub input: Input,
    /// The findings so far.
    pub diagnostics: Diagnostics,
    /// The files and folders that the configuration names.
    pub project: Project,
    /// The folder of the configuration, from which its paths start.
    pub folder: PathBuf,
    /// Whether every file was UTF-8 text.
    readable: bool,
    /// Whether one of the files is stdin.
    pub stdin_is_read: bool,
    disk: Disk,
}

impl Session {
    /// Reads the configuration, the policy files, the guardrails and the inventory that the arguments name.
    pub fn open(arguments: &Arguments, global: &Global) -> Result<Session, Fatal> {
        if arguments.asks_for_module()? {
            return Err(Fatal::new("`build` makes the evaluator module, and no other verb has the target `wasm`"));
        }
        let mut session = Session::begin(arguments, global)?;
        session.read(arguments, true)?;
        Ok(session)
    }

    /// Reads what [`Session::open`] reads, for an evaluator module: `--target` changes no layers.
    pub fn open_for_module(arguments: &Arguments, global: &Global) -> Result<Session, Fatal> {
        let mut session = Session::begin(arguments, global)?;
        session.read(arguments, true)?;
        Ok(session)
    }

    /// Reads only the configuration and the inventory, for questions to a module.
    #[cfg(feature = "wasm-run")]
    pub fn without_policy(arguments: &Arguments, global: &Global) -> Result<Session, Fatal> {
        let mut session = Session::begin(arguments, global)?;
        session.read(arguments, false)?;
        Ok(session)
    }

    fn begin(arguments: &Arguments, global: &Global) -> Result<Session, Fatal> {
        let mut paths = Paths::new()?;
        let config = global.find_config(&paths, arguments.paths.first());
        let mut folder = PathBuf::new();
        if let Some(config) = &config {
            paths.below(config);
            folder = config.parent().map(Path::to_path_buf).unwrap_or_default();
        }
        let today = arguments.now.unwrap_or_else(|| time::OffsetDateTime::now_utc().date());
        let mut session = Session::empty(paths, folder.clone(), today);
        if let Some(path) = config {
            session.configure(&path, today)?;
        }
        let layers = arguments.target.iter().filter_map(|target| match target {
            Target::Layer(layer) => Some(*layer),
            Target::Module => None,
        });
        let mut targets: Vec<Layer> = layers.collect();
        if !targets.is_empty() {
            targets.dedup();
            session.input.settings.targets = targets;
            session.input.settings.targets_are_said = true;
        }
        if arguments.namespace.is_some() {
            session.input.settings.inventory_namespace = arguments.namespace.clone();
        }
        Ok(session)
    }

    /// Reads the policy files, if they are wanted, the guardrails and the inventory.
    fn read(&mut self, arguments: &Arguments, policy: bool) -> Result<(), Fatal> {
        let session = self;
        let folder = session.folder.clone();
        let given = match policy {
            true => load::policy_files(&arguments.paths, arguments.stdin_filepath.as_deref())?,
            false => Vec::new(),
        };
        let mut guardrails = either(&arguments.guardrails, &session.project.guardrails, &folder);
        guardrails.retain(|_| policy);
        let inventory = either(&arguments.inventory, &session.project.inventory, &folder);
        let pipes = given.iter().filter(|argument| matches!(argument, Argument::Stdin(_))).count();
        let pipes = pipes + guardrails.iter().chain(&inventory).filter(|path| path.as_os_str() == "-").count();
        if pipes > 1 {
            return Err(Fatal::new("stdin can be read only once, and `-` is given twice"));
        }
        session.stdin_is_read = pipes > 0;
        session.read_files(&given, &guardrails, &inventory)
    }

    fn empty(paths: Paths, folder: PathBuf, today: time::Date) -> Session {
        Session {
            paths,
            input: Input::new(Settings::new(today)),
            diagnostics: Diagnostics::new(),
            project: Project::default(),
            folder,
            readable: true,
            stdin_is_read: false,
            disk: Disk::default(),
        }
    }

    /// Reads the policy that an editor has open, as [`Session::open`] reads that of a folder: the configuration, if
    /// there is one, the policy files, and the guardrails and the inventory that the configuration names.
    pub fn of_editor(paths: Paths, folder: &Path, config: Option<&Path>, files: &[PathBuf]) -> Result<Session, Fatal> {
        let today = time::OffsetDateTime::now_utc().date();
        let mut session = Session::empty(paths, folder.to_path_buf(), today);
        if let Some(config) = config {
            session.configure(config, today)?;
        }
        let guardrails = either(&[], &session.project.guardrails, folder);
        let inventory = either(&[], &session.project.inventory, folder);
        if guardrails.iter().chain(&inventory).any(|path| path.as_os_str() == "-") {
            return Err(Fatal::new("`-` is stdin, which an editor does not give"));
        }
        let given: Vec<Argument> = files.iter().cloned().map(Argument::File).collect();
        session.read_files(&given, &guardrails, &inventory)?;
        Ok(session)
    }

    /// Returns the policy with all its texts, for an editor, and the paths of its files. `before` is an earlier state
    /// of the policy.
    pub fn analyze(mut self, before: Option<&Analysis>) -> (Analysis, HashMap<String, PathBuf>) {
        let mut loader = |from: &str, wanted: &str| self.disk.load(&self.paths, from, wanted);
        let analysis = Analysis::of(self.input, self.readable, &mut loader, self.diagnostics, before);
        (analysis, self.disk.real)
    }

    fn read_files(&mut self, given: &[Argument], guardrails: &[PathBuf], inventory: &[PathBuf]) -> Result<(), Fatal> {
        for argument in given {
            let file = self.read_policy(argument)?;
            self.input.policies.extend(file);
        }
        if !guardrails.is_empty() {
            let mut arguments = load::policy_files(guardrails, None)?;
            arguments.retain(|argument| !matches!(argument, Argument::File(path) if self.disk.knows(path)));
            for argument in &arguments {
                let file = self.read_policy(argument)?;
                self.input.guardrails.extend(file);
            }
        }
        for path in inventory {
            self.read_manifests(path)?;
        }
        Ok(())
    }

    /// Returns the path on disk of one of the given policy files.
    pub fn path_of(&self, file: FileId) -> Option<&Path> {
        let given = self.input.policies.contains(&file).then(|| &self.input.sources.file(file).path);
        given.and_then(|shown| self.disk.real.get(shown.as_str())).map(PathBuf::as_path)
    }

    /// Compiles the input to the policy; `None` after an error.
    pub fn policy(&mut self) -> Option<Policy> {
        if !self.readable {
            compile::report_syntax(&self.input, &mut self.diagnostics);
            return None;
        }
        let mut loader = |from: &str, wanted: &str| self.disk.load(&self.paths, from, wanted);
        compile::policy(&mut self.input, &mut loader, &mut self.diagnostics)
    }

    /// Compiles the policy with further rules.
    pub fn trial(&mut self, rules: &str) -> Trial {
        let mut loader = |from: &str, wanted: &str| self.disk.load(&self.paths, from, wanted);
        compile::trial(&mut self.input, &mut loader, rules)
    }

    /// Judges the policy by every layer of the build.
    pub fn judge(&mut self, policy: &Policy) -> Lowering {
        compile::judge(policy, &self.input.sources, &mut self.diagnostics)
    }

    /// Builds the policy, and asks its objects, as they are read back, about flows.
    pub fn written(&mut self, policy: &Policy, flows: &[&Flow]) -> (Lowering, Vec<(Layer, Vec<Decision>)>) {
        compile::written(policy, &self.input.sources, &mut self.diagnostics, flows)
    }

    /// Judges the policy by every layer of the build, with the rules that each layer enforces instead.
    pub fn explain(&mut self, policy: &Policy) -> Lowering {
        compile::explain(policy, &self.input.sources, &mut self.diagnostics)
    }

    /// Makes the evaluator module.
    pub fn module(&mut self, policy: &Policy, abi: Abi, audit: bool) -> Module {
        compile::module(policy, &self.input.sources, &mut self.diagnostics, abi, audit)
    }

    /// Makes the files of every layer of the build, and hands them to `then` until it returns `false`.
    pub fn build(&mut self, policy: &Policy, then: &mut dyn FnMut(Vec<Artifact>) -> bool) {
        compile::build(policy, &self.input.sources, &mut self.diagnostics, then);
    }

    fn configure(&mut self, path: &Path, today: time::Date) -> Result<(), Fatal> {
        let bytes = self.paths.read(path, CONFIG_LIMIT).map_err(|error| Fatal::cannot_read(path, error))?;
        if bytes.len() as u64 > CONFIG_LIMIT {
            return Err(Fatal::new(format!("`{}` is too large to be a configuration", path.display())));
        }
        let shown = self.paths.show(path);
        self.disk.add(path, shown.clone());
        match load::text(shown, bytes, CONFIG_LIMIT, &mut self.input.sources, &mut self.diagnostics) {
            Some(file) => {
                let read = settings::read(&self.input.sources, file, today, &mut self.diagnostics);
                (self.input.settings, self.project) = read;
            }
            None => self.readable = false,
        }
        Ok(())
    }

    fn read_policy(&mut self, argument: &Argument) -> Result<Option<FileId>, Fatal> {
        let file = load::policy(argument, &self.paths, &mut self.input.sources, &mut self.diagnostics)?;
        self.readable &= file.is_some();
        if let Argument::File(path) | Argument::Stdin(Some(path)) = argument {
            self.disk.add(path, argument.show(&self.paths));
        }
        Ok(file)
    }

    fn read_manifests(&mut self, path: &Path) -> Result<(), Fatal> {
        let files = load::manifests(path, &self.paths, &mut self.input.sources, &mut self.diagnostics)?;
        self.readable &= files.is_some();
        let (files, of_folder) = files.unwrap_or_default();
        for file in &files {
            // The shown path of a manifest starts at the folder of the configuration, or is as it was given.
            let shown = self.input.sources.file(*file).path.clone();
            self.disk.real.insert(shown.clone(), self.paths.real(&shown));
        }
        self.input.found.extend(files.iter().copied().filter(|_| of_folder));
        self.input.manifests.get_or_insert_default().extend(files);
        Ok(())
    }
}

/// Returns the paths of the command line, or else those of the configuration, which start at its folder.
fn either(given: &[PathBuf], configured: &[String], folder: &Path) -> Vec<PathBuf> {
    if given.is_empty() { configured.iter().map(|path| folder.join(path)).collect() } else { given.to_vec() }
}

/// The paths of policy files on disk, at which the paths of their `use` statements start.
#[derive(Default)]
struct Disk {
    real: HashMap<String, PathBuf>,
    shown: HashMap<PathBuf, String>,
}

impl Disk {
    fn add(&mut self, path: &Path, shown: String) {
        self.real.insert(shown.clone(), path.to_path_buf());
        self.shown.insert(paths::identity(path), shown);
    }

    fn knows(&self, path: &Path) -> bool {
        self.shown.contains_key(&paths::identity(path))
    }

    /// Returns the shown path and the text of the file that a `use` in `from` names. One file has one shown path,
    /// however it is reached.
    fn load(&mut self, paths: &Paths, from: &str, wanted: &str) -> Result<(String, String), String> {
        let folder = self.real.get(from).and_then(|path| path.parent()).unwrap_or(Path::new(""));
        let path = paths::clean(&folder.join(wanted));
        let shown = match self.shown.get(&paths::identity(&path)) {
            Some(shown) => shown.clone(),
            None => paths.show(&path),
        };
        let text = load::module(&path, paths)?;
        self.add(&path, shown.clone());
        Ok((shown, text))
    }
}
