//! The answers for an editor: offsets in, data out.
//!
//! ```
//! use netpol::compile::{self, Input};
//! use netpol::diag::Diagnostics;
//! use netpol::ide::Analysis;
//! use netpol::settings::Settings;
//!
//! let mut input = Input::new(Settings::new(time::Date::MIN));
//! let text = "let db = data/{app=db}\nallow egress shop/* -> db:5432\n";
//! let file = input.policy("shop.netpol", text);
//! let analysis = Analysis::of(input, true, &mut compile::no_files, Diagnostics::new(), None);
//!
//! let use_of_db = text.rfind("db").unwrap() as u32;
//! let definition = analysis.definition(file, use_of_db)[0];
//! assert_eq!(definition.start, 4);
//! assert_eq!(analysis.references(file, use_of_db, true).len(), 2);
//! ```
//!
//! An [`Analysis`] is made from texts and settings, and never changes: after an edit an editor makes another one. For a
//! large policy it first makes a [`Draft`], which reads and checks only the edited text. Nothing here knows files, or
//! the protocol of an editor. A half-typed statement is an error node; the rest of its file is analysed.

mod analysis;
mod ask;
mod complete;
mod draft;
mod fixes;
mod hover;
mod layout;
mod links;
mod margin;
mod navigate;
mod nodes;
mod reach;
mod review;
mod shape;
mod signature;
mod symbols;
mod tokens;
mod words;

pub use analysis::Analysis;
pub use complete::{Completion, CompletionKind};
pub use draft::{Draft, Window};
pub use hover::Hover;
pub use links::Link;
pub use margin::{Hint, Lens, LensAction};
pub use reach::{Asked, Contact, Party};
pub use review::Changes;
pub use shape::FoldKind;
pub use signature::Signature;
pub use symbols::{OutlineSymbol, SymbolKind};
pub use tokens::{Token, TokenKind};
