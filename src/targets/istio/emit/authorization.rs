//! AuthorizationPolicies.
//!
//! ```netpol
//! allow ingress lab/* -> garden/{app=web}:80
//! deny  ingress lab/@curl -> garden/{app=web}:80
//! ```
//!
//! ```yaml
//! name: app-web-ingress
//! action: ALLOW
//! name: app-web-ingress-deny
//! action: DENY
//! ```

use std::rc::Rc;

use super::divide::divided;
use super::names::Names;
use crate::model::rules::RuleId;
use crate::settings::Settings;
use crate::targets::istio::model::{AuthorizationPolicy, Origin, Resource, Spec};
use crate::targets::istio::plan::ingress::policies::PolicyDraft;

/// Makes the AuthorizationPolicies.
pub fn emit(settings: &Settings, drafts: Vec<PolicyDraft>) -> Vec<Resource> {
    let mut names = Names::new(settings);
    let mut list = Vec::new();
    for PolicyDraft { subject, deny, rules, origins, .. } in drafts {
        let end = if deny { "ingress-deny" } else { "ingress" };
        let rules = rules.into_iter().flat_map(|rule| rule.in_domain(&settings.trust_domain)).collect();
        let origins: Rc<[RuleId]> = origins.into();
        for (at, rules) in divided(rules).into_iter().enumerate() {
            let end = if at == 0 { end.to_owned() } else { format!("{end}-{}", at + 1) };
            let meta = names.of(&subject, &end);
            let spec = AuthorizationPolicy { selector: subject.labels.clone(), deny, rules };
            let origin = Origin { rules: Rc::clone(&origins), comment: None };
            list.push(Resource { meta, origin, spec: Spec::AuthorizationPolicy(spec) });
        }
    }
    list
}
