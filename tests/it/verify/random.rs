//! Random policies, checked as a build does: what the objects mean is what the rules mean, or a judgement says
//! otherwise. `NETPOL_VERIFY=POLICIES[,SEED]` asks for more than a test run.

use netpol::diag::Code;
use netpol::settings::Layer;

use crate::common::build::{Build, written};
use crate::layers::draw::{self, HEAD};
use crate::layers::random::Random;
use crate::layers::world::World;

#[test]
fn no_check_finds_a_mistake_in_random_policies() {
    let asked = std::env::var("NETPOL_VERIFY").unwrap_or_default();
    let (count, seed) = asked.split_once(',').unwrap_or((&asked, "1"));
    let (count, seed): (u64, u64) = (count.parse().unwrap_or(150), seed.parse().unwrap());
    let worlds = [World::new(false), World::new(true)];
    let (mut policies, mut objects, mut unchecked) = (0, 0, 0);
    for number in 0..count {
        let mut random = Random::of_case(seed, number);
        let draw = draw::draw(&mut random);
        let world = &worlds[usize::from(draw.setting.known)];
        let source = format!("{HEAD}{}{}\n", world.declarations(), draw.statements.join("\n"));
        let layers = if random.percent(50) { &[Layer::NetworkPolicy][..] } else { &Layer::ALL };
        let build = Build::text_for(layers, &source, world.manifests().as_deref(), |settings| {
            settings.port_numbers = random.percent(20);
            if draw.setting.pods {
                settings.pods = vec![written("10.244.0.0/16")];
            }
        });
        let found: Vec<_> = build.diagnostics.iter().filter(|finding| finding.code == Code::Miscompiled).collect();
        assert!(found.is_empty(), "case {number}:\n{}\n{found:#?}\n{}", draw.statements.join("\n"), build.text());
        unchecked += build.diagnostics.iter().filter(|finding| finding.code == Code::Unchecked).count();
        policies += 1;
        objects += build.of("NetworkPolicy").len();
    }
    println!("{policies} policies, {objects} objects, {unchecked} rows not checked");
    assert!(objects > 200 && unchecked == 0);
}
