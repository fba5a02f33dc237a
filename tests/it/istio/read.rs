//! What the objects of a build let in, read as sets, beside what the source says: more only where a judgement says so, and
//! less only for callers that a layer of sidecars cannot know. `NETPOL_READ=POLICIES[,SEED]` asks for more than a test run.

use netpol::flows::{Flows, Set};
use netpol::inventory::{self, PolicyObject};
use netpol::model::ports::{PortMatch, Protocol};
use netpol::model::rules::{Direction, RuleId};
use netpol::policy::meaning::{Meaning, in_words};
use netpol::settings::Layer;
use netpol::targets::istio::read::Ingress;
use netpol::targets::{Level, PAST_SIDECAR, Traffic};

use crate::common::build::Build;
use crate::layers::draw;
use crate::layers::judge::Case;
use crate::layers::random::Random;
use crate::layers::world::World;

/// Reads the build's own objects back.
fn own_objects(build: &Build) -> Vec<PolicyObject> {
    let file = build.policy.rules[0].origin.span.file;
    let istio = build.lowering.layers.iter().filter(|(layer, _)| *layer == Layer::Istio);
    let objects = istio.flat_map(|(_, lowered)| &lowered.objects).filter(|object| !object.patch);
    objects.flat_map(|object| inventory::written(file, &object.yaml)).collect()
}

/// Returns the flows that sidecars look at: TCP on ports that they do not leave out.
fn seen(flows: &mut Flows) -> Set {
    let mut first = 1;
    let mut ports = Vec::new();
    for past in PAST_SIDECAR {
        ports.push(PortMatch::range(first, past - 1, Protocol::Tcp));
        first = past + 1;
    }
    ports.push(PortMatch::range(first, u16::MAX, Protocol::Tcp));
    flows.ports(&netpol::model::ports::Ports::Some(ports))
}

/// Compares the ingress of a build with its source; returns what is not as it is said, in words.
fn compare(build: &Build) -> Vec<String> {
    let objects = own_objects(build);
    let ingress = Ingress::new(&build.policy, &objects);
    let mut meaning = Meaning::beside(&build.policy, |terms| ingress.terms(terms).unwrap());
    let judgements = build.judgements_of(Layer::Istio);
    let said = |rule: RuleId| {
        let approximate = build.policy.rules[rule.index()].origin.approximate().is_some();
        let levels = judgements.iter().filter(|one| one.rule == rule && one.direction == Direction::Ingress);
        approximate || levels.into_iter().any(|one| one.levels.of(Traffic::Tcp) != Level::Exact)
    };
    let narrower = |rule: RuleId| {
        judgements.iter().any(|one| one.rule == rule && one.direction == Direction::Ingress && !one.narrower.is_empty())
    };
    let mut found = Vec::new();
    for place in meaning.pod_places() {
        let (seen, known) = (seen(meaning.flows()), meaning.known(Direction::Ingress, place));
        let whole = meaning.read_by_proxies(Direction::Ingress, place);
        let d = &mut meaning.flows().diagrams;
        let within = d.and(seen, known);
        let within = d.and(within, whole);
        let layer = match ingress.row(meaning.flows(), place, within) {
            Ok(layer) => layer,
            Err(unread) => {
                found.push(format!("not understood: {}", unread.what));
                continue;
            }
        };
        let excess = meaning.excess(Direction::Ingress, place, layer, within, &said).unwrap();
        found.extend(excess.map(|one| format!("let in: {}", in_words(&meaning.flow(&one)))));
        let identified = meaning.flows().from_sidecar();
        let outside = meaning.flows().outside(false, Set::ALL);
        let d = &mut meaning.flows().diagrams;
        let known = d.or(identified, outside);
        let within = d.and(within, known);
        let unknown = d.complement(identified);
        let lost = meaning.lost(Direction::Ingress, place, layer, within, (unknown, &narrower)).unwrap();
        found.extend(lost.map(|one| format!("refused: {}", in_words(&meaning.flow(&one)))));
    }
    found
}

#[test]
fn objects_let_in_what_the_source_says_and_more_only_where_a_judgement_says_so() {
    let asked = std::env::var("NETPOL_READ").unwrap_or_default();
    let (count, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (count, seed): (u64, u64) = (count.parse().unwrap_or(100), seed.parse().unwrap());
    let worlds = [World::new(false), World::new(true)];
    let (mut built, mut wrong) = (0, 0);
    for number in 0..count {
        let mut draw = draw::draw(&mut Random::of_case(seed, number));
        draw.setting.layers = "istio";
        let Some(case) = Case::build(&worlds[usize::from(draw.setting.known)], &draw) else { continue };
        built += 1;
        let found = compare(&case.build);
        if !found.is_empty() {
            wrong += 1;
            println!("\n# case {number}, {:?}\n{}", draw.setting, draw.statements.join("\n"));
            found.iter().for_each(|one| println!("  {one}"));
        }
    }
    println!("{built} of {count} policies built, {wrong} not as they are said");
    assert_eq!(wrong, 0);
    assert!(built > count / 8, "only {built} of {count} policies built");
}
