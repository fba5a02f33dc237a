//! One sentence for each word of the language, for hovers and completion.

use crate::syntax::tree::AnnotationKind;

/// Returns what a word of the language does; `None` for every other word.
pub fn keyword(word: &str) -> Option<&'static str> {
    Some(match word {
        "allow" => "`allow S -> D` lets flows through, and isolates the pods that it governs in that direction.",
        "deny" => "`deny S -> D` forbids flows. It beats every allow, and isolates nothing.",
        "default" => "`default deny W` isolates pods and lets nothing through.",
        "egress" => "`egress` governs the pods to the left of the arrow, on their way out.",
        "ingress" => "`ingress` governs the pods to the right of the arrow, on the way in.",
        "->" => "From the left to the right.",
        "<->" => "Both ways: the same as two rules.",
        "let" => "`let NAME = ENDPOINT` names an endpoint, with or without ports.",
        "use" => {
            "`use std/kyma`, `use \"./offices.netpol\" (a, b as c)`: names and facts of another file, never rules."
        }
        "namespace" => "`namespace NAME { labels {…} }` states that a namespace exists, with all its labels.",
        "service" => "`service NS/NAME { select {…} port 80 -> 8080/http }` states a Service.",
        "workload" => "`workload NS/NAME { labels {…} account A port web 9090 }` states pods that exist or will exist.",
        "issuer" => "`issuer NAME { url \"…\" jwks \"…\" at ADDRESSES }` names an issuer of tokens for `where jwt`.",
        "gateway" => "`gateway NAME { pods … port 443 -> 8443/tls }` names a gateway of the mesh, for `via`.",
        "template" => "`template NAME(ns: Namespace) { … }`: rules with parameters, which `apply` yields.",
        "apply" => "`apply NAME(team-a)` yields the rules of a template.",
        "scope" => "`scope NS/*`: the rules of this file may govern these pods only.",
        "assert" => {
            "`assert never S -> D`, `assert always S -> D`: proven for every flow, or a counterexample is shown."
        }
        "test" => "`test \"NAME\" { allow … deny … }`: claims that `netpol test` judges.",
        "never" => "No flow from the left to the right is allowed.",
        "always" => "Every flow from the left to the right is allowed.",
        "where" => "`where method`, `path`, `host`, `header` or `jwt`: a condition on requests.",
        "via" => "`via GATEWAY`: the flow goes through this gateway.",
        "at" => "`at` gives the addresses of a host, or the public host of a gateway.",
        "except" => "`A except B`: what is in A and not in B.",
        "host" => "`host NAME`: a host outside the cluster, also one without a dot.",
        "in" => "`KEY in (a, b)`: the label has one of these values.",
        "notin" => "`KEY notin (a, b)`: the label has none of these values, or is not there.",
        "as" => "`NAME as OTHER`: under another name in this file.",
        "labels" => "`labels { key = value }`: all labels.",
        "select" => "`select { key = value }`: the pods of the Service.",
        "port" => "`port 80 -> 8080/http`: a port, and where it leads.",
        "url" => "`url \"…\"`: the `iss` of the issuer's tokens.",
        "jwks" => "`jwks \"URL\"`: where the issuer's keys are.",
        "keys" => "`keys \"JSON\"`: the issuer's keys themselves.",
        "audiences" => "`audiences \"a\", \"b\"`: the `aud` of a token is one of these.",
        "from" => "`from header \"x-jwt\"`, `from param \"token\"`: where in a request the token is.",
        "pods" => "`pods ENDPOINT`: the pods of the gateway.",
        "account" => "`account NAME`: the service account of the pods.",
        "proxies" => "`proxies N`: how many proxies in front append to X-Forwarded-For.",
        "sidecar" => "`sidecar yes` or `no`: whether the pods have an Istio sidecar.",
        "host-network" => "`host-network yes`: the pods have the addresses of their node.",
        "method" => "`where method GET, POST`: one of these methods.",
        "path" => "`where path \"/api/**\"`: one of these paths; `*` is one segment, a last `**` all below.",
        "header" => "`where header NAME \"value\"`: the header has one of these values.",
        "jwt" => "`where jwt ISSUER subject \"…\" claim NAME = \"…\"`: the request has a valid token.",
        "subject" => "`subject \"…\"`: the `sub` of the token is one of these.",
        "claim" => "`claim groups = \"admin\"`: a claim of the token has one of these values.",
        "each" => "`each {tenant=yes}`: the template once for every known namespace with these labels.",
        "weight" => "`ADDRESS weight N`: the share of this address.",
        _ => return None,
    })
}

/// Returns what an annotation does.
pub fn annotation(kind: &AnnotationKind) -> &'static str {
    annotation_of(match kind {
        AnnotationKind::Owner(_) => "owner",
        AnnotationKind::Reason(_) => "reason",
        AnnotationKind::Expires(_) => "expires",
        AnnotationKind::Approximate(_) => "approximate",
        AnnotationKind::Allow(..) => "allow",
    })
    .unwrap_or_default()
}

/// Returns what the annotation of a name does.
pub fn annotation_of(name: &str) -> Option<&'static str> {
    Some(match name {
        "owner" => "`@owner(\"payments\")`: who answers for the rule; objects and verdicts name the owner.",
        "reason" => "`@reason(\"PAY-123\")`: why the rule is there; objects and verdicts name the reason.",
        "expires" => "`@expires(2027-01-31)`: the last day of the rule; from the next day on it is an error.",
        "approximate" => "`@approximate(\"why\")`: accepts that the layers let more through than the rule says.",
        "allow" => "`@allow(W0521, \"why\")`: hides the findings of a code at this statement.",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::vocabulary::{ANNOTATIONS, CONDITIONS, RESERVED, fields};

    #[test]
    fn every_word_of_the_language_has_a_sentence() {
        for word in RESERVED.iter().chain(&fields()).chain(&CONDITIONS) {
            assert!(keyword(word).is_some(), "{word}");
        }
        assert!(ANNOTATIONS.iter().all(|name| annotation_of(name).is_some()));
        assert_eq!(keyword("garden"), None);
    }
}
