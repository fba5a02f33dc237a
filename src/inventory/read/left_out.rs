//! The annotations of pods that keep connections from their sidecars.

use super::document::Mistakes;
use super::fields;
use super::tree::At;
use crate::inventory::left_out::{EVERY_PORT, LeftOut, PortRange, all_but};
use crate::model::addresses::AddressSet;
use crate::model::rules::Direction;

const MODE: &str = "sidecar.istio.io/interceptionMode";
const INCLUDE_IN: &str = "traffic.sidecar.istio.io/includeInboundPorts";
const EXCLUDE_IN: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
/// Interfaces whose traffic is not redirected, which may be that of every connection.
const INTERFACES: &str = "traffic.sidecar.istio.io/excludeInterfaces";
/// The pod's ProxyConfig, as YAML.
const CONFIG: &str = "proxy.istio.io/config";
/// The port of the sidecar's agent, which Istio's injector adds to the excluded ports; by default 15020.
const STATUS: &str = "status.sidecar.istio.io/port";
const INCLUDE_OUT: &str = "traffic.sidecar.istio.io/includeOutboundPorts";
const EXCLUDE_OUT: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
const INCLUDE_TO: &str = "traffic.sidecar.istio.io/includeOutboundIPRanges";
const EXCLUDE_TO: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";

/// Reads the connections that the annotations of a pod leave out.
pub(super) fn left_out(annotations: Option<At<'_>>, mistakes: &mut Mistakes<'_>) -> Vec<LeftOut> {
    let Some(annotations) = annotations else { return Vec::new() };
    // An empty list means: no port.
    let mut read = |key: &str| Some(fields::as_text(annotations.get(key)?, key, mistakes)?.trim().to_owned());
    let (mode, config, interfaces) = (read(MODE), read(CONFIG), read(INTERFACES));
    let (include_in, exclude_in) = (read(INCLUDE_IN), read(EXCLUDE_IN));
    let status = read(STATUS).filter(|port| port != "15020");
    let (include_out, exclude_out) = (read(INCLUDE_OUT), read(EXCLUDE_OUT));
    let (include_to, exclude_to) = (read(INCLUDE_TO), read(EXCLUDE_TO));
    let mut all: Vec<LeftOut> = Vec::new();
    let mut add = |direction, annotation, ports: Vec<PortRange>, to: Option<AddressSet>| {
        if !ports.is_empty() && to.as_ref().is_none_or(|to| !to.is_empty()) {
            all.push(LeftOut { direction, annotation, ports, to });
        }
    };
    let off = match (mode.as_deref(), config.as_deref(), interfaces.as_deref()) {
        (Some("NONE"), ..) => Some(MODE),
        // The annotation counts before the ProxyConfig.
        (None, Some(config), _) if intercepts_nothing(config) => Some(CONFIG),
        (.., Some(interfaces)) if !interfaces.is_empty() => Some(INTERFACES),
        _ => None,
    };
    if let Some(annotation) = off {
        Direction::BOTH.into_iter().for_each(|direction| add(direction, annotation, vec![EVERY_PORT], None));
        return all;
    }
    match include_in.as_deref() {
        None | Some("*") => {
            add(Direction::Ingress, EXCLUDE_IN, ports(exclude_in.as_deref().unwrap_or_default()), None);
            add(Direction::Ingress, STATUS, ports(status.as_deref().unwrap_or_default()), None);
        }
        Some(list) => add(Direction::Ingress, INCLUDE_IN, all_but(ports(list)), None),
    }
    add(Direction::Egress, EXCLUDE_OUT, ports(exclude_out.as_deref().unwrap_or_default()), None);
    let excluded = exclude_to.map(|list| addresses(&list)).unwrap_or_default();
    add(Direction::Egress, EXCLUDE_TO, vec![EVERY_PORT], Some(excluded));
    if let Some(list) = include_to.filter(|list| list != "*") {
        let rest = AddressSet::everything().subtract(&addresses(&list));
        add(Direction::Egress, INCLUDE_TO, all_but(ports(include_out.as_deref().unwrap_or_default())), Some(rest));
    }
    all
}

/// Returns whether a ProxyConfig has `interceptionMode: NONE`, in any style of YAML and by either name of the field.
fn intercepts_nothing(config: &str) -> bool {
    let lines = config.lines().map(|line| line.trim_start()).filter(|line| !line.starts_with('#'));
    let fields = lines.flat_map(|line| line.split([',', '{', '}']));
    fields.filter_map(|field| field.split_once(':')).any(|(key, value)| {
        let word = |text: &str| text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'').to_owned();
        let value = value.split(" #").next().unwrap_or_default();
        matches!(word(key).as_str(), "interceptionMode" | "interception_mode")
            && matches!(word(value).as_str(), "NONE" | "2")
    })
}

/// Reads a list of ports. Istio makes no pod if one of them is wrong.
fn ports(list: &str) -> Vec<PortRange> {
    if list == "*" {
        return vec![EVERY_PORT];
    }
    let numbers = list.split(',').filter_map(|text| text.trim().parse::<u16>().ok());
    numbers.filter(|number| *number > 0).map(|number| (number, number)).collect()
}

fn addresses(list: &str) -> AddressSet {
    AddressSet::of(list.split(',').filter_map(|text| text.trim().parse().ok()))
}
