//! Objects that are divided because they would be too large.

use super::build::build;

#[test]
fn an_object_that_is_too_large_is_several_that_add_up() {
    let block = |at: u32| format!("52.{}.{}.7", at / 256, at % 256);
    let many: Vec<String> = (0..9000).map(block).collect();
    for source in [
        format!("allow egress garden/* -> {{ {} }}:443", many.join(", ")),
        format!("allow ingress {{ {} }} -> garden/*:8080", many.join(", ")),
        many.iter()
            .take(3000)
            .enumerate()
            .map(|(at, block)| format!("allow egress garden/* -> {block}:{}\n", at + 1))
            .collect(),
    ] {
        let build = build(&source).ok();
        let objects: Vec<_> = build.lowering.layers.iter().flat_map(|(_, lowered)| &lowered.objects).collect();
        assert!(objects.len() > 1);
        assert!(
            objects.iter().all(|object| object.yaml.len() < 250 * 1024),
            "{:?}",
            objects.iter().map(|o| o.yaml.len()).collect::<Vec<_>>()
        );
        let text = build.text();
        let wanted = if source.lines().count() == 1 { 9000 } else { 3000 };
        assert_eq!(text.matches("cidr:").count(), wanted);
        assert_eq!(text.matches("policyTypes:").count(), objects.len());
    }
}
