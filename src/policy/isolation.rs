//! Isolation of gateways: which rules isolate a gateway's pods on ingress.

use super::Policy;
use crate::model::gateways::Gateway;
use crate::model::labels::PodSelector;
use crate::model::rules::{Action, Rule, RuleId};

/// Whether rules isolate the pods of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolated {
    /// No rule isolates them.
    Nowhere,
    /// Rules isolate some of the pods, or pods that the gateway may have.
    Perhaps,
    /// Rules isolate all of them.
    Surely,
}

impl Policy {
    /// Returns the rules that isolate pods of a gateway on ingress, or may. Known pods are compared one by one, unknown
    /// ones by the labels of both selectors.
    ///
    /// ```text
    /// gateway edge { pods edges/{app=envoy} … }
    /// default deny ingress edges/{tier=edge}     isolates edge, if one of its pods has tier=edge
    /// ```
    pub fn isolating<'a>(&'a self, gateway: &'a Gateway) -> impl Iterator<Item = (RuleId, &'a Rule)> + 'a {
        let known: Vec<_> = gateway.pods.iter().flat_map(|pods| self.inventory.select(pods)).collect();
        let labels = move |namespace: &str| self.inventory.namespaces.get(namespace).map(|known| &known.labels);
        let meets = move |rule: &Rule| {
            rule.destination.pods().any(|(_, pods)| {
                let may = gateway.pods.iter().any(|own| own.overlaps(&pods.selector));
                let does = || {
                    known.iter().any(|workload| {
                        let of_namespace = labels(&workload.namespace);
                        of_namespace.is_none_or(|of| pods.selector.matches(of, &workload.labels, &workload.account))
                    })
                };
                may && (known.is_empty() || does())
            })
        };
        let rules = self.numbered();
        rules.filter(move |(_, rule)| rule.ingress && rule.action != Action::Deny && meets(rule))
    }

    /// Returns whether rules isolate the pods of a gateway on ingress.
    pub fn isolated(&self, gateway: &Gateway) -> Isolated {
        // Thousands of rules may lead through one gateway.
        let all = self.concerning.gateways.get_or_init(|| {
            let gateways = self.gateways.iter();
            gateways.map(|gateway| (gateway.pods.clone(), self.look_for_isolation(gateway))).collect()
        });
        all.get(gateway.pods.as_slice()).copied().unwrap_or_else(|| self.look_for_isolation(gateway))
    }

    fn look_for_isolation(&self, gateway: &Gateway) -> Isolated {
        match self.isolating(gateway).next() {
            None => Isolated::Nowhere,
            Some(_) if self.surely_isolates(gateway) => Isolated::Surely,
            Some(_) => Isolated::Perhaps,
        }
    }

    /// Returns whether rules isolate every pod that the gateway can have on ingress.
    fn surely_isolates(&self, gateway: &Gateway) -> bool {
        let subjects: Vec<PodSelector> = self
            .isolating(gateway)
            .flat_map(|(_, rule)| rule.destination.pods().map(|(_, pods)| pods.selector.clone()).collect::<Vec<_>>())
            .collect();
        !subjects.is_empty()
            && gateway.pods.iter().all(|own| {
                let known = self.inventory.select(own);
                let labels = |namespace: &str| self.inventory.namespaces.get(namespace).map(|known| &known.labels);
                let all_known = !known.is_empty()
                    && known.iter().all(|workload| {
                        let is_meant = |subject: &PodSelector| {
                            labels(&workload.namespace)
                                .is_some_and(|of| subject.matches(of, &workload.labels, &workload.account))
                        };
                        subjects.iter().any(is_meant)
                    });
                all_known || own.is_inside(&subjects)
            })
    }
}
