//! The standard library, compiled into the binary.

use crate::settings::Platform;

/// The modules that `use std/NAME` finds: name and text.
pub const MODULES: &[(&str, &str)] = &[
    ("aws", include_str!("../../stdlib/aws.netpol")),
    ("istio", include_str!("../../stdlib/istio.netpol")),
    ("k8s", include_str!("../../stdlib/k8s.netpol")),
    ("kyma", include_str!("../../stdlib/kyma.netpol")),
    ("net", include_str!("../../stdlib/net.netpol")),
];

/// Returns the text of a module of the standard library.
pub fn module(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(module, _)| *module == name).map(|(_, text)| *text)
}

/// Returns the text of a platform's prelude.
pub fn prelude(platform: Platform) -> &'static str {
    match platform {
        Platform::Kubernetes => include_str!("../../stdlib/prelude/kubernetes.netpol"),
        Platform::Kyma => include_str!("../../stdlib/prelude/kyma.netpol"),
        Platform::Gardener => include_str!("../../stdlib/prelude/gardener.netpol"),
        Platform::Eks => include_str!("../../stdlib/prelude/eks.netpol"),
        Platform::Gke => include_str!("../../stdlib/prelude/gke.netpol"),
        Platform::Aks => include_str!("../../stdlib/prelude/aks.netpol"),
        Platform::Openshift => include_str!("../../stdlib/prelude/openshift.netpol"),
        Platform::K3s => include_str!("../../stdlib/prelude/k3s.netpol"),
    }
}
