//! What a run counted.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::build::Build;
use crate::case::{Outcome, errors};
use crate::coverage::Coverage;
use crate::policy::Policy;

/// The counts of a run.
#[derive(Default)]
pub struct Report {
    policies: usize,
    objects: usize,
    /// Refused builds by their first error.
    refused: BTreeMap<String, usize>,
    coverage: Coverage,
    flows: usize,
    unclear: usize,
    allowed: usize,
    denied: usize,
    wider: usize,
    votes: BTreeMap<String, usize>,
}

impl Report {
    /// Counts a policy and its build.
    pub fn start(&mut self, policy: &Policy, build: &Build) {
        self.policies += 1;
        match errors(build).into_iter().next() {
            Some(error) => *self.refused.entry(error).or_default() += 1,
            None => {
                self.coverage.add(policy);
                self.objects += build.lowering.layers.iter().map(|(_, lowered)| lowered.objects.len()).sum::<usize>();
            }
        }
    }

    /// Counts the flows of a policy.
    pub fn add(&mut self, outcome: &Outcome) {
        self.flows += outcome.flows;
        self.unclear += outcome.unclear;
        self.allowed += outcome.allowed;
        self.denied += outcome.denied;
        self.wider += outcome.wider;
        for (engine, votes) in &outcome.votes {
            *self.votes.entry(engine.clone()).or_default() += votes;
        }
    }

    fn built(&self) -> usize {
        self.policies - self.refused.values().sum::<usize>()
    }

    /// Prints the counts.
    pub fn print(&self) {
        let built = self.built();
        println!(
            "{} policies: {built} built, {} refused; {} objects",
            self.policies,
            self.policies - built,
            self.objects
        );
        for (error, count) in &self.refused {
            println!("  {count} × {error}");
        }
        let share = |part: usize, whole: usize| part * 100 / whole.max(1);
        let features = self.coverage.0.iter().map(|(what, count)| format!("{what} {}%", share(*count, built)));
        println!("built policies with {}", features.collect::<Vec<_>>().join(", "));
        let (allowed, denied) = (share(self.allowed, self.flows), share(self.denied, self.flows));
        println!("{} flows: {} allowed ({allowed}%), {} denied ({denied}%)", self.flows, self.allowed, self.denied);
        println!("  {} denied ones pass, as the layer is said to be wider there", self.wider);
        for (engine, votes) in &self.votes {
            println!("  {engine}: {votes} verdicts, 0 disagreements");
        }
    }

    /// Returns success where the run was a fair one: enough was built, allowed and denied, and of everything some.
    pub fn verdict(&self) -> ExitCode {
        let mut unfair = Vec::new();
        if self.built() * 5 < self.policies * 4 {
            unfair.push("fewer than four policies of five build".to_owned());
        }
        if self.allowed * 5 < self.flows || self.denied * 5 < self.flows {
            unfair.push("less than a fifth of the flows is allowed, or denied".to_owned());
        }
        if self.unclear > 0 {
            unfair.push(format!("{} flows were judged by what blocks mean for pods", self.unclear));
        }
        let missing = self.coverage.missing(self.built());
        if !missing.is_empty() {
            unfair.push(format!("fewer than one policy of twenty has {}", missing.join(", ")));
        }
        unfair.iter().for_each(|why| println!("{why}"));
        if unfair.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
