//! PeerAuthentications and RequestAuthentications.
//!
//! ```netpol
//! allow ingress lab/@curl -> garden/{app=web}:80/http
//! ```
//!
//! ```yaml
//! kind: PeerAuthentication
//! metadata:
//!   name: app-web-mtls
//!   namespace: garden
//! spec:
//!   mtls:
//!     mode: STRICT
//! ```

use super::names::Names;
use crate::settings::Settings;
use crate::targets::istio::model::{Origin, PeerAuthentication, RequestAuthentication, Resource, Spec};
use crate::targets::istio::plan::ingress::identity::PeerDraft;
use crate::targets::istio::plan::ingress::policies::TokenDraft;

/// Makes the PeerAuthentications.
pub fn of_peers(settings: &Settings, drafts: Vec<PeerDraft>) -> Vec<Resource> {
    let mut names = Names::new(settings);
    let resource = |PeerDraft { subject, strict, rules }: PeerDraft| {
        let comment = strict.is_none().then(|| "Addresses may call these pods, which have no identity.".to_owned());
        let meta = names.of(&subject, "mtls");
        let permissive = strict.as_deref().unwrap_or_default().to_vec();
        let spec = PeerAuthentication { selector: subject.labels, strict: strict.is_some(), permissive };
        Resource { meta, origin: Origin { rules: rules.into(), comment }, spec: Spec::PeerAuthentication(spec) }
    };
    drafts.into_iter().map(resource).collect()
}

/// Makes the RequestAuthentications.
pub fn of_requests(settings: &Settings, drafts: Vec<TokenDraft>) -> Vec<Resource> {
    let mut names = Names::new(settings);
    let resource = |TokenDraft { subject, issuers, rules }: TokenDraft| {
        let meta = names.of(&subject, "tokens");
        let spec = RequestAuthentication { selector: subject.labels, issuers };
        Resource {
            meta,
            origin: Origin { rules: rules.into(), comment: None },
            spec: Spec::RequestAuthentication(spec),
        }
    };
    drafts.into_iter().map(resource).collect()
}
