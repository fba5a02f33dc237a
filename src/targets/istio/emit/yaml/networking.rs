//! Objects of `networking.istio.io`, and the patches of Services.

use ipnet::IpNet;

use super::{Kind, Stands, Written, export_to, labels, strings};
use crate::targets::istio::model::{
    DestinationRule, ExportTo, Gateway, OpenedTls, Port, Resolution, ServiceEntry, ServicePatch, Sidecar, ToldBy,
    VirtualService, WorkloadPatch,
};
use crate::targets::istio::nets::is_single;
use crate::targets::names::{Head, annotate};
use crate::targets::yaml::Writer;

const NETWORKING: &str = "networking.istio.io/v1";

fn port_name(port: Port) -> String {
    format!("{}-{}", port.protocol.to_ascii_lowercase(), port.number)
}

fn port(yaml: &mut Writer, port: Port) {
    yaml.key("number").int(port.number.into());
    yaml.field("name", &port_name(port));
    yaml.key("protocol").word(port.protocol);
}

impl Written for ServiceEntry {
    fn kind(&self) -> Kind {
        Kind { rank: 0, api_version: NETWORKING, word: "ServiceEntry" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        strings(yaml, "hosts", &[&self.host]);
        if !self.addresses.is_empty() {
            if self.resolution == Resolution::None {
                let note = if self.addresses.len() == 1 { "the address is" } else { "the addresses are" };
                yaml.note(&format!("made up: {note} what counts"));
            }
            let text = |net: &IpNet| if is_single(net) { net.addr().to_string() } else { net.to_string() };
            strings(yaml, "addresses", &self.addresses.iter().map(text).collect::<Vec<_>>());
        }
        export_to(yaml, &self.export_to);
        yaml.note(match &self.export_to {
            ExportTo::Everyone => "for the mesh's rules",
            ExportTo::Own(others) if others.is_empty() => "visible in this namespace alone",
            ExportTo::Own(_) => "visible in this namespace and to the gateway",
        });
        yaml.key("location").word("MESH_EXTERNAL");
        let (word, note) = match self.resolution {
            Resolution::Dns => ("DNS", "the sidecar resolves the name: a forged one leads nowhere else"),
            Resolution::DynamicDns => ("DYNAMIC_DNS", "each name is resolved: a forged one leads nowhere else"),
            Resolution::Static => ("STATIC", "at these endpoints, wherever the client connects"),
            Resolution::None => ("NONE", "to the address that the client connects to"),
        };
        yaml.key("resolution").word(word).note(note);
        yaml.key("ports").list(|yaml| {
            for &(one, target) in &self.ports {
                let item = yaml.item().flow_map(|yaml| {
                    port(yaml, one);
                    if let Some(target) = target {
                        yaml.key("targetPort").int(target.into());
                    }
                });
                if target.is_some() {
                    item.note("where TLS arrives that the sidecar opens");
                }
            }
        });
        if !self.endpoints.is_empty() {
            yaml.key("endpoints").list(|yaml| {
                for (address, weight) in &self.endpoints {
                    yaml.item().flow_map(|yaml| {
                        yaml.field("address", &address.to_string());
                        if let Some(weight) = weight {
                            yaml.key("weight").int(*weight);
                        }
                    });
                }
            });
        }
    }
}

impl Written for Sidecar {
    fn kind(&self) -> Kind {
        Kind { rank: 1, api_version: NETWORKING, word: "Sidecar" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        if !self.selector.is_empty() {
            yaml.key("workloadSelector").map(|yaml| {
                yaml.key("labels").map(|yaml| labels(yaml, &self.selector));
            });
        }
        let Some(egress) = &self.egress else {
            yaml.key("outboundTrafficPolicy").map(|yaml| {
                yaml.key("mode").word("ALLOW_ANY");
            });
            yaml.key("egress").list(|yaml| {
                yaml.item().map(|yaml| strings(yaml, "hosts", &["*/*"]));
            });
            return;
        };
        yaml.key("outboundTrafficPolicy").map(|yaml| {
            yaml.key("mode").word("REGISTRY_ONLY").note("nothing but what is named here");
        });
        yaml.key("egress").list(|yaml| {
            for listener in egress {
                yaml.item().map(|yaml| {
                    if let Some(one) = listener.port {
                        yaml.key("port").flow_map(|yaml| port(yaml, one));
                    }
                    strings(yaml, "hosts", &listener.hosts);
                });
            }
        });
    }
}

impl Written for Gateway {
    fn kind(&self) -> Kind {
        Kind { rank: 2, api_version: NETWORKING, word: "Gateway" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        yaml.key("selector").map(|yaml| labels(yaml, &self.selector));
        yaml.key("servers").list(|yaml| {
            yaml.item().map(|yaml| {
                let one = Port { number: self.port, protocol: if self.requests { "HTTPS" } else { "TLS" } };
                yaml.key("port").flow_map(|yaml| port(yaml, one)).note("the pods' port");
                strings(yaml, "hosts", &self.hosts);
                yaml.key("tls").map(|yaml| {
                    yaml.key("mode").word("ISTIO_MUTUAL").note("the gateway knows who asks");
                });
            });
        });
    }
}

impl Written for VirtualService {
    fn kind(&self) -> Kind {
        Kind { rank: 3, api_version: NETWORKING, word: "VirtualService" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        strings(yaml, "hosts", &[&self.host]);
        export_to(yaml, &self.export_to);
        strings(yaml, "gateways", &["mesh", &self.gateway]);
        match self.told_by {
            ToldBy::Tls => {
                yaml.key("tls").list(|yaml| self.to_gateway(yaml));
                yaml.key("tcp").list(|yaml| self.to_host(yaml));
            }
            ToldBy::Address => {
                yaml.key("tcp").list(|yaml| {
                    self.to_gateway(yaml);
                    self.to_host(yaml);
                });
            }
            ToldBy::Requests => {
                yaml.key("http").list(|yaml| {
                    self.to_gateway(yaml);
                    self.to_host(yaml);
                    self.past_gateway(yaml);
                });
            }
        }
    }
}

impl VirtualService {
    fn to_gateway(&self, yaml: &mut Writer) {
        yaml.item().map(|yaml| {
            yaml.comment("From the pods to the gateway.");
            yaml.key("match").list(|yaml| {
                for source in &self.sources {
                    yaml.item().map(|yaml| {
                        strings(yaml, "gateways", &["mesh"]);
                        yaml.key("port").int(self.port.into());
                        if self.told_by == ToldBy::Tls {
                            strings(yaml, "sniHosts", &[&self.host]);
                        }
                        if !source.is_empty() {
                            yaml.key("sourceLabels").map(|yaml| labels(yaml, source));
                        }
                    });
                }
            });
            destination(yaml, &self.service, self.service_port, Some(&self.subset));
        });
    }

    fn to_host(&self, yaml: &mut Writer) {
        yaml.item().map(|yaml| {
            yaml.comment("From the gateway to the host.");
            self.straight(yaml, &self.gateway, self.gateway_port, self.port);
        });
    }

    /// Writes the routes of pods that reach the host without the gateway. A request that no route of its host matches
    /// is refused.
    fn past_gateway(&self, yaml: &mut Writer) {
        let everyone = self.sources.iter().any(|labels| labels.is_empty());
        for &port in self.direct.iter().filter(|port| **port != self.port || !everyone) {
            yaml.item().map(|yaml| {
                yaml.comment("From other pods, or on another port, which their Sidecars may let out.");
                self.straight(yaml, "mesh", port, port);
            });
        }
    }

    fn straight(&self, yaml: &mut Writer, gateway: &str, port: u16, to: u16) {
        yaml.key("match").list(|yaml| {
            yaml.item().map(|yaml| {
                strings(yaml, "gateways", &[gateway]);
                yaml.key("port").int(port.into());
            });
        });
        destination(yaml, &self.host, to, None);
    }
}

fn destination(yaml: &mut Writer, host: &str, port: u16, subset: Option<&str>) {
    yaml.key("route").list(|yaml| {
        yaml.item().map(|yaml| {
            yaml.key("destination").map(|yaml| {
                yaml.field("host", host);
                if let Some(subset) = subset {
                    yaml.field("subset", subset);
                }
                yaml.key("port").flow_map(|yaml| {
                    yaml.key("number").int(port.into());
                });
            });
        });
    });
}

impl Written for DestinationRule {
    fn kind(&self) -> Kind {
        Kind { rank: 4, api_version: NETWORKING, word: "DestinationRule" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        yaml.field("host", &self.host);
        export_to(yaml, &self.export_to);
        let (number, subsets) = match &self.tls {
            OpenedTls::Mutual { port, subsets } => (*port, subsets),
            OpenedTls::Simple { ports } => return self.simple(yaml, ports),
        };
        yaml.key("subsets").list(|yaml| {
            for (name, sni) in subsets {
                yaml.item().map(|yaml| {
                    yaml.field("name", name);
                    yaml.key("trafficPolicy").map(|yaml| {
                        yaml.key("portLevelSettings").list(|yaml| {
                            yaml.item().map(|yaml| {
                                yaml.key("port").flow_map(|yaml| {
                                    yaml.key("number").int(number.into());
                                });
                                yaml.key("tls").flow_map(|yaml| {
                                    yaml.key("mode").word("ISTIO_MUTUAL");
                                    yaml.field("sni", sni);
                                });
                            });
                        });
                    });
                });
            }
        });
    }
}

impl DestinationRule {
    /// Writes the TLS to a host. `caCertificates: system` is the bundle of the proxy's image, and only with the name
    /// among `subjectAltNames` is another host's certificate refused (istio.io, "ClientTLSSettings").
    fn simple(&self, yaml: &mut Writer, ports: &[u16]) {
        yaml.key("trafficPolicy").map(|yaml| {
            yaml.key("portLevelSettings").list(|yaml| {
                for &number in ports {
                    yaml.item().map(|yaml| {
                        yaml.key("port").flow_map(|yaml| {
                            yaml.key("number").int(number.into());
                        });
                        yaml.key("tls").map(|yaml| {
                            yaml.key("mode").word("SIMPLE").note("the sidecar opens TLS");
                            yaml.field("sni", &self.host);
                            strings(yaml, "subjectAltNames", &[&self.host]);
                            yaml.note("of the certificate");
                            yaml.key("caCertificates").word("system").note("the public authorities");
                        });
                    });
                }
            });
        });
    }
}

/// A patch of a gateway's Service: for `kubectl patch` or kustomize, not an object by itself.
impl Written for ServicePatch {
    fn kind(&self) -> Kind {
        Kind { rank: 8, api_version: "v1", word: "Service" }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        yaml.key("externalTrafficPolicy").word("Local").note("keeps the client's address");
    }

    fn document(&self, yaml: &mut Writer, head: &Head<'_>, stands: &Stands<'_>) {
        const CHECK: &str = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-";
        yaml.key("apiVersion").word(head.api_version);
        yaml.key("kind").word(head.kind);
        yaml.key("metadata").map(|yaml| {
            yaml.field("name", head.name);
            yaml.field("namespace", head.namespace);
            yaml.key("annotations").map(|yaml| {
                annotate(yaml, head.provenance);
                if self.aws_nlb {
                    for (key, value) in [
                        ("healthy-threshold", "2"),
                        ("path", "/healthz/ready"),
                        ("port", "15021"),
                        ("protocol", "HTTP"),
                    ] {
                        yaml.any_key(&format!("{CHECK}{key}")).quoted(value);
                    }
                }
            });
        });
        yaml.key("spec").map(|yaml| self.spec(yaml, stands));
    }

    fn is_patch(&self) -> bool {
        true
    }
}

/// A patch of the workload of a gateway's pods. Its proxies count X-Forwarded-For from the end by this number
/// (istio.io, "Configuring Gateway Network Topology").
impl Written for WorkloadPatch {
    fn kind(&self) -> Kind {
        Kind { rank: 9, api_version: "apps/v1", word: self.kind }
    }

    fn spec(&self, yaml: &mut Writer, _: &Stands<'_>) {
        let config = format!("gatewayTopology: {{numTrustedProxies: {}}}", self.proxies);
        yaml.key("template").map(|yaml| {
            yaml.key("metadata").map(|yaml| {
                yaml.key("annotations").map(|yaml| {
                    yaml.any_key("proxy.istio.io/config").quoted(&config);
                });
            });
        });
    }

    fn document(&self, yaml: &mut Writer, head: &Head<'_>, stands: &Stands<'_>) {
        yaml.key("apiVersion").word(head.api_version);
        yaml.key("kind").word(head.kind);
        yaml.key("metadata").map(|yaml| {
            yaml.field("name", head.name);
            yaml.field("namespace", head.namespace);
            yaml.key("annotations").map(|yaml| annotate(yaml, head.provenance));
        });
        yaml.key("spec").map(|yaml| self.spec(yaml, stands));
    }

    fn is_patch(&self) -> bool {
        true
    }
}
