//! The declaration of a workload.

use super::printer::{Padding, Printer, Spacing};
use crate::model::ports::Protocol;
use crate::syntax::tree::{NamedPort, Word, WorkloadDecl};

/// A field of the block.
enum Field<'t> {
    Labels(&'t [(Word, Word)]),
    Account(&'t Word),
    Port(&'t NamedPort),
    YesOrNo(&'static str, bool),
}

impl Printer<'_> {
    pub(super) fn workload(&mut self, workload: &WorkloadDecl) {
        self.keyword("workload");
        self.word(&workload.namespace);
        self.token("/");
        self.word(&workload.name);
        self.gap(Spacing::Space);
        // In the order in which they were written.
        let mut fields: Vec<(u32, Field)> = Vec::new();
        let labels = workload.labels.first().map(|(key, _)| key.span.start);
        fields.extend(labels.map(|start| (start, Field::Labels(&workload.labels))));
        fields.extend(workload.account.iter().map(|account| (account.span.start, Field::Account(account))));
        fields.extend(workload.ports.iter().map(|port| (port.span.start, Field::Port(port))));
        let answers = [("sidecar", workload.sidecar), ("host-network", workload.host_network)];
        for (word, answer) in answers {
            fields.extend(answer.map(|(span, yes)| (span.start, Field::YesOrNo(word, yes))));
        }
        fields.sort_by_key(|(start, _)| *start);
        self.block(&fields, |printer, (_, field)| match field {
            Field::Labels(labels) => printer.given_labels(labels),
            Field::Account(account) => {
                printer.keyword("account");
                printer.word(account);
            }
            Field::Port(port) => {
                printer.keyword("port");
                printer.ident(&port.name);
                printer.gap(Spacing::Space);
                let protocol = port.protocol.map_or("", Protocol::word);
                let slash = if port.protocol.is_some() { "/" } else { "" };
                let number = format!("{}{slash}{protocol}", port.port);
                printer.run(|byte| byte.is_ascii_alphanumeric() || *byte == b'/', &number);
            }
            Field::YesOrNo(word, yes) => {
                printer.keyword(word);
                printer.token(if *yes { "yes" } else { "no" });
            }
        });
    }

    /// Writes `labels { key = value }`.
    pub(super) fn given_labels(&mut self, labels: &[(Word, Word)]) {
        self.keyword("labels");
        self.list(("{", "}"), Padding::Spaces, labels, |printer, (key, value)| {
            printer.word(key);
            printer.gap(Spacing::Space);
            printer.keyword("=");
            printer.word(value);
        });
    }
}
