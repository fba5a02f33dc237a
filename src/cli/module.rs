//! `netpol build --target wasm`: the evaluator module and what its numbers mean, in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::session::{Arguments, Session};
use super::{Exit, Fatal, Global, disk, paths};
use crate::targets::wasm::{Abi, Module};

/// How the module is built.
pub struct Build<'a> {
    /// `-o`.
    pub output: Option<&'a Path>,
    /// `--check`.
    pub check: bool,
    /// `--abi`.
    pub abi: Abi,
    /// `--audit`.
    pub audit: bool,
}

/// Builds the module. A build with an error writes nothing.
pub fn build(how: &Build<'_>, arguments: &Arguments, global: &Global) -> Result<Exit, Fatal> {
    let mut session = Session::open_for_module(arguments, global)?;
    let configured = session.project.output.as_ref().map(|folder| session.folder.join(folder));
    let folder = how.output.map(Path::to_path_buf).or(configured).filter(|folder| folder.as_os_str() != "-");
    let Some(folder) = folder else {
        return Err(Fatal::new("a module has files beside it, which need a folder: `-o DIR`"));
    };
    let report = arguments.report(global, false);
    let module = session.policy().map(|policy| session.module(&policy, how.abi, how.audit));
    let exit = report.print(&mut session.diagnostics, &session.input.sources)?;
    let Some(module) = module.filter(|_| exit == 0) else {
        report.close(&session.diagnostics, "");
        return Ok(exit.max(1));
    };
    if how.check {
        let differing: Vec<PathBuf> = files(&module)
            .filter(|(name, bytes)| differs(&folder.join(name), bytes))
            .map(|(name, _)| folder.join(name))
            .collect();
        for path in &differing {
            report.say(&format!("`{}` differs from the build, or is missing", paths::show(path)));
        }
        report.close(&session.diagnostics, if differing.is_empty() { "up to date" } else { "" });
        return Ok(u8::from(!differing.is_empty()));
    }
    let failed = |path: &Path, error| Fatal::io(&format!("cannot write `{}`", path.display()), error);
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    for (name, bytes) in files(&module) {
        let path = folder.join(name);
        disk::replace(&path, bytes).map_err(|error| failed(&path, error))?;
        report.say(&format!("{}  {} bytes", paths::show(&path), bytes.len()));
    }
    report.close(&session.diagnostics, "1 module");
    Ok(exit)
}

fn files(module: &Module) -> impl Iterator<Item = (&'static str, &[u8])> {
    let plugin = module.plugin.as_ref().map(|plugin| ("policy.wasmplugin.yaml", plugin.as_bytes()));
    [("policy.wasm", module.code.as_slice()), ("policy.rules.json", module.rules.as_bytes())].into_iter().chain(plugin)
}

fn differs(path: &Path, bytes: &[u8]) -> bool {
    fs::read(path).map_or(true, |old| old != bytes)
}
