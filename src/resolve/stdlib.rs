//! The standard library, compiled into the binary.

use crate::settings::Platform;

/// The modules that `use std/NAME` finds: name and text.
pub const MODULES: &[(&str, &str)] = &[
    ("aws", include_str!("../../stdlib/aws.netpol")),
    ("azure", include_str!("../../stdlib/azure.netpol")),
    ("gcp", include_str!("../../stdlib/gcp.netpol")),
    ("istio", include_str!("../../stdlib/istio.netpol")),
    ("k8s", include_str!("../../stdlib/k8s.netpol")),
    ("kyma", include_str!("../../stdlib/kyma.netpol")),
    ("net", include_str!("../../stdlib/net.netpol")),
    ("openshift", include_str!("../../stdlib/openshift.netpol")),
];

/// Returns the text of a module of the standard library.
pub fn module(name: &str) -> Option<&'static str> {
    MODULES.iter().find(|(module, _)| *module == name).map(|(_, text)| *text)
}

/// Returns the first module that defines a name by one of some keywords, whether or not a file uses it.
pub fn defining(name: &str, keywords: &[&str]) -> Option<&'static str> {
    let defines = |line: &str| {
        let (keyword, rest) = line.split_once(' ').unwrap_or_default();
        let after = rest.strip_prefix(name).filter(|_| keywords.contains(&keyword));
        after.is_some_and(|after| after.starts_with([' ', '(']))
    };
    MODULES.iter().find(|(_, text)| text.lines().any(defines)).map(|(module, _)| *module)
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

/// Returns the text of a module or a prelude by its name in the sources: `std/net`, `std/prelude/kyma`.
pub fn text(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("std/")?;
    match name.strip_prefix("prelude/") {
        Some(word) => Platform::ALL.into_iter().find(|platform| platform.word() == word).map(prelude),
        None => module(name),
    }
}
