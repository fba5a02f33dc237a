//! Erases the spans of a tree, so that two trees are equal if they have the same meaning.

use crate::source::Span;
use crate::syntax::tree::*;

/// Sets every span of a file to `to`.
pub(super) fn spans(file: &mut File, to: Span) {
    file.items.erase(to);
}

/// A part of the tree that has spans.
trait Erase {
    /// Sets every span in it to `to`.
    fn erase(&mut self, to: Span);
}

impl Erase for Span {
    fn erase(&mut self, to: Span) {
        *self = to;
    }
}

impl<T: Erase> Erase for Vec<T> {
    fn erase(&mut self, to: Span) {
        self.iter_mut().for_each(|part| part.erase(to));
    }
}

impl<T: Erase> Erase for Option<T> {
    fn erase(&mut self, to: Span) {
        self.iter_mut().for_each(|part| part.erase(to));
    }
}

impl<T: Erase> Erase for Box<T> {
    fn erase(&mut self, to: Span) {
        self.as_mut().erase(to);
    }
}

impl<A: Erase, B: Erase> Erase for (A, B) {
    fn erase(&mut self, to: Span) {
        self.0.erase(to);
        self.1.erase(to);
    }
}

/// Lists the fields of a structure that have spans. If one is missing, equal trees differ, never the reverse.
macro_rules! structures {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Erase for $name {
            fn erase(&mut self, to: Span) {
                $(self.$field.erase(to);)*
            }
        })*
    };
}

/// Lists the variants of an enumeration that have spans.
macro_rules! enumerations {
    ($($name:ident { $($variant:ident($($part:ident),*))* })*) => {
        $(impl Erase for $name {
            #[allow(unreachable_patterns, reason = "some enumerations have places in every variant")]
            fn erase(&mut self, to: Span) {
                match self {
                    $($name::$variant($($part),*) => {
                        $($part.erase(to);)*
                    })*
                    _ => {}
                }
            }
        })*
    };
}

structures! {
    Annotation { span, kind }
    Apply { template, arguments }
    Claim { span, source, destination, clauses }
    Clause { span, kind }
    DefaultDeny { direction, subject }
    Expr { span, kind, ports }
    GatewayDecl { name, pods, account, service, ports, proxies, proxies_from }
    HostAddress { span }
    HostDecl { span, name_span, at, ports }
    Ident { span }
    IssuerDecl { name, url, keys, audiences, from }
    Item { span, annotations, kind }
    JwtClause { issuer, subjects, claims }
    LabelRequirement { span, key, test }
    Labels { span, requirements }
    Let { name, value }
    NamedPort { span, name }
    NamespaceDecl { name, labels }
    Origination { span, dialled, target }
    Parameter { name, kind }
    Port { span }
    PortMapping { span, target }
    PortSpec { span, ports }
    Rule { direction, source, arrow_span, destination, clauses }
    Scope { pods, hosts }
    ServiceDecl { namespace, name, select, ports }
    Template { name, parameters, body }
    Test { name, claims }
    Use { path_span, names }
    UseName { name, alias }
    Word { span }
    WorkloadDecl { namespace, name, labels, account, ports, sidecar, host_network }
}

enumerations! {
    AnnotationKind { Owner(text) Reason(text) Approximate(text) Allow(code, text) }
    Argument { Endpoint(expr) Port(port) String(word) Each(span, labels) }
    ExprKind { Pods(namespace, pods) Union(members) Except(left, right) }
    ItemKind {
        Use(item) Let(item) Namespace(item) Service(item) Workload(item) Issuer(item) Gateway(item) Template(item) Apply(item)
        Scope(item) Assert(claim) Test(item) Rule(item) DefaultDeny(item)
    }
    LabelTest { Equals(value) NotEquals(value) In(values) NotIn(values) }
    LetValue { Endpoint(expr) Host(host) }
    NamespacePattern { Name(word) Labels(labels) Scope(span) }
    PodPattern { Name(word) Labels(labels) Account(word) }
    Text { Literal(word) Parameter(ident) }
    TokenPlace { Header(name, prefix) Param(name) }
}

impl Erase for ClauseKind {
    fn erase(&mut self, to: Span) {
        match self {
            ClauseKind::Method(methods) => methods.erase(to),
            ClauseKind::Path { paths, except } => {
                paths.erase(to);
                except.erase(to);
            }
            ClauseKind::Header { name, values } => {
                name.erase(to);
                values.erase(to);
            }
            ClauseKind::Host(values) => values.erase(to),
            ClauseKind::Jwt(jwt) => jwt.erase(to),
            ClauseKind::Via { gateway, at } => {
                gateway.erase(to);
                at.erase(to);
            }
        }
    }
}

impl Erase for IssuerKeys {
    fn erase(&mut self, to: Span) {
        match self {
            IssuerKeys::Remote { url, at } => {
                url.erase(to);
                at.erase(to);
            }
            IssuerKeys::Inline(word) => word.erase(to),
        }
    }
}

impl Erase for (Direction, Span) {
    fn erase(&mut self, to: Span) {
        self.1 = to;
    }
}

impl Erase for (Span, bool) {
    fn erase(&mut self, to: Span) {
        self.0 = to;
    }
}

impl Erase for (u32, Span) {
    fn erase(&mut self, to: Span) {
        self.1 = to;
    }
}
