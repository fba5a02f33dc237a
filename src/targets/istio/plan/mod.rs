//! What Istio says for a policy: who is governed (`subjects`), what comes in (`ingress`), what goes out (`egress`), and what
//! passes gateways on either way (`gateway`).

pub mod egress;
pub mod gateway;
pub mod ingress;
pub mod left_out;
pub mod subjects;
