//! Objects of `networking.istio.io`, and the patches of Services.

use super::{export_to, labels, strings};
use crate::policy::provenance::Provenance;
use crate::targets::istio::model::{
    DestinationRule, ExportTo, Gateway, Port, Resolution, ServiceEntry, ServicePatch, Sidecar, VirtualService,
};
use crate::targets::istio::plan::egress::addresses::is_single;
use crate::targets::names::annotate;
use crate::targets::yaml::Writer;

fn port_name(port: Port) -> String {
    format!("{}-{}", port.protocol.to_ascii_lowercase(), port.number)
}

fn port(yaml: &mut Writer, port: Port) {
    yaml.key("number").int(port.number.into());
    yaml.field("name", &port_name(port));
    yaml.key("protocol").word(port.protocol);
}

/// Writes the spec of a ServiceEntry.
pub fn service_entry(yaml: &mut Writer, entry: &ServiceEntry) {
    strings(yaml, "hosts", &[&entry.host]);
    if entry.address.is_some() {
        yaml.note("made up: the address is what counts");
    }
    if let Some(address) = &entry.address {
        let text = if is_single(address) { address.addr().to_string() } else { address.to_string() };
        strings(yaml, "addresses", &[text]);
    }
    export_to(yaml, &entry.export_to);
    yaml.note(match &entry.export_to {
        ExportTo::Everyone => "for the mesh's rules",
        ExportTo::Own(others) if others.is_empty() => "visible in this namespace alone",
        ExportTo::Own(_) => "visible in this namespace and to the gateway",
    });
    yaml.key("location").word("MESH_EXTERNAL");
    let (word, note) = match entry.resolution {
        Resolution::Dns => ("DNS", "the sidecar resolves the name: a forged one leads nowhere else"),
        Resolution::DynamicDns => ("DYNAMIC_DNS", "each name is resolved: a forged one leads nowhere else"),
        Resolution::Static if entry.endpoints.is_empty() => ("STATIC", "and no endpoints: these addresses are closed"),
        Resolution::Static => ("STATIC", "at these endpoints, wherever the client connects"),
        Resolution::None => ("NONE", "to the address that the client connects to"),
    };
    yaml.key("resolution").word(word).note(note);
    yaml.key("ports").list(|yaml| {
        for &one in &entry.ports {
            yaml.item().flow_map(|yaml| port(yaml, one));
        }
    });
    if !entry.endpoints.is_empty() {
        yaml.key("endpoints").list(|yaml| {
            for (address, weight) in &entry.endpoints {
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

/// Writes the spec of a Sidecar.
pub fn sidecar(yaml: &mut Writer, sidecar: &Sidecar) {
    if !sidecar.selector.is_empty() {
        yaml.key("workloadSelector").map(|yaml| {
            yaml.key("labels").map(|yaml| labels(yaml, &sidecar.selector));
        });
    }
    let Some(egress) = &sidecar.egress else {
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

/// Writes the spec of a Gateway.
pub fn gateway(yaml: &mut Writer, gateway: &Gateway) {
    yaml.key("selector").map(|yaml| labels(yaml, &gateway.selector));
    yaml.key("servers").list(|yaml| {
        yaml.item().map(|yaml| {
            let one = Port { number: gateway.port, protocol: "TLS" };
            yaml.key("port").flow_map(|yaml| port(yaml, one)).note("the pods' port");
            strings(yaml, "hosts", &gateway.hosts);
            yaml.key("tls").map(|yaml| {
                yaml.key("mode").word("ISTIO_MUTUAL").note("the gateway knows who asks");
            });
        });
    });
}

/// Writes the spec of a VirtualService.
pub fn virtual_service(yaml: &mut Writer, route: &VirtualService) {
    strings(yaml, "hosts", &[&route.host]);
    export_to(yaml, &route.export_to);
    strings(yaml, "gateways", &["mesh", &route.gateway]);
    yaml.key("tls").list(|yaml| {
        yaml.item().map(|yaml| {
            yaml.comment("From the pods to the gateway.");
            yaml.key("match").list(|yaml| {
                for source in &route.sources {
                    yaml.item().map(|yaml| {
                        strings(yaml, "gateways", &["mesh"]);
                        yaml.key("port").int(route.port.into());
                        strings(yaml, "sniHosts", &[&route.host]);
                        if !source.is_empty() {
                            yaml.key("sourceLabels").map(|yaml| labels(yaml, source));
                        }
                    });
                }
            });
            destination(yaml, &route.service, route.service_port, Some(&route.subset));
        });
    });
    yaml.key("tcp").list(|yaml| {
        yaml.item().map(|yaml| {
            yaml.comment("From the gateway to the host.");
            yaml.key("match").list(|yaml| {
                yaml.item().map(|yaml| {
                    strings(yaml, "gateways", &[&route.gateway]);
                    yaml.key("port").int(route.gateway_port.into());
                });
            });
            destination(yaml, &route.host, route.port, None);
        });
    });
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

/// Writes the spec of a DestinationRule.
pub fn destination_rule(yaml: &mut Writer, rule: &DestinationRule) {
    yaml.field("host", &rule.service);
    export_to(yaml, &rule.export_to);
    yaml.key("subsets").list(|yaml| {
        for (name, sni) in &rule.subsets {
            yaml.item().map(|yaml| {
                yaml.field("name", name);
                yaml.key("trafficPolicy").map(|yaml| {
                    yaml.key("portLevelSettings").list(|yaml| {
                        yaml.item().map(|yaml| {
                            yaml.key("port").flow_map(|yaml| {
                                yaml.key("number").int(rule.port.into());
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

/// Writes the patch of a gateway's Service: for `kubectl patch` or kustomize, not an object by itself.
pub fn service_patch(yaml: &mut Writer, patch: &ServicePatch, provenance: &Provenance) {
    const CHECK: &str = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-";
    yaml.key("apiVersion").word("v1");
    yaml.key("kind").word("Service");
    yaml.key("metadata").map(|yaml| {
        yaml.field("name", &patch.meta.name);
        yaml.field("namespace", &patch.meta.namespace);
        yaml.key("annotations").map(|yaml| {
            annotate(yaml, provenance);
            if patch.aws_nlb {
                for (key, value) in
                    [("healthy-threshold", "2"), ("path", "/healthz/ready"), ("port", "15021"), ("protocol", "HTTP")]
                {
                    yaml.any_key(&format!("{CHECK}{key}")).quoted(value);
                }
            }
        });
    });
    yaml.key("spec").map(|yaml| {
        yaml.key("externalTrafficPolicy").word("Local").note("keeps the client's address");
    });
}
