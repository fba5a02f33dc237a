//! Defects put into objects on purpose, so that it is known that the comparison can fail.

use serde_json::{Value, json};

use crate::random::Random;

/// A defect: its name, and what puts it into the objects; that returns false where there is no place for it.
pub type Mutation = (&'static str, fn(&mut Vec<Value>, &mut Random) -> bool);

/// The defects that must be caught.
pub const MUTATIONS: [Mutation; 14] = [
    ("an object is lost", lose_object),
    ("a peer is lost", |objects, random| lose_one(objects, random, peers)),
    ("a list of peers is emptied", |objects, random| change(objects, random, peers, |list| *list = json!([]))),
    ("or for and, in a peer", or_for_and),
    ("and for or, between two entries", and_for_or),
    ("a namespaceSelector is lost", |objects, random| lose_field(objects, random, "namespaceSelector")),
    ("a podSelector of a peer is lost", |objects, random| lose_field(objects, random, "podSelector")),
    ("the podSelector of an object is widened", widen_subject),
    ("a requirement on labels is turned round", turn_requirement),
    ("policyTypes are lost", lose_policy_types),
    ("an except is lost", lose_except),
    ("a port is lost", |objects, random| lose_one(objects, random, ports)),
    ("a port becomes a range", widen_port),
    ("a protocol is lost", lose_protocol),
];

/// Returns every rule of the objects.
fn rules(objects: &mut [Value]) -> Vec<&mut Value> {
    let specs = objects.iter_mut().filter_map(|object| object["spec"].as_object_mut());
    let lists = specs.flat_map(|spec| spec.iter_mut().filter(|(key, _)| ["egress", "ingress"].contains(&key.as_str())));
    lists.filter_map(|(_, list)| list.as_array_mut()).flatten().collect()
}

/// Returns the lists of peers, none of them empty.
fn peers(objects: &mut [Value]) -> Vec<&mut Value> {
    let fields = rules(objects).into_iter().filter_map(Value::as_object_mut).flat_map(|rule| rule.iter_mut());
    fields.filter(|(key, _)| ["from", "to"].contains(&key.as_str())).map(|(_, list)| list).collect()
}

/// Returns the lists of ports, none of them empty.
fn ports(objects: &mut [Value]) -> Vec<&mut Value> {
    rules(objects).into_iter().filter_map(|rule| rule.get_mut("ports")).collect()
}

fn items(lists: Vec<&mut Value>) -> Vec<&mut Value> {
    lists.into_iter().filter_map(Value::as_array_mut).flatten().collect()
}

/// Changes one of some places; false where there is none.
fn change(
    objects: &mut [Value],
    random: &mut Random,
    places: fn(&mut [Value]) -> Vec<&mut Value>,
    change: impl FnOnce(&mut Value),
) -> bool {
    change_where(random, places(objects), |_| true, change)
}

fn change_where(
    random: &mut Random,
    places: Vec<&mut Value>,
    fits: impl Fn(&Value) -> bool,
    change: impl FnOnce(&mut Value),
) -> bool {
    let mut places: Vec<&mut Value> = places.into_iter().filter(|place| fits(place)).collect();
    if places.is_empty() {
        return false;
    }
    let at = random.below(places.len());
    change(places.swap_remove(at));
    true
}

/// Takes one item out of a list that has more.
fn lose_one(objects: &mut [Value], random: &mut Random, places: fn(&mut [Value]) -> Vec<&mut Value>) -> bool {
    let several = |list: &Value| list.as_array().is_some_and(|list| list.len() > 1);
    change_where(random, places(objects), several, |list| {
        list.as_array_mut().map(|list| list.remove(0));
    })
}

fn lose_object(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    if objects.is_empty() {
        return false;
    }
    let at = random.below(objects.len());
    objects.remove(at);
    true
}

fn both_selectors(peer: &Value) -> bool {
    let narrow = |key: &str| peer[key].as_object().is_some_and(|selector| !selector.is_empty());
    narrow("namespaceSelector") && narrow("podSelector")
}

fn or_for_and(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    let has = |list: &Value| list.as_array().is_some_and(|list| list.iter().any(both_selectors));
    change_where(random, peers(objects), has, |list| {
        let Some(list) = list.as_array_mut() else { return };
        let Some(peer) = list.iter_mut().find(|peer| both_selectors(peer)) else { return };
        let pods = json!({ "podSelector": peer["podSelector"].take() });
        peer.as_object_mut().map(|peer| peer.remove("podSelector"));
        list.push(pods);
    })
}

/// Joins the peers of a rule with the ports of the next one, and loses the latter's peers.
fn and_for_or(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    let lists = |objects: &mut Vec<Value>| -> Vec<usize> {
        let two = |object: &Value| {
            ["egress", "ingress"].iter().any(|key| object["spec"][key].as_array().is_some_and(|list| list.len() > 1))
        };
        objects.iter().enumerate().filter(|(_, object)| two(object)).map(|(at, _)| at).collect()
    };
    let places = lists(objects);
    if places.is_empty() {
        return false;
    }
    let spec = &mut objects[random.pick(&places)]["spec"];
    let key = if spec["egress"].is_array() { "egress" } else { "ingress" };
    let Some(list) = spec[key].as_array_mut() else { return false };
    let second = list.remove(1);
    let Some(first) = list[0].as_object_mut() else { return false };
    for (key, value) in second.as_object().into_iter().flatten() {
        first.entry(key).or_insert(value.clone());
    }
    true
}

fn lose_field(objects: &mut [Value], random: &mut Random, field: &'static str) -> bool {
    change_where(random, items(peers(objects)), both_selectors, |peer| {
        peer.as_object_mut().map(|peer| peer.remove(field));
    })
}

fn widen_subject(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    let selectors = objects.iter_mut().map(|object| &mut object["spec"]["podSelector"]).collect();
    let narrow = |selector: &Value| selector.as_object().is_some_and(|selector| !selector.is_empty());
    change_where(random, selectors, narrow, |selector| *selector = json!({}))
}

fn turn_requirement(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    let selectors = objects.iter_mut().filter_map(|object| object["spec"]["podSelector"].get_mut("matchExpressions"));
    change_where(
        random,
        items(selectors.collect()),
        |_| true,
        |requirement| {
            let turned = match requirement["operator"].as_str() {
                Some("In") => "NotIn",
                Some("NotIn") => "In",
                Some("Exists") => "DoesNotExist",
                _ => "Exists",
            };
            requirement["operator"] = json!(turned);
        },
    )
}

/// Without types an object that names egress closes ingress too.
fn lose_policy_types(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    let specs = objects.iter_mut().map(|object| &mut object["spec"]).collect();
    change_where(
        random,
        specs,
        |spec| spec["egress"].is_array(),
        |spec| {
            spec.as_object_mut().map(|spec| spec.remove("policyTypes"));
        },
    )
}

fn lose_except(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    let blocks = items(peers(objects)).into_iter().filter_map(|peer| peer.get_mut("ipBlock")).collect();
    change_where(
        random,
        blocks,
        |block| block["except"].is_array(),
        |block| {
            block.as_object_mut().map(|block| block.remove("except"));
        },
    )
}

fn widen_port(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    let single = |port: &Value| port["port"].is_u64() && port["endPort"].is_null() && port["port"] != 65535;
    change_where(random, items(ports(objects)), single, |port| {
        port["endPort"] = json!(port["port"].as_u64().unwrap_or_default() + 1);
    })
}

/// A port without a protocol is one of TCP.
fn lose_protocol(objects: &mut Vec<Value>, random: &mut Random) -> bool {
    change_where(
        random,
        items(ports(objects)),
        |port| port["protocol"] != "TCP",
        |port| {
            port.as_object_mut().map(|port| port.remove("protocol"));
        },
    )
}
