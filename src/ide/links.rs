//! Links: from the path of a `use` to its file, and from a code to its page.

use super::Analysis;
use super::nodes::{self, Node};
use crate::diag::Code;
use crate::source::{FileId, Span};

/// The target of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A file of the policy, or of the standard library.
    File(FileId),
    /// The page of a code.
    Page(Code),
}

impl Analysis {
    /// Returns the links of a file, in order.
    pub fn links(&self, file: FileId) -> Vec<(Span, Link)> {
        let mut links = Vec::new();
        for item in self.tree(file).map_or(&[][..], |tree| &tree.items) {
            nodes::visit(item, &mut |node| match node {
                Node::Path(import) => {
                    links.extend(self.used_file(file, import).map(|used| (import.path_span, Link::File(used))));
                }
                Node::Code(code) => links.extend(Code::parse(&code.text).map(|known| (code.span, Link::Page(known)))),
                _ => {}
            });
        }
        links
    }
}
