//! Nodes: the parts of a tree with their spans, to find what is at a byte offset.
//!
//! In `allow garden/web -> db:5432` the offset of `web` lies in the statement, in the endpoint `garden/web` and in the
//! name of a workload: [`at`] returns these three, the outermost first.

use crate::source::Span;
use crate::syntax::tree::{
    Annotation, AnnotationKind, Apply, Argument, Claim, Clause, ClauseKind, Expr, ExprKind, File, GatewayDecl,
    HostDecl, Ident, IssuerKeys, Item, ItemKind, LabelRequirement, LabelTest, LetValue, NamespacePattern, Parameter,
    PodPattern, Port, PortKind, Text, Use, Word,
};

/// A part of a statement.
#[derive(Clone, Copy, Debug)]
pub enum Node<'t> {
    /// A statement, also one inside a template.
    Item(&'t Item),
    /// A line of a test, or an assertion.
    Claim(&'t Claim),
    /// An endpoint. One that is a name is followed by a [`Node::Name`].
    Endpoint(&'t Expr),
    /// A name that a statement defines.
    Definition(&'t Ident),
    /// A name in use: in an endpoint, after `apply`, `via` and `jwt`.
    Name(Span),
    /// A word that may be the name of a parameter: a namespace, a port, a value of a label, a string.
    Word(Span),
    /// A namespace.
    Namespace(&'t Word),
    /// A workload or Service, with its namespace if it is named.
    Workload(Option<&'t Word>, &'t Word),
    /// A service account.
    Account(&'t Word),
    /// One requirement on labels.
    Label(&'t LabelRequirement),
    /// A port of an endpoint.
    Port(&'t Expr, &'t Port),
    /// A parameter of a template.
    Parameter(&'t Parameter),
    /// A `where` or a `via`.
    Clause(&'t Clause),
    /// An annotation.
    Annotation(&'t Annotation),
    /// The code of an `@allow`.
    Code(&'t Ident),
    /// The path of a `use`.
    Path(&'t Use),
    /// A name in the list of a `use`, with the whole statement: the name in the module, or the name after `as`.
    Listed(&'t Use, &'t Ident),
}

impl Node<'_> {
    /// Returns the span.
    pub fn span(&self) -> Span {
        match self {
            Node::Item(item) => item.span,
            Node::Claim(claim) => claim.span,
            Node::Endpoint(expr) => expr.span,
            Node::Definition(ident) | Node::Code(ident) | Node::Listed(_, ident) => ident.span,
            Node::Name(span) | Node::Word(span) => *span,
            Node::Namespace(word) | Node::Workload(_, word) | Node::Account(word) => word.span,
            Node::Label(requirement) => requirement.span,
            Node::Port(_, port) => port.span,
            Node::Parameter(parameter) => Span { end: parameter.kind.span.end, ..parameter.name.span },
            Node::Clause(clause) => clause.span,
            Node::Annotation(annotation) => annotation.span,
            Node::Path(import) => import.path_span,
        }
    }
}

/// Returns the nodes of a file that contain or touch an offset, the outermost first.
pub fn at(file: &File, offset: u32) -> Vec<Node<'_>> {
    let mut found = Vec::new();
    let from = file.items.partition_point(|item| item.span.end < offset);
    for item in file.items[from..].iter().take_while(|item| item.span.start <= offset) {
        visit(item, &mut |node| {
            let span = node.span();
            if span.start <= offset && offset <= span.end {
                found.push(node);
            }
        });
    }
    found
}

/// Hands every part of a statement to `each`, outer ones before inner ones, in the order of the source.
pub fn visit<'t>(item: &'t Item, each: &mut impl FnMut(Node<'t>)) {
    each(Node::Item(item));
    for annotation in &item.annotations {
        each(Node::Annotation(annotation));
        match &annotation.kind {
            AnnotationKind::Owner(text) | AnnotationKind::Reason(text) | AnnotationKind::Approximate(text) => {
                self::text(text, each);
            }
            AnnotationKind::Allow(code, why) => {
                each(Node::Code(code));
                self::text(why, each);
            }
            AnnotationKind::Expires(_) => {}
        }
    }
    match &item.kind {
        ItemKind::Use(import) => {
            each(Node::Path(import));
            for entry in import.names.iter().flatten() {
                each(Node::Listed(import, &entry.name));
                if let Some(alias) = &entry.alias {
                    each(Node::Listed(import, alias));
                }
            }
        }
        ItemKind::Let(item) => {
            each(Node::Definition(&item.name));
            match &item.value {
                LetValue::Endpoint(expr) => endpoint(expr, each),
                LetValue::Host(HostDecl { .. }) => {}
            }
        }
        ItemKind::Namespace(item) => each(Node::Namespace(&item.name)),
        ItemKind::Service(item) => {
            each(Node::Namespace(&item.namespace));
            each(Node::Workload(Some(&item.namespace), &item.name));
        }
        ItemKind::Workload(item) => {
            each(Node::Namespace(&item.namespace));
            each(Node::Workload(Some(&item.namespace), &item.name));
            if let Some(account) = &item.account {
                each(Node::Account(account));
            }
        }
        ItemKind::Issuer(item) => {
            each(Node::Definition(&item.name));
            if let Some(IssuerKeys::Remote { at: Some(at), .. }) = &item.keys {
                endpoint(at, each);
            }
        }
        ItemKind::Gateway(item) => gateway(item, each),
        ItemKind::Template(item) => {
            each(Node::Definition(&item.name));
            item.parameters.iter().for_each(|parameter| each(Node::Parameter(parameter)));
            item.body.iter().for_each(|item| visit(item, each));
        }
        ItemKind::Apply(item) => apply(item, each),
        ItemKind::Scope(item) => endpoint(&item.pods, each),
        ItemKind::Assert(claim) => self::claim(claim, each),
        ItemKind::Test(test) => test.claims.iter().for_each(|claim| self::claim(claim, each)),
        ItemKind::Rule(rule) => {
            endpoint(&rule.source, each);
            endpoint(&rule.destination, each);
            clauses(&rule.clauses, each);
        }
        ItemKind::DefaultDeny(item) => endpoint(&item.subject, each),
        ItemKind::Error => {}
    }
}

fn gateway<'t>(item: &'t GatewayDecl, each: &mut impl FnMut(Node<'t>)) {
    each(Node::Definition(&item.name));
    for expr in [&item.pods, &item.account, &item.proxies_from].into_iter().flatten() {
        endpoint(expr, each);
    }
    if let Some((namespace, name)) = &item.service {
        each(Node::Namespace(namespace));
        each(Node::Workload(Some(namespace), name));
    }
}

fn apply<'t>(item: &'t Apply, each: &mut impl FnMut(Node<'t>)) {
    each(Node::Name(item.template.span));
    for argument in &item.arguments {
        match argument {
            Argument::Endpoint(expr) => endpoint(expr, each),
            Argument::Each(_, labels) => {
                labels.requirements.iter().for_each(|label| each(Node::Label(label)));
            }
            Argument::Port(_) | Argument::String(_) => {}
        }
    }
}

fn claim<'t>(claim: &'t Claim, each: &mut impl FnMut(Node<'t>)) {
    each(Node::Claim(claim));
    endpoint(&claim.source, each);
    endpoint(&claim.destination, each);
    clauses(&claim.clauses, each);
}

fn text<'t>(text: &'t Text, each: &mut impl FnMut(Node<'t>)) {
    if let Text::Parameter(ident) = text {
        each(Node::Word(ident.span));
    }
}

fn clauses<'t>(clauses: &'t [Clause], each: &mut impl FnMut(Node<'t>)) {
    for clause in clauses {
        each(Node::Clause(clause));
        let texts: Vec<&Text> = match &clause.kind {
            ClauseKind::Method(_) => Vec::new(),
            ClauseKind::Path { paths, except } => paths.iter().chain(except).collect(),
            ClauseKind::Host(hosts) => hosts.iter().collect(),
            ClauseKind::Header { values, .. } => values.iter().collect(),
            ClauseKind::Jwt(jwt) => {
                each(Node::Name(jwt.issuer.span));
                jwt.subjects.iter().chain(jwt.claims.iter().flat_map(|(_, values)| values)).collect()
            }
            ClauseKind::Via { gateway, at } => {
                each(Node::Name(gateway.span));
                at.iter().collect()
            }
        };
        texts.into_iter().for_each(|one| text(one, each));
    }
}

fn endpoint<'t>(expr: &'t Expr, each: &mut impl FnMut(Node<'t>)) {
    each(Node::Endpoint(expr));
    match &expr.kind {
        ExprKind::Pods(namespace, pods) => {
            let named = match namespace {
                NamespacePattern::Name(word) => {
                    each(Node::Namespace(word));
                    if !word.quoted {
                        each(Node::Word(word.span));
                    }
                    Some(word)
                }
                NamespacePattern::Labels(labels) => {
                    labels.requirements.iter().for_each(|label| requirement(label, each));
                    None
                }
                NamespacePattern::Any | NamespacePattern::Scope(_) => None,
            };
            match pods {
                PodPattern::Name(word) => each(Node::Workload(named, word)),
                PodPattern::Account(word) => each(Node::Account(word)),
                PodPattern::Labels(labels) => {
                    labels.requirements.iter().for_each(|label| requirement(label, each));
                }
                PodPattern::Any => {}
            }
        }
        ExprKind::Name(_) => {
            let bare = expr.ports.as_ref().map_or(expr.span, |ports| Span { end: ports.span.start, ..expr.span });
            each(Node::Name(bare));
        }
        ExprKind::Union(members) => members.iter().for_each(|member| endpoint(member, each)),
        ExprKind::Except(left, right) => {
            endpoint(left, each);
            endpoint(right, each);
        }
        ExprKind::Host(_) | ExprKind::Address(_) | ExprKind::Error => {}
    }
    for port in expr.ports.iter().flat_map(|spec| &spec.ports) {
        each(Node::Port(expr, port));
        if let PortKind::Name(name) = &port.kind {
            each(Node::Word(Span { end: port.span.start + name.len() as u32, ..port.span }));
        }
    }
}

fn requirement<'t>(label: &'t LabelRequirement, each: &mut impl FnMut(Node<'t>)) {
    each(Node::Label(label));
    let values = match &label.test {
        LabelTest::Equals(value) | LabelTest::NotEquals(value) => std::slice::from_ref(value),
        LabelTest::In(values) | LabelTest::NotIn(values) => values.as_slice(),
        LabelTest::Exists | LabelTest::DoesNotExist => &[],
    };
    values.iter().filter(|value| !value.quoted).for_each(|value| each(Node::Word(value.span)));
}
