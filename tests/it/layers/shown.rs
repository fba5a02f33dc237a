//! Policies that once were built otherwise than they are meant, with no word of it.

/// A policy, and how it is built.
pub struct Shown {
    /// What it shows.
    pub name: &'static str,
    /// Whether the compiler gets the inventory.
    pub known: bool,
    /// The layers.
    pub layers: &'static str,
    /// Whether `[cluster] pods` says where pods are.
    pub pods: bool,
    /// Its statements.
    pub text: &'static str,
}

const BOTH: &str = "both";
const ISTIO: &str = "istio";
const NETWORKPOLICY: &str = "networkpolicy";

/// Each must be refused, say of what passes that it does, or let nothing pass that it denies.
#[rustfmt::skip]
pub const SHOWN: &[Shown] = &[
    Shown { name: "an account inside a default deny", known: false, layers: BOTH, pods: false,
        text: "default deny ingress lab/*\nallow ingress garden/* -> lab/@good:8080" },
    Shown { name: "an account inside a default deny, on the way out", known: false, layers: BOTH, pods: false,
        text: "default deny egress lab/*\nallow egress lab/@good -> zenquotes.io:443" },
    Shown { name: "a deny that an address layer cannot say", known: false, layers: BOTH, pods: false,
        text: "deny ingress garden/* -> lab/*" },
    Shown { name: "a deny by account", known: true, layers: BOTH, pods: false,
        text: "deny ingress garden/@api -> lab/*" },
    Shown { name: "a caller known by its account", known: false, layers: BOTH, pods: true,
        text: "allow ingress lab/@good -> garden/{app=web}" },
    Shown { name: "a caller known by its account, on one port", known: false, layers: BOTH, pods: true,
        text: "allow ingress lab/@good -> garden/{app=web}:53/udp" },
    Shown { name: "an account and labels that each another layer knows", known: false, layers: BOTH, pods: true,
        text: "allow ingress lab/@good -> garden/{app=web}:8080\nallow ingress lab/{app=loader} -> garden/{app=web}:8080" },
    Shown { name: "a path of an account beside labels", known: false, layers: BOTH, pods: true,
        text: "allow ingress */@good -> garden/*:8080/http where path \"/*/x\"\nallow lab/{app=loader} -> { garden/*, lab/* }:8080" },
    Shown { name: "a host on udp", known: false, layers: BOTH, pods: true,
        text: "allow egress garden/* -> zenquotes.io:123/udp" },
    Shown { name: "a deny for more pods than the allow", known: false, layers: BOTH, pods: true,
        text: "allow egress garden/{app=web, tier=front} -> zenquotes.io:443\ndeny egress garden/{app=web} -> 198.51.100.64/26:443" },
    Shown { name: "both directions beside an account", known: false, layers: BOTH, pods: false,
        text: "default deny lab/*\nallow ingress garden/* -> lab/@good:8080" },
    Shown { name: "subjects by the labels of namespaces", known: false, layers: BOTH, pods: false,
        text: "allow {env=prod}/* -> lab/{app=good}:9000" },
    Shown { name: "a deny around an open way out", known: true, layers: ISTIO, pods: true,
        text: "default deny egress garden/*\nallow egress garden/{app=web} -> anywhere\ndeny egress garden/* -> 198.51.100.66" },
    Shown { name: "a deny by identity where anybody comes in", known: true, layers: ISTIO, pods: true,
        text: "allow ingress anywhere -> garden/{app=web}:8080\ndeny ingress lab/* -> garden/{app=web}:8080" },
    Shown { name: "a deny of every place of a host", known: true, layers: BOTH, pods: true,
        text: "allow egress garden/* -> zenquotes.io:443\ndeny egress garden/* -> outside" },
    Shown { name: "a deny of the place of a host with addresses", known: true, layers: ISTIO, pods: true,
        text: "allow egress garden/* -> db:443\ndeny egress garden/* -> 198.51.100.50" },
    Shown { name: "a wildcard beside other pods' hosts", known: true, layers: ISTIO, pods: true,
        text: "allow egress garden/{app=web} -> { *.wild.example:443, 203.0.113.0/24:443 }\nallow egress garden/{app=api} -> db.wild.example:8443/tls" },
    Shown { name: "two names of one port", known: true, layers: NETWORKPOLICY, pods: true,
        text: "allow ingress lab/* -> garden/{app=web}:metrics\ndeny ingress lab/* -> garden/{app=web}:http" },
    Shown { name: "a port name that is another number elsewhere", known: true, layers: ISTIO, pods: true,
        text: "default deny ingress garden/*\nallow ingress lab/* -> garden/*:metrics" },
    Shown { name: "a port name that few pods have", known: true, layers: ISTIO, pods: true,
        text: "deny ingress lab/* -> garden/{app in (web, curl)}:http" },
    Shown { name: "a star in a denied path", known: true, layers: ISTIO, pods: true,
        text: "deny ingress lab/* -> garden/{app=web}:8080/http where path \"/*/x\"" },
    Shown { name: "ports that sidecars leave out", known: true, layers: ISTIO, pods: true,
        text: "default deny ingress garden/*" },
    Shown { name: "pods without a sidecar on their way out", known: true, layers: ISTIO, pods: true,
        text: "default deny egress legacy/*" },
    Shown { name: "pods without a sidecar on their way in", known: true, layers: ISTIO, pods: true,
        text: "default deny ingress legacy/*" },
    Shown { name: "two rules at one gateway", known: true, layers: BOTH, pods: true,
        text: "allow ingress 198.51.100.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"garden.example\" where jwt corp\n\
               allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"other.example\"" },
    Shown { name: "a name in the handshake that is another's", known: true, layers: BOTH, pods: true,
        text: "allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"garden.example\"" },
    Shown { name: "a gateway that one layer lets in, and the other takes for any caller", known: false, layers: BOTH, pods: true,
        text: "allow ingress 198.51.100.0/26 -> garden/{app=api}:8080/http via ingress-gateway at \"shop.example\"\n\
               allow ingress */{app=web} -> garden/{app=api}:8080/http" },
    Shown { name: "a gateway whose address may be in a block", known: true, layers: BOTH, pods: false,
        text: "allow ingress 10.0.0.0/8 -> garden/{app in (web, curl)}\n\
               allow ingress 203.0.113.0/24 -> garden/{app=web}:8080/http via ingress-gateway at \"garden.example\" where jwt desk" },
    Shown { name: "a name of ports that a Service does not know", known: true, layers: ISTIO, pods: true,
        text: "allow egress garden/* -> garden/*:http" },
];
