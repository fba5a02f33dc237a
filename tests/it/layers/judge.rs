//! Flows of the cluster through everything that a build wrote, beside what the source means.

use std::net::IpAddr;

use netpol::diag::{Code, Diagnostic, Severity};
use netpol::model::paths::PathNormalization;
use netpol::model::ports::Protocol;
use netpol::model::rules::{Action, Direction, RuleId};
use netpol::policy::{Cause, Flow, Party, Request, eval};
use serde_json::Value;

use super::authorization::{Connection, Http, Receiver, lets_in};
use super::draw::{Draw, HEAD};
use super::random::Random;
use super::sidecar::{Bytes, Dial, Landing, by_port, goes};
use super::world::{Pod, Role, Service, World, party};
use super::{exits, gateway, known};
use crate::istio::build::{Build, build_with};
use crate::networkpolicy::build::written;
use crate::networkpolicy::engine::{Blocks, End, allows};

/// The root namespace of the mesh.
pub const ROOT: &str = "istio-system";

/// Ports that a sidecar leaves out on the way in.
const LEFT_OUT: [u16; 3] = [15020, 15021, 15090];

/// A flow that is otherwise than it is meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Whether it passes although it is denied; else it is refused although it is allowed.
    pub passes: bool,
    /// The flow, in words.
    pub flow: String,
    /// What it has to do with, for a report that has one of each kind.
    pub kind: String,
    /// Who sends, where a pod does.
    pub from: Option<usize>,
    /// To whom, where a pod is.
    pub to: Option<usize>,
    /// The port and the protocol.
    pub port: u16,
    pub protocol: Protocol,
    /// How the receiver is dialled: `service`, `pod`, `outside`.
    pub way: &'static str,
    /// Which layer refuses it, if one does.
    pub by: &'static str,
    /// Whether the sender has to go round its sidecar for it.
    pub avoids: bool,
    /// The rules that speak of it: those that forbid it, or those that allow it.
    pub rules: Vec<RuleId>,
}

/// A build with what it wrote, read back.
pub struct Case<'w> {
    /// The cluster.
    pub world: &'w World,
    /// How it was drawn.
    pub draw: Draw,
    /// The build.
    pub build: Build,
    network: Vec<Value>,
    mesh: Vec<Value>,
}

impl<'w> Case<'w> {
    /// Builds a policy; `None` where the compiler refuses it.
    pub fn build(world: &'w World, draw: &Draw) -> Option<Case<'w>> {
        let source = format!("{HEAD}{}{}\n", world.declarations(), draw.statements.join("\n"));
        let build = build_with(&source, world.manifests().as_deref(), |settings| {
            use netpol::settings::Layer::{Istio, NetworkPolicy};
            settings.targets = match draw.setting.layers {
                "istio" => vec![Istio],
                "networkpolicy" => vec![NetworkPolicy],
                _ => vec![NetworkPolicy, Istio],
            };
            settings.path_normalization = PathNormalization::DecodeAndMergeSlashes;
            settings.require_exact = draw.setting.exact;
            if draw.setting.pods {
                settings.pods = vec![written("10.244.0.0/16"), written("10.96.0.0/16")];
            }
        });
        let unchecked = |one: &&Diagnostic| [Code::Miscompiled, Code::Unchecked].contains(&one.code);
        if let Some(finding) = build.diagnostics.iter().find(unchecked) {
            panic!("{:?}\n{}\n{} {:?}", draw.setting, draw.statements.join("\n"), finding.message, finding.notes);
        }
        if build.diagnostics.iter().any(|one| one.severity() == Severity::Error) {
            return None;
        }
        let (network, mesh) = build.objects().into_iter().partition(|one| one["kind"] == "NetworkPolicy");
        Some(Case { world, draw: draw.clone(), build, network, mesh })
    }

    /// Asks for so many flows that are drawn, and returns those that are not as they are meant.
    pub fn check(&self, random: &mut Random, count: usize) -> Vec<Finding> {
        let mut found = Vec::new();
        for _ in 0..count {
            match random.below(15) {
                13.. => exits::ask(self, random, &mut found),
                10.. => gateway::ask(self, random, &mut found),
                0..=4 => self.between_pods(random, &mut found),
                5..=7 => self.going_out(random, &mut found),
                _ => self.coming_in(random, &mut found),
            }
        }
        found
    }

    fn blocks(&self) -> Blocks {
        if self.draw.setting.pods { Blocks::PodsToo } else { Blocks::OutsideOnly }
    }

    /// Returns the objects of Istio.
    pub fn mesh(&self) -> &[Value] {
        &self.mesh
    }

    /// Returns whether Istio is a layer.
    pub fn has_istio(&self) -> bool {
        self.draw.setting.layers != "networkpolicy"
    }

    /// Decides a flow by the objects of NetworkPolicy.
    pub fn network(&self, from: End, to: End, port: u16, protocol: Protocol) -> bool {
        allows(&self.network, from, to, port, &protocol.word().to_uppercase(), self.blocks())
    }

    fn between_pods(&self, random: &mut Random, found: &mut Vec<Finding>) {
        let from = random.below(self.world.pods.len());
        let to = random.below(self.world.pods.len());
        let (source, target) = (&self.world.pods[from], &self.world.pods[to]);
        if from == to || source.role == Role::Gateway || target.role == Role::Gateway {
            return;
        }
        let (port, protocol) = random.pick(&[
            (8080, Protocol::Tcp),
            (8080, Protocol::Tcp),
            (9000, Protocol::Tcp),
            (9090, Protocol::Tcp),
            (53, Protocol::Tcp),
            (15020, Protocol::Tcp),
            (8080, Protocol::Udp),
            (9000, Protocol::Udp),
            (53, Protocol::Udp),
            (9000, Protocol::Sctp),
        ]);
        let behind = self.world.services.iter().filter(|service| service.selects(target)).find_map(|service| {
            let at = service.ports.iter().find(|(_, _, target, proto)| *target == port && *proto == "TCP")?;
            Some((service, at.1, at.0))
        });
        let tcp = protocol == Protocol::Tcp;
        let by_service = behind.filter(|_| tcp && random.percent(75));
        let http = tcp && reads_http(behind.map(|(_, _, name)| name), port);
        let request = http.then(|| request(random, behind.map(|(service, ..)| service)));
        let flow = Flow {
            source: party(source),
            destination: party(target),
            port: Some(port),
            protocol,
            request: request.as_ref().map(Request::from).unwrap_or_default(),
        };
        let network = self.network(End::Pod(&source.net), End::Pod(&target.net), port, protocol);
        let dial = Dial {
            address: by_service.map_or(target.address(), |(service, ..)| service.address),
            port: by_service.map_or(port, |(_, port, _)| port),
            bytes: if http { Bytes::Http } else { Bytes::Raw },
            name: None,
        };
        let identity = Some((source.net.namespace.as_str(), source.source.account.as_str()));
        let arrives =
            |identity| !tcp || self.receives(target, source.address(), identity, port, None, request.as_ref());
        // Where the sidecar leads, and then what the other end says.
        let (good, mut avoiding) = if !self.has_istio() || !tcp {
            (true, true)
        } else if source.role == Role::Plain {
            (arrives(None), arrives(None))
        } else {
            let ways = goes(&self.mesh, ROOT, self.world, source, &dial, self.draw.setting.pods);
            let one = |way: &Landing| match way {
                Landing::Service => arrives(identity.filter(|_| target.role == Role::Sidecar)),
                Landing::Dialled => arrives(None),
                other => panic!("{other:?} for a pod"),
            };
            (ways.iter().any(one), arrives(None) || arrives(identity))
        };
        avoiding |= good;
        let way = match by_service {
            Some((service, port, _)) => format!(" by Service {}/{}:{port}", service.namespace, service.name),
            None => String::new(),
        };
        let shown = format!(
            "{} {:?} ({}) -> {} {:?} ({}):{port}/{}{way} {}",
            source.name(),
            source.net.labels,
            source.source.account,
            target.name(),
            target.net.labels,
            target.source.account,
            protocol.word(),
            request.as_ref().map(|one| format!("{one:?}")).unwrap_or_default()
        );
        let ends = (Some(from), Some(to));
        let what = Asked {
            network,
            good,
            avoiding,
            shown,
            ends,
            protocol,
            promised: port != 15020,
            way: if by_service.is_some() { "service" } else { "pod" },
        };
        self.decide(&[flow], what, found);
    }

    /// Decides whether a pod lets a connection in.
    pub fn receives(
        &self,
        target: &Pod,
        address: IpAddr,
        identity: Option<(&str, &str)>,
        port: u16,
        sni: Option<&str>,
        http: Option<&Http>,
    ) -> bool {
        if target.role == Role::Plain || LEFT_OUT.contains(&port) {
            return true;
        }
        let to = Receiver {
            namespace: &target.net.namespace,
            labels: &target.net.labels,
            gateway: target.role == Role::Gateway,
        };
        lets_in(&self.mesh, ROOT, &to, &Connection { identity, address, port, sni, http })
    }

    fn going_out(&self, random: &mut Random, found: &mut Vec<Finding>) {
        let from = random.below(self.world.pods.len());
        let source = &self.world.pods[from];
        if source.role == Role::Gateway {
            return;
        }
        let (port, protocol, bytes) = random.pick(&[
            (443, Protocol::Tcp, Bytes::Tls),
            (443, Protocol::Tcp, Bytes::Tls),
            (80, Protocol::Tcp, Bytes::Http),
            (8443, Protocol::Tcp, Bytes::Tls),
            (5432, Protocol::Tcp, Bytes::Raw),
            (443, Protocol::Tcp, Bytes::Raw),
            (443, Protocol::Tcp, Bytes::Http),
            (53, Protocol::Udp, Bytes::Raw),
            (123, Protocol::Udp, Bytes::Raw),
        ]);
        let (name, there) = random.pick(&self.world.hosts);
        let elsewhere = random.percent(25);
        let address = match elsewhere {
            true if random.percent(50) => random.pick(&self.world.addresses),
            true => random.pick(&self.world.hosts).1,
            false => there,
        };
        let name = (bytes != Bytes::Raw).then_some(name);
        // What a sidecar sends is read where it comes: by a gateway.
        let sent = match (bytes, name) {
            (Bytes::Http, Some(name)) => Http { host: name.into(), ..request(random, None) },
            _ => Http::default(),
        };
        let asks = match (bytes, name) {
            (Bytes::Http, Some(_)) => Request::from(&sent),
            _ => Request { host: name.map(Into::into), ..Request::default() },
        };
        let tcp = protocol == Protocol::Tcp;
        // Whom a connection reaches on a port, by address and by each name that is there.
        let on_port = |end: IpAddr, port: u16| -> Vec<Flow> {
            let flow = |destination| Flow {
                source: party(source),
                destination,
                port: Some(port),
                protocol,
                request: asks.clone(),
            };
            let names =
                self.world.hosts.iter().filter(|(host, at)| *at == end && name.is_none_or(|name| name == *host));
            let hosts = names.map(|(host, at)| {
                let at = match *host {
                    "db.zen.example" => netpol::model::addresses::AddressSet::of([ipnet::IpNet::from(*at)]),
                    _ => self.build.policy.internet.clone(),
                };
                flow(Party::Host { name: (*host).into(), at })
            });
            std::iter::once(flow(Party::Address(end))).chain(hosts).collect()
        };
        let readings = |end: IpAddr| on_port(end, port);
        let dial = Dial { address, port, bytes, name };
        let ways = if !self.has_istio() || !tcp || source.role == Role::Plain {
            vec![Landing::Dialled]
        } else {
            goes(&self.mesh, ROOT, self.world, source, &dial, self.draw.setting.pods)
        };
        let shown = format!(
            "{} {:?} ({}) -> {} at {address}:{port}/{} {bytes:?}",
            source.name(),
            source.net.labels,
            source.source.account,
            name.unwrap_or("no name"),
            protocol.word()
        );
        let ends = (Some(from), None);
        let direct = |end: IpAddr| self.network(End::Pod(&source.net), End::Address(end), port, protocol);
        for way in &ways {
            let (end, network, open) = match way {
                Landing::Dialled => (address, direct(address), true),
                Landing::Address(end) => (*end, direct(*end), true),
                Landing::Host(host) => {
                    let end = self.world.hosts.iter().find(|(name, _)| name == host).unwrap().1;
                    (end, direct(end), true)
                }
                Landing::Opened { host, port } => {
                    let end = self.world.hosts.iter().find(|(name, _)| name == host).unwrap().1;
                    let network = self.network(End::Pod(&source.net), End::Address(end), *port, protocol);
                    let shown = format!("{shown} lands {way:?}");
                    let what = Asked {
                        network,
                        good: true,
                        avoiding: true,
                        shown,
                        ends,
                        protocol,
                        promised: true,
                        way: "outside",
                    };
                    self.decide(&on_port(end, *port), what, found);
                    continue;
                }
                Landing::Gateway { host, port: at, sni, requests } => {
                    let end = self.world.hosts.iter().find(|(name, _)| name == host).unwrap().1;
                    let http = requests.then(|| Http { host: host.clone(), ..sent.clone() });
                    let (taken, network) = exits::by_gateway(self, source, (*at, sni, http.as_ref()), end, port);
                    let open = exits::denied_there(self, source, *at, sni).is_none();
                    (end, taken && network, open)
                }
                Landing::Service => panic!("a Service outside"),
            };
            let promised = open && !elsewhere && bytes == by_port(port) && !matches!(way, Landing::Address(_));
            let shown = format!("{shown} lands {way:?}");
            let what = Asked { network, good: true, avoiding: true, shown, ends, protocol, promised, way: "outside" };
            self.decide(&readings(end), what, found);
        }
        if ways.is_empty() {
            // The pod is to dial port 80 of this host, and its sidecar opens the TLS.
            let leaves_tls =
                self.draw.statements.iter().any(|one| one.contains("tls:80")) && name == Some("api.zen.example");
            let promised = !elsewhere && bytes == by_port(port) && !leaves_tls;
            let what = Asked {
                network: direct(address),
                good: false,
                avoiding: true,
                shown,
                ends,
                protocol,
                promised,
                way: "outside",
            };
            self.decide(&readings(address), what, found);
        } else if ways != [Landing::Dialled] && source.role == Role::Sidecar {
            let what = Asked {
                network: direct(address),
                good: false,
                avoiding: true,
                shown: format!("{shown} round the sidecar"),
                ends,
                protocol,
                promised: false,
                way: "outside",
            };
            self.decide(&readings(address), what, found);
        }
    }

    fn coming_in(&self, random: &mut Random, found: &mut Vec<Finding>) {
        let to = random.below(self.world.pods.len());
        let target = &self.world.pods[to];
        if target.role == Role::Gateway {
            return;
        }
        let (port, protocol) = random.pick(&[
            (8080, Protocol::Tcp),
            (9000, Protocol::Tcp),
            (15020, Protocol::Tcp),
            (9000, Protocol::Udp),
            (53, Protocol::Udp),
        ]);
        let outside: Vec<IpAddr> =
            self.world.addresses.iter().copied().chain(self.world.hosts.iter().map(|(_, at)| *at)).collect();
        let client = random.pick(&outside);
        let behind = self.world.services.iter().filter(|service| service.selects(target)).find_map(|service| {
            let at = service.ports.iter().find(|(_, _, target, proto)| *target == port && *proto == "TCP")?;
            Some((service, at.0))
        });
        let tcp = protocol == Protocol::Tcp;
        let http = tcp && reads_http(behind.map(|(_, name)| name), port);
        let mut request = http.then(|| request(random, behind.map(|(service, _)| service)));
        if let Some(request) = &mut request
            && random.percent(30)
        {
            request.host = "shop.example".into();
        }
        let flow = Flow {
            source: Party::Address(client),
            destination: party(target),
            port: Some(port),
            protocol,
            request: request.as_ref().map(Request::from).unwrap_or_default(),
        };
        let network = self.network(End::Address(client), End::Pod(&target.net), port, protocol);
        let good = !self.has_istio() || !tcp || self.receives(target, client, None, port, None, request.as_ref());
        let shown = format!(
            "{client} -> {} {:?} ({}):{port}/{} {}",
            target.name(),
            target.net.labels,
            target.source.account,
            protocol.word(),
            request.as_ref().map(|one| format!("{one:?}")).unwrap_or_default()
        );
        let what = Asked {
            network,
            good,
            avoiding: good,
            shown,
            ends: (None, Some(to)),
            protocol,
            promised: port != 15020,
            way: "outside",
        };
        self.decide(&[flow], what, found);
    }

    /// Compares what a flow came to with its meaning, of which any reading will do.
    fn decide(&self, readings: &[Flow], asked: Asked, found: &mut Vec<Finding>) {
        let policy = &self.build.policy;
        let verdicts: Vec<_> = readings.iter().map(|flow| eval(policy, flow)).collect();
        let allowed = verdicts.iter().any(netpol::policy::Verdict::allowed);
        let passes = asked.network && asked.good;
        let avoids = !passes && asked.network && asked.avoiding;
        let finding = |passes: bool, avoids: bool, rules: Vec<RuleId>, kind: String| Finding {
            passes,
            flow: asked.shown.clone(),
            kind,
            from: asked.ends.0,
            to: asked.ends.1,
            port: readings[0].port.unwrap_or(0),
            protocol: asked.protocol,
            way: asked.way,
            by: if passes {
                ""
            } else if asked.network {
                "istio"
            } else {
                "networkpolicy"
            },
            avoids,
            rules,
        };
        if !allowed && (passes || avoids) {
            let rules: Vec<RuleId> =
                readings.iter().zip(&verdicts).flat_map(|(flow, verdict)| self.forbidding(flow, verdict)).collect();
            if !self.said(&rules, &asked, readings[0].port, avoids) {
                let ends: Vec<String> = verdicts[0]
                    .ends
                    .iter()
                    .filter(|end| !end.allows())
                    .map(|end| {
                        format!(
                            "{:?} {}",
                            end.direction,
                            if matches!(end.cause, Cause::Denied(_)) { "denied" } else { "isolated" }
                        )
                    })
                    .collect();
                let kind = format!(
                    "{} passes {} {} avoids={avoids} {ends:?}",
                    self.draw.setting.layers,
                    asked.way,
                    asked.protocol.word()
                );
                found.push(finding(true, avoids, rules, kind));
            }
        }
        if verdicts.iter().all(netpol::policy::Verdict::allowed) && asked.promised && !passes {
            let allows = verdicts.iter().flat_map(|verdict| verdict.ends).filter_map(|end| match end.cause {
                Cause::Allowed(rule) => Some(rule),
                _ => None,
            });
            let by = if asked.network { "istio" } else { "networkpolicy" };
            let how = |cause: Cause| match cause {
                Cause::NoPod => "none",
                Cause::Itself => "itself",
                Cause::NotIsolated => "not isolated",
                Cause::Allowed(_) => "allowed",
                _ => "granted",
            };
            let ends = verdicts[0].ends.map(|end| how(end.cause));
            let kind = format!(
                "{} refused {} {} by {by} {ends:?}",
                self.draw.setting.layers,
                asked.way,
                asked.protocol.word()
            );
            let one = finding(false, false, allows.collect(), kind);
            found.extend((!known::narrower(self, &one)).then_some(one));
        }
    }

    /// Returns the rules that forbid a flow: the deny that matches, or all that isolate.
    pub fn forbidding(&self, flow: &Flow, verdict: &netpol::policy::Verdict) -> Vec<RuleId> {
        let mut rules = Vec::new();
        for end in verdict.ends.iter().filter(|end| !end.allows()) {
            let party = if end.direction == Direction::Egress { &flow.source } else { &flow.destination };
            let Party::Pod(pod) = party else { continue };
            match end.cause {
                Cause::Denied(rule) => rules.push(rule),
                _ => rules.extend(self.governing(pod, end.direction)),
            }
        }
        rules
    }

    /// Returns the rules that isolate a pod in a direction.
    pub fn governing(&self, pod: &netpol::policy::Pod, direction: Direction) -> Vec<RuleId> {
        let isolates = |at: &RuleId| self.build.policy.rules[at.index()].action != Action::Deny;
        self.speaking(pod, direction).into_iter().filter(isolates).collect()
    }

    /// Returns the rules that govern a pod in a direction, denies among them.
    pub fn speaking(&self, pod: &netpol::policy::Pod, direction: Direction) -> Vec<RuleId> {
        let rules = self.build.policy.numbered();
        let governs = rules.filter(|(_, rule)| rule.governs(direction) && self.selects(rule.subject(direction), pod));
        governs.map(|(at, _)| at).collect()
    }

    /// Returns whether a pod is among the pods of an endpoint.
    pub fn selects(&self, endpoint: &netpol::model::endpoint::Endpoint, pod: &netpol::policy::Pod) -> bool {
        endpoint.pods().any(|(_, pods)| pods.selector.matches(&pod.namespace_labels, &pod.labels, &pod.account))
    }

    /// Returns whether the build says that a flow which one of these rules forbids may pass.
    pub fn said(&self, rules: &[RuleId], asked: &Asked, port: Option<u16>, avoids: bool) -> bool {
        let rules: Vec<_> = rules.iter().map(|at| &self.build.policy.rules[at.index()]).collect();
        if rules.iter().any(|rule| rule.origin.approximate().is_some()) {
            return true;
        }
        let said = |code: Code, everywhere: bool| {
            self.build.diagnostics.iter().any(|one| {
                one.code == code && (everywhere || rules.iter().any(|rule| rule.origin.span == one.primary.span))
            })
        };
        // What a sidecar does not see is said once, where Istio is the only layer.
        let past = port.is_some_and(|port| netpol::targets::PAST_SIDECAR.contains(&port));
        let unseen =
            (asked.protocol != Protocol::Tcp || past) && said(Code::TcpOnly, self.draw.setting.layers == "istio");
        let plain = |pod: Option<usize>| pod.is_some_and(|at| self.world.pods[at].role == Role::Plain);
        let bare = (plain(asked.ends.0) || plain(asked.ends.1)) && said(Code::Unmeshed, false);
        unseen || bare || avoids && said(Code::Bypassable, false)
    }
}

/// What came of a flow, and how it is shown.
pub struct Asked {
    pub network: bool,
    pub good: bool,
    pub avoiding: bool,
    pub shown: String,
    pub ends: (Option<usize>, Option<usize>),
    pub protocol: Protocol,
    /// Whether the flow goes a way on which what is allowed must pass.
    pub promised: bool,
    pub way: &'static str,
}

/// Returns whether a pod's port is read as HTTP: as its Service says, else by what comes.
fn reads_http(service_port: Option<&str>, port: u16) -> bool {
    service_port.map_or(port == 8080, |name| name.starts_with("http") || name.starts_with("grpc"))
}

pub fn request(random: &mut Random, service: Option<&Service>) -> Http {
    let host = service.map_or_else(|| "10.244.0.1".to_owned(), Service::host);
    let (method, path) =
        random.pick(&[("GET", "/"), ("POST", "/api/x"), ("GET", "/api"), ("GET", "/health"), ("GET", "/apix")]);
    let tokens = [
        "",
        r#"{"iss": "https://login.example", "sub": "alice", "groups": ["admin", "dev"], "scope": "read write"}"#,
        r#"{"iss": "https://login.example", "sub": "bob", "groups": ["dev"], "scope": "write", "realm_access": {"roles": ["admin"]}}"#,
        r#"{"iss": "https://desk.example", "sub": "carol", "aud": "shop"}"#,
        r#"{"iss": "https://desk.example", "sub": "carol", "aud": "lab"}"#,
        r#"{"iss": "https://other.example", "sub": "alice", "groups": ["admin"]}"#,
    ];
    let claims = serde_json::from_str(random.pick(&tokens)).ok();
    let headers = random.pick(&[None, Some(("x-team", "web")), Some(("x-team", "ops"))]).into_iter().collect();
    Http { method: method.into(), path: path.into(), host, headers, claims, forwarded: None }
}
