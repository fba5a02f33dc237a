//! The known ways in which a NetworkPolicy comes to mean something else than its author wrote, one test for each.

use serde_json::json;

use super::build::build;

#[test]
fn trap_02_policy_types_are_always_written() {
    let object = build("default deny egress garden/*").ok().object();
    assert_eq!(object["spec"]["policyTypes"], json!(["Egress"]));
    let object = build("allow ingress web/* -> garden/*:80").ok().object();
    assert_eq!(object["spec"]["policyTypes"], json!(["Ingress"]));
}
