//! Checked lowering: what is written is read back, and a mistake of the compiler is found before anybody sees it.

mod effective;
mod mutants;
mod outward;
mod random;
mod read;
mod sidecars;
mod single;
mod text;
mod together;
mod too_large;

use netpol::diag::{Code, Diagnostics};
use netpol::model::rules::{Direction, GrantId, RuleId};
use netpol::settings::Layer;
use netpol::source::Sources;
use netpol::targets::effective::Effective;
use netpol::targets::networkpolicy::read::read;
use netpol::targets::{self, Checked, Made};
use netpol::verify;

use crate::common::build::Build;

/// What a layer made of one part of a policy.
pub struct Part {
    ends: Vec<(RuleId, Direction)>,
    grants: Vec<GrantId>,
    pub effective: Effective,
    /// The files.
    pub texts: Vec<String>,
}

impl Part {
    /// Checks the texts.
    fn check(&self, build: &Build) -> Diagnostics {
        let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
        verify::check(&build.policy, &build.sources, &self.made(&texts)).alone
    }

    /// Checks the texts as anybody's YAML; `None` where they cannot be read so.
    fn check_as_yaml(&self, build: &Build) -> Option<Diagnostics> {
        let (mut sources, mut found) = (Sources::new(), Diagnostics::new());
        let files: Vec<_> = self.texts.iter().map(|text| sources.add("a.yaml", text.as_str())).collect();
        let rules = read(&sources, &files, "", &mut found);
        let checked = || verify::check_read(&build.policy, &build.sources, &self.made(&[]), &rules);
        (!found.has_errors()).then(checked)
    }

    /// Checks the effective policy alone.
    fn check_effective(&self, build: &Build) -> Diagnostics {
        verify::check_effective(&build.policy, &build.sources, &self.made(&[]))
    }

    fn made<'a>(&'a self, texts: &'a [&'a str]) -> Made<'a> {
        let (ends, grants, effective) = (&self.ends, &self.grants, &self.effective);
        Made { layer: Layer::NetworkPolicy, ends, grants, judgements: &[], effective, texts, beside: None }
    }
}

/// Returns what a build for NetworkPolicy makes, part by part.
pub fn parts(build: &Build) -> Vec<Part> {
    let parts = std::sync::Mutex::new(Vec::new());
    let keep = |made: &Made<'_>| {
        let texts = made.texts.iter().map(|text| (*text).to_owned()).collect();
        let (ends, grants, effective) = (made.ends.to_vec(), made.grants.to_vec(), made.effective.clone());
        parts.lock().unwrap().push(Part { ends, grants, effective, texts });
        Checked::default()
    };
    targets::build(&build.policy, &build.sources, &keep, &mut Diagnostics::new(), &mut |_| true);
    parts.into_inner().unwrap()
}

/// Returns the part of a policy that is small enough to have only one.
pub fn part(build: &Build) -> Part {
    let mut parts = parts(build);
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

/// Builds a policy for NetworkPolicy.
pub fn build(source: &str, pods: &[&str]) -> Build {
    Build::text_for(&[Layer::NetworkPolicy], source, None, |settings| {
        settings.pods = pods.iter().map(|text| crate::common::build::written(text)).collect();
    })
}

/// Returns whether a check found a mistake of the compiler.
pub fn is_caught(found: &Diagnostics) -> bool {
    found.iter().any(|finding| finding.code == Code::Miscompiled)
}
