//! netpol: policy as code for cluster networks.
//!
//! ```text
//! text ─syntax→ File ─resolve→ Names ─types→ Program ─policy→ Policy ─targets→ Objects ─cli→ files
//!                                              ↑                 │
//!                          manifests ─inventory→ Inventory       ├─ eval: is this flow allowed?
//!                                                                └─ meaning→ sets of flows ─analysis→ assertions, tests
//!                                                                                          └─verify→ do the Objects, read
//!                                                                                                    back, mean the Policy?
//! ```
//!
//! [`compile::policy`] makes a `Policy` of texts, and [`compile::build`] files of it; [`compile`] has the single stages
//! too.
//!
//! # From a sentence to YAML and a verdict
//!
//! ```
//! use netpol::compile::{self, Input};
//! use netpol::diag::Diagnostics;
//! use netpol::policy::ask::{Question, ask};
//! use netpol::settings::Settings;
//!
//! // The day decides about `@expires`: the library has no clock.
//! let today = time::Date::from_calendar_date(2026, time::Month::June, 1).unwrap();
//! let mut input = Input::new(Settings::new(today));
//! input.policy("shop.netpol", "allow egress shop/{app=web} -> zenquotes.io:443");
//!
//! let mut found = Diagnostics::new();
//! let policy = compile::policy(&mut input, &mut compile::no_files, &mut found).expect("no errors");
//!
//! let mut files = Vec::new();
//! compile::build(&policy, &input.sources, &mut found, &mut |some| {
//!     files.extend(some);
//!     true // and more, please
//! });
//! assert!(!found.has_errors());
//! let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
//! assert_eq!(paths, ["shop/istio.yaml", "shop/networkpolicy.yaml"]);
//! assert!(files[0].text.contains("kind: ServiceEntry") && files[0].text.contains("zenquotes.io"));
//!
//! let mut question = Question { from: "shop/{app=web}".into(), to: "zenquotes.io:443".into(), ..Question::default() };
//! assert!(ask(&policy, &question).unwrap().allowed());
//! question.to = "example.com:443".into();
//! assert!(!ask(&policy, &question).unwrap().allowed());
//! ```
//!
//! # Words
//!
//! | word | what it means |
//! |---|---|
//! | rule | `allow`, `deny` or `default deny`: a statement about flows |
//! | rule end | one direction of one rule: egress at the source, ingress at the destination |
//! | subject, peer | the governed side of a rule end; the other side |
//! | grant | what the compiler opens by itself, such as the way to DNS |
//! | layer, target | what enforces in the cluster (NetworkPolicy, Istio); the code that writes its objects |
//! | level | how well a layer enforces a rule end, from best to worst: exact, bypassable, wider, unable |
//! | gap | what a layer lets through in excess, with its reason |
//! | narrower | what a layer refuses although a rule allows it |
//! | pass, draft, finding | a step of a target; an object without its name; what a pass says of a rule end |
//! | judgement | what the findings of a layer come to for one rule end |
//! | isolate | to close a pod in a direction, so that only what is allowed passes |
//! | effective policy | what a layer says instead of a policy, as rules |
//! | partition | the rules for namespaces that share no object with others; the unit in which files are made |
//! | provenance | which lines an object or a message comes from |
//! | inventory | facts about the cluster, from manifests and from declarations of the source |
//! | deferred statements | statements of a file that are not parsed yet |
//! | gateway access | who may come in through a gateway, for which host |
//! | enforce, contain, match | a layer enforces a rule; a set contains pods or addresses; a rule matches a flow |
//!
//! # Features
//!
//! `cli`, on by default, is the command. Without it the library builds for `wasm32-unknown-unknown`.

pub mod analysis;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compile;
pub mod diag;
pub mod flows;
pub mod ide;
pub mod inventory;
#[cfg(feature = "cli")]
pub mod lsp;
pub mod model;
mod parallel;
pub mod policy;
pub mod replay;
pub mod resolve;
pub mod settings;
pub mod source;
pub mod syntax;
pub mod targets;
pub mod types;
pub mod verify;
