//! All layers in one comparison: what passes one layer by one rule and the other layer by another rule.

use std::sync::Mutex;

use netpol::diag::{Code, Diagnostics};
use netpol::targets::{self, Checked, Made};
use netpol::verify;

use crate::common::build::Build;

/// Returns what the check finds of all layers together, whatever enforcement says of the rules.
fn together(source: &str) -> Vec<String> {
    let build = Build::text_for_both(source, None);
    assert!(build.diagnostics.iter().all(|one| one.code != Code::Miscompiled), "{source}");
    let found = Mutex::new(Vec::new());
    let look = |made: &Made<'_>| {
        let checked = verify::check(&build.policy, &build.sources, made);
        assert!(checked.alone.iter().next().is_none(), "{source}");
        found.lock().unwrap().extend(checked.together.iter().map(|one| one.message.clone()));
        Checked::default()
    };
    targets::build(&build.policy, &build.sources, &look, &mut Diagnostics::new(), &mut |_| true);
    found.into_inner().unwrap()
}

#[test]
fn what_passes_each_layer_by_another_rule_is_found() {
    for (source, flow) in [
        // No labels tell an account, and no identity a label.
        (
            "allow ingress shop/@curl -> garden/{app=web}:8080\nallow ingress shop/{app=cart} -> garden/{app=web}:8080",
            Some("shop/@another -> garden/{app=web}, tcp 8080"),
        ),
        // NetworkPolicy reads no token, and Istio takes the address of a pod for one outside.
        (
            "issuer desk { url \"https://desk.example\"  jwks \"https://desk.example/keys\" }\n\
             allow ingress garden/* -> garden/*:8080/http where jwt desk\nallow ingress outside -> garden/*",
            Some("garden/* -> garden/*, tcp 8080"),
        ),
        // Ports that only one of them has are closed.
        (
            "allow ingress shop/@curl -> garden/{app=web}:8080\nallow ingress shop/{app=cart} -> garden/{app=web}:9000",
            None,
        ),
        ("allow ingress shop/@curl -> garden/{app=web}:8080\nallow ingress lab/{app=x} -> garden/{app=web}:8080", None),
        (
            "allow ingress shop/@curl -> garden/{app=web}:8080\nallow ingress shop/{app=x} -> garden/{app=api}:8080",
            None,
        ),
        // Each layer is wider by itself, and the other one is not.
        (
            "allow egress garden/* -> zenquotes.io:443\nallow ingress lab/@x -> garden/*:8080/http where method GET",
            None,
        ),
    ] {
        let found = together(source);
        match flow {
            Some(flow) => assert!(found.iter().any(|message| message.ends_with(flow)), "{source}\n{found:#?}"),
            None => assert_eq!(found, Vec::<String>::new(), "{source}"),
        }
    }
}
