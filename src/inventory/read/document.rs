//! The documents of a manifest as trees with spans.
//!
//! The events come from the parser of `serde-saphyr`, which is safe on hostile text, gives the span and the quotes of
//! every scalar and continues with the next document after a mistake. JSON is read as YAML. A tree contains only the
//! fields that [`super::object`] reads: a fifth of a Pod's forty fields, and almost nothing of a
//! CustomResourceDefinition. No function here recurses, and an alias refers to its node without a copy, so that neither
//! depth nor repetition costs more than the length of the text.

use rustc_hash::FxHashMap;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span as EventSpan, options};
use smol_str::SmolStr;

use super::errors;
use super::scalar::{self, Scalar};
use super::tree::{Document, Entry, Key, Node, NodeId, Value};
use crate::diag::{Diagnostic, Diagnostics};
use crate::source::{FileId, Span};

/// The largest file that is read.
const MAX_BYTES: usize = 256 << 20;

/// The most mistakes of a file that are reported; then the file is given up.
const MAX_MISTAKES: usize = 50;

/// The most values of one document that are kept: some 50 000 Pods.
const MAX_VALUES: usize = 2_000_000;

/// The most values that the aliases of one file may refer to, together: this limits the time of a walk over the trees.
const MAX_ALIASED: u64 = 100_000;

/// The part of a mapping's value that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// None of it.
    Nothing,
    /// The keys that [`keep`] names.
    Known,
    /// All of it.
    Everything,
}

/// Returns how much of the value under `key` is kept.
fn keep(key: &str) -> Keep {
    match key {
        "labels" | "selector" => Keep::Everything,
        // Fields of objects that decide flows.
        "podSelector" | "namespaceSelector" | "workloadSelector" | "ipBlock" => Keep::Everything,
        "policyTypes" | "ingress" | "egress" | "from" | "to" | "endPort" | "creationTimestamp" => Keep::Known,
        // Objects of Istio.
        "rules" | "action" | "provider" | "targetRef" | "targetRefs" | "group" | "istio.io/dry-run" => Keep::Known,
        "source" | "operation" | "when" | "key" | "values" | "notValues" => Keep::Known,
        "principals" | "notPrincipals" | "namespaces" | "notNamespaces" => Keep::Known,
        "serviceAccounts" | "notServiceAccounts" | "requestPrincipals" | "notRequestPrincipals" => Keep::Known,
        "ipBlocks" | "notIpBlocks" | "remoteIpBlocks" | "notRemoteIpBlocks" => Keep::Known,
        "notHosts" | "notPorts" | "methods" | "notMethods" | "paths" | "notPaths" => Keep::Known,
        "mtls" | "jwtRules" | "issuer" | "jwksUri" | "jwks" | "audiences" | "outboundTrafficPolicy" | "captureMode" => {
            Keep::Known
        }
        // Its keys are numbers of ports.
        "portLevelMtls" => Keep::Everything,
        "<<" | "apiVersion" | "kind" | "items" | "metadata" | "name" | "generateName" | "namespace" | "uid" => {
            Keep::Known
        }
        "annotations" | "sidecar.istio.io/inject" | "sidecar.istio.io/status" | "inject.istio.io/templates" => {
            Keep::Known
        }
        "sidecar.istio.io/interceptionMode" | "status.sidecar.istio.io/port" | "proxy.istio.io/config" => Keep::Known,
        key if key.starts_with("traffic.sidecar.istio.io/") => Keep::Known,
        "ownerReferences" | "controller" | "spec" | "template" | "jobTemplate" | "type" | "status" => Keep::Known,
        "serviceAccountName" | "serviceAccount" | "hostNetwork" | "restartPolicy" => Keep::Known,
        "containers" | "initContainers" | "ports" | "containerPort" | "protocol" => Keep::Known,
        "port" | "targetPort" | "nodePort" | "externalName" | "appProtocol" | "clusterIP" | "clusterIPs" => Keep::Known,
        "externalTrafficPolicy" | "subsets" | "endpoints" => Keep::Known,
        "phase" | "podIP" | "podIPs" | "ip" => Keep::Known,
        // Gateways and routes.
        "servers" | "listeners" | "hosts" | "hostname" | "hostnames" | "number" | "tls" | "mode" => Keep::Known,
        "gatewayClassName" | "addresses" | "value" | "gateways" | "http" | "filters" => Keep::Known,
        "rewrite" | "uri" | "uriRegexRewrite" | "authority" | "urlRewrite" | "path" => Keep::Known,
        _ => Keep::Nothing,
    }
}

/// Reads the documents of a file and hands the kept part of each to `visit`. A document that cannot be read is a
/// diagnostic; the ones after it are still read.
pub(super) fn each_document(
    file: FileId,
    text: &str,
    keep: Keep,
    diagnostics: &mut Diagnostics,
    mut visit: impl FnMut(&Document<'_>, &mut Mistakes<'_>),
) {
    if text.len() > MAX_BYTES {
        diagnostics.push(errors::too_large(Span::new(file, 0, 0), MAX_BYTES));
        return;
    }
    let mut mistakes = Mistakes::new(diagnostics);
    let mut parser = Parser::new_from_str_with_options(text, options! { emit_comments: false });
    let mut builder = Builder::new(file, text, keep);
    while let Some(event) = parser.next_event() {
        let result = match event {
            Ok((Event::DocumentEnd, _)) => {
                builder.twice.drain(..).for_each(|(key, first)| mistakes.push(errors::key_twice(&key, first)));
                if let Some(document) = builder.finish() {
                    visit(&document, &mut mistakes);
                }
                Ok(())
            }
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(errors::syntax(file, text, &error)),
        };
        let failed = result.is_err();
        if let Err(diagnostic) = result {
            mistakes.push(*diagnostic);
            builder.reset();
        }
        if mistakes.are_too_many() || failed && (builder.is_spent() || !parser.proceed_next_document().unwrap_or(false))
        {
            return;
        }
    }
}

/// The findings of one file, at most [`MAX_MISTAKES`].
pub(super) struct Mistakes<'d> {
    diagnostics: &'d mut Diagnostics,
    left: usize,
}

impl<'d> Mistakes<'d> {
    /// Begins the findings of a file.
    pub fn new(diagnostics: &'d mut Diagnostics) -> Mistakes<'d> {
        Mistakes { diagnostics, left: MAX_MISTAKES }
    }

    /// Adds a finding; the last says that the file is given up there.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        self.diagnostics.push(if left == 0 { errors::last_of(diagnostic, MAX_MISTAKES) } else { diagnostic });
    }

    /// Returns whether the limit of findings is reached, so that the rest need not be read.
    pub fn are_too_many(&self) -> bool {
        self.left == 0
    }
}

/// A list or mapping whose end has not come yet.
struct Frame {
    start: Span,
    keep: Keep,
    anchor: usize,
    /// The number of its values, with those that aliases refer to.
    weight: u64,
    open: Open,
}

enum Open {
    Skipped,
    List(Vec<NodeId>),
    Map(Vec<Entry>, Next),
}

/// The next event of a mapping: a key or a value.
enum Next {
    Key,
    Value(Key, Keep),
    Unwanted,
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    /// How much of each document is kept.
    all: Keep,
    nodes: Vec<Node>,
    root: Option<NodeId>,
    stack: Vec<Frame>,
    /// Finished nodes by the parser's number of their anchor, with their weights.
    anchors: FxHashMap<usize, (NodeId, u64)>,
    aliased: u64,
    /// The repeated keys of a mapping, each with the span of the first.
    twice: Vec<(Key, Span)>,
}

impl<'t> Builder<'t> {
    fn new(file: FileId, text: &'t str, all: Keep) -> Builder<'t> {
        let (nodes, stack, anchors) = (Vec::new(), Vec::new(), FxHashMap::default());
        Builder { file, text, all, nodes, root: None, stack, anchors, aliased: 0, twice: Vec::new() }
    }

    fn reset(&mut self) {
        self.nodes.clear();
        self.stack.clear();
        self.anchors.clear();
        self.root = None;
    }

    /// Returns whether the file's aliases have used up their limit.
    fn is_spent(&self) -> bool {
        self.aliased > MAX_ALIASED
    }

    fn finish(&mut self) -> Option<Document<'t>> {
        let root = self.root.take()?;
        let nodes = std::mem::take(&mut self.nodes);
        self.reset();
        Some(Document { text: self.text, nodes, root })
    }

    fn event(&mut self, event: Event<'_>, span: EventSpan) -> Result<(), Box<Diagnostic>> {
        let range = span.byte_range().unwrap_or_default();
        let span = Span::new(self.file, range.start, range.end);
        if self.nodes.len() >= MAX_VALUES {
            return Err(errors::too_many(span, MAX_VALUES).into());
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let quoted = style != ScalarStyle::Plain
                    || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str") || !tag.is_yaml_core_schema());
                self.scalar(&text, quoted, anchor, span);
                Ok(())
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), anchor, span),
            Event::MappingStart(_, anchor, _) => self.open(Open::Map(Vec::new(), Next::Key), anchor, span),
            Event::SequenceEnd | Event::MappingEnd => {
                self.close();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn key_kind(&self, span: Span, found: &str) -> Box<Diagnostic> {
        errors::key_kind(span, found, self.text.get(..span.start as usize).unwrap_or_default()).into()
    }

    /// Returns how much of the next value is kept.
    fn keep(&self) -> Keep {
        let Some(frame) = self.stack.last() else { return self.all };
        match &frame.open {
            Open::Skipped => Keep::Nothing,
            Open::List(_) => frame.keep,
            Open::Map(_, Next::Value(_, keep)) => *keep,
            Open::Map(_, Next::Key | Next::Unwanted) => Keep::Nothing,
        }
    }

    fn expects_key(&self) -> bool {
        matches!(self.stack.last(), Some(Frame { open: Open::Map(_, Next::Key), .. }))
    }

    fn scalar(&mut self, text: &str, quoted: bool, anchor: usize, span: Span) {
        let is_key = self.expects_key();
        if self.keep() != Keep::Nothing || anchor != 0 {
            let scalar = if quoted { Scalar::Text(text.into()) } else { scalar::plain(text) };
            let node = self.add(span, Value::Scalar(scalar));
            if anchor != 0 {
                self.anchors.insert(anchor, (node, 1));
            }
            if !is_key {
                self.deliver(node, 1);
                return;
            }
        }
        if is_key {
            self.key(text, quoted, span);
        } else {
            self.drop_value();
        }
    }

    fn key(&mut self, text: &str, quoted: bool, span: Span) {
        let Some(Frame { keep: kept, open: Open::Map(_, next), .. }) = self.stack.last_mut() else { return };
        let keep = if *kept == Keep::Everything { Keep::Everything } else { keep(text) };
        *next = match keep {
            Keep::Nothing => Next::Unwanted,
            _ => {
                let boolean = !quoted && matches!(scalar::plain(text), Scalar::Bool(_));
                Next::Value(Key { text: text.into(), span, boolean }, keep)
            }
        };
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Box<Diagnostic>> {
        let Some(&(node, weight)) = self.anchors.get(&anchor) else { return Err(errors::alias_of_itself(span).into()) };
        if self.expects_key() {
            let Value::Scalar(Scalar::Text(text)) = &self.nodes[node.0 as usize].value else {
                return Err(self.key_kind(span, "no string"));
            };
            let text = text.clone();
            self.key(&text, true, span);
        } else if self.keep() == Keep::Nothing {
            self.drop_value();
        } else {
            self.aliased += weight;
            if self.aliased > MAX_ALIASED {
                return Err(errors::aliases(span, MAX_ALIASED).into());
            }
            self.deliver(node, weight);
        }
        Ok(())
    }

    fn open(&mut self, open: Open, anchor: usize, start: Span) -> Result<(), Box<Diagnostic>> {
        if self.expects_key() {
            let found = if matches!(open, Open::List(_)) { "a list" } else { "a mapping" };
            return Err(self.key_kind(start, found));
        }
        // A node with an anchor is kept whole, because an alias may need more of it elsewhere.
        let keep = if anchor != 0 { Keep::Everything } else { self.keep() };
        let open = if keep == Keep::Nothing { Open::Skipped } else { open };
        self.stack.push(Frame { start, keep, anchor, weight: 1, open });
        Ok(())
    }

    fn close(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let value = match frame.open {
            Open::Skipped => return self.drop_value(),
            Open::List(items) => Value::List(items),
            Open::Map(entries, _) => Value::Map(self.merged(entries)),
        };
        let node = self.add(frame.start, value);
        if frame.anchor != 0 {
            self.anchors.insert(frame.anchor, (node, frame.weight));
        }
        self.deliver(node, frame.weight);
    }

    /// Drops repeated keys, and adds the entries that `<<` names after the mapping's own, whose keys win.
    fn merged(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let is_plain = |(at, entry): (usize, &Entry)| {
            entry.key.text != "<<" && entries[..at].iter().all(|before| before.key.text != entry.key.text)
        };
        // Nearly every mapping is small and plain, and then a hash set would cost more than a search.
        if entries.len() <= 16 && entries.iter().enumerate().all(is_plain) {
            return entries;
        }
        let mut seen: FxHashMap<SmolStr, Span> = FxHashMap::default();
        entries.retain(|Entry { key, .. }| {
            let first = *seen.entry(key.text.clone()).or_insert(key.span);
            if first != key.span {
                self.twice.push((key.clone(), first));
            }
            first == key.span
        });
        let Some(at) = entries.iter().position(|entry| entry.key.text == "<<") else { return entries };
        let merge = entries.remove(at).value;
        let value = |id: NodeId| &self.nodes[id.0 as usize].value;
        let sources = match value(merge) {
            Value::List(items) => items.as_slice(),
            _ => &[merge],
        };
        for &source in sources {
            let Value::Map(more) = value(source) else { continue };
            for entry in more {
                if seen.insert(entry.key.text.clone(), entry.key.span).is_none() {
                    entries.push(entry.clone());
                }
            }
        }
        entries
    }

    fn add(&mut self, span: Span, value: Value) -> NodeId {
        self.nodes.push(Node { span, value });
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// Puts a finished node into its parent, or drops it if it is not needed there.
    fn deliver(&mut self, node: NodeId, weight: u64) {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return;
        };
        frame.weight += weight;
        match &mut frame.open {
            Open::Skipped => {}
            Open::List(items) => items.push(node),
            Open::Map(entries, next) => {
                if let Next::Value(key, _) = std::mem::replace(next, Next::Key) {
                    entries.push(Entry { key, value: node });
                }
            }
        }
    }

    fn drop_value(&mut self) {
        if let Some(Frame { open: Open::Map(_, next), .. }) = self.stack.last_mut() {
            *next = Next::Key;
        }
    }
}
