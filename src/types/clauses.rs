//! `where`: the conditions of a rule on requests, and whether the ports of the rule can show them.
//!
//! ```text
//! allow ingress shop/* -> garden/{app=api}:8080/http where method GET, POST     a condition: GET or POST
//! allow ingress shop/* -> garden/{app=api}:8080 where method GET                an error that proposes `8080/http`
//! ```

use crate::model::rules::Direction;
use std::sync::Arc;

use smol_str::SmolStr;

use super::errors::Unreadable;
use super::value::{Bound, Env, Value};
use super::{Checker, Missing, errors};
use crate::model::conditions::{ClaimName, Conditions, Header, Issuer, Jwt, PathPattern, Segment};
use crate::model::endpoint::Member;
use crate::model::gateways::Via;
use crate::model::hosts::HostName;
use crate::model::paths::{normal_pattern, same_spelling};
use crate::model::ports::AppProtocol;
use crate::resolve::Def;
use crate::settings::Layer;
use crate::source::Span;
use crate::syntax::tree::{self, Claim, Clause, ClauseKind, Effect, Expr, Ident, ItemKind, JwtClause, Text};

impl Checker<'_> {
    /// Checks the clauses of a rule towards one destination.
    pub(super) fn clauses(
        &mut self,
        rule: &tree::Rule,
        to: &Value,
        to_expr: &Expr,
        env: &Env,
    ) -> Option<(Conditions, Option<Arc<Via>>)> {
        if rule.effect == Effect::Deny
            && let Some(clause) = rule.clauses.iter().find(|clause| matches!(clause.kind, ClauseKind::Jwt(_)))
        {
            let egress = rule.direction.is_some_and(|(direction, _)| direction == Direction::Egress);
            self.push(errors::jwt_on_deny(clause.span, egress));
            return None;
        }
        let conditions = self.conditions(&rule.clauses, to, to_expr, env)?;
        let via = self.via_of_rule(rule, to, (to_expr, &conditions), env)?;
        Some((conditions, via))
    }

    /// Checks the clauses of a claim.
    pub(super) fn claim_clauses(
        &mut self,
        claim: &Claim,
        to: &Value,
        env: &Env,
    ) -> Option<(Conditions, Option<Arc<Via>>)> {
        let conditions = self.conditions(&claim.clauses, to, &claim.destination, env)?;
        Some((conditions, self.via_of_claim(claim, to, env)?))
    }

    fn issuer_named(&mut self, name: &Ident, env: &Env) -> Option<Arc<Issuer>> {
        let def = self.declared(name, env, "issuer")?;
        if matches!(self.names.item(def).kind, ItemKind::Issuer(_)) {
            return self.issuer(def);
        }
        self.push(errors::not_an_issuer(name, Some(self.names.name_span(def))));
        None
    }

    /// Looks up the name of a declaration; it cannot be a parameter.
    pub(super) fn declared(&mut self, name: &Ident, env: &Env, what: &str) -> Option<Def> {
        if env.parameters.contains_key(&name.text) {
            self.use_parameter(env, &name.text);
            self.push(match what {
                "gateway" => errors::not_a_gateway(name, None),
                _ => errors::not_an_issuer(name, None),
            });
            return None;
        }
        match self.find(env.module, &name.text, name.span) {
            Ok(def) => Some(def),
            Err(Missing::Said) => None,
            Err(Missing::Unknown(near)) => {
                let elsewhere = self.elsewhere(env, &name.text, near, &[what]);
                self.push(errors::unknown_declaration(name, elsewhere, what));
                None
            }
        }
    }

    fn conditions(&mut self, clauses: &[Clause], to: &Value, to_expr: &Expr, env: &Env) -> Option<Conditions> {
        let mut conditions = Conditions::default();
        for clause in clauses {
            let needs = match &clause.kind {
                ClauseKind::Method(methods) => {
                    conditions.methods = methods.iter().map(|method| method.text.clone()).collect();
                    Some("method")
                }
                ClauseKind::Path { paths, except } => {
                    for path in paths {
                        conditions.paths.push(self.path_pattern(path, env)?);
                    }
                    for path in except {
                        let taken = self.path_pattern(path, env)?;
                        self.check_taken(&conditions.paths, &taken, path, clause.span, env)?;
                        conditions.not_paths.push(taken);
                    }
                    Some("path")
                }
                ClauseKind::Header { name, values } => {
                    let mut header = Header { name: name.text.to_ascii_lowercase().into(), values: Vec::new() };
                    for text in values {
                        let value = self.string(text, env)?;
                        if !env.opaque
                            && (value.is_empty() || value.trim() != value || value.contains(char::is_control))
                        {
                            self.push(errors::header_value(text, &name.text, &value));
                            return None;
                        }
                        header.values.push(value);
                    }
                    conditions.headers.push(header);
                    Some("header")
                }
                ClauseKind::Host(hosts) => {
                    for host in hosts {
                        conditions.hosts.push(self.host_pattern(host, env)?);
                    }
                    Some("host")
                }
                ClauseKind::Jwt(jwt) => {
                    conditions.jwt = Some(Arc::new(self.jwt(jwt, env)?));
                    Some("jwt")
                }
                ClauseKind::Via { .. } => None,
            };
            if let Some(word) = needs {
                self.check_readable(clause.span, word, to, to_expr, env)?;
            }
        }
        Some(conditions)
    }

    /// A condition, or the public host of `at`, needs every port of the destination to be one whose requests (or TLS
    /// names) can be read.
    pub(super) fn check_readable(
        &mut self,
        clause: Span,
        word: &str,
        to: &Value,
        to_expr: &Expr,
        env: &Env,
    ) -> Option<()> {
        if !env.opaque {
            self.check_mesh_reads(clause, word, to.endpoint())?;
        }
        let good = |app: Option<AppProtocol>| match app {
            Some(AppProtocol::Tls) => matches!(word, "host" | "at"),
            Some(_) => true,
            None => false,
        };
        let unreadable = |member: &&Member| {
            let entries = member.ports.entries();
            entries.is_empty() || !entries.iter().all(|port| good(port.app))
        };
        let Some(first) = to.endpoint().members.iter().find(unreadable) else { return Some(()) };
        if env.opaque && to_expr.ports.is_none() {
            return Some(());
        }
        let mut written = Vec::new();
        collect_ports(to_expr, &mut written);
        // Inside a template the protocol may come with the argument of a `Port`.
        let from_argument = written.iter().any(|port| match &port.kind {
            tree::PortKind::Name(name) => matches!(env.parameters.get(name), Some(Bound::Port(_))),
            _ => false,
        });
        if env.opaque && from_argument {
            return Some(());
        }
        let all = |holds: &dyn Fn(&Member) -> bool| to.endpoint().members.iter().filter(unreadable).all(holds);
        let sealed = |member: &Member| member.ports.entries().iter().any(|port| port.app == Some(AppProtocol::Tls));
        let why = if to.endpoint().members.iter().filter(unreadable).any(sealed) {
            Unreadable::Sealed
        } else if first.ports.entries().is_empty() {
            Unreadable::NoPort(format!("{}:8080/http", self.text(Checker::bare_span(to_expr))))
        } else if all(&|member| !member.ports.entries().is_empty())
            && !written.is_empty()
            && written.iter().all(|port| matches!(port.protocol, None | Some(tree::PortProtocol::App(_))))
        {
            Unreadable::Bare(written.iter().filter(|port| port.protocol.is_none()).map(|port| port.span).collect())
        } else {
            Unreadable::Other
        };
        let place = to_expr.ports.as_ref().map_or(to_expr.span, |ports| ports.span);
        self.push(errors::where_needs_http(clause, word, place, why));
        None
    }

    /// Returns the value of a string or of a parameter of type `String`.
    pub(super) fn string(&mut self, text: &Text, env: &Env) -> Option<SmolStr> {
        let name = match text {
            Text::Literal(word) => return Some(word.text.clone()),
            Text::Parameter(name) => name,
        };
        match env.parameters.get(&name.text) {
            Some(Bound::String(value)) => {
                self.use_parameter(env, &name.text);
                Some(value.clone())
            }
            _ => {
                self.push(errors::not_a_string(name));
                None
            }
        }
    }

    fn path_pattern(&mut self, text: &Text, env: &Env) -> Option<PathPattern> {
        let value = self.string(text, env)?;
        match PathPattern::parse(&value) {
            Ok(pattern) => {
                let how = self.settings.path_normalization;
                let normal = normal_pattern(&value, how);
                if normal != *value && self.settings.targets.contains(&Layer::Istio) {
                    self.push(errors::path_never_seen(text, &value, &normal, how));
                    return None;
                }
                Some(pattern)
            }
            Err(why) => {
                self.push(errors::bad_text(text, &value, "path", why));
                None
            }
        }
    }

    /// Checks that `except` takes a path away from others, and leaves something.
    fn check_taken(
        &mut self,
        paths: &[PathPattern],
        taken: &PathPattern,
        text: &Text,
        clause: Span,
        env: &Env,
    ) -> Option<()> {
        if env.opaque {
            return Some(());
        }
        let diagnostic = if !paths.iter().any(|path| path.overlaps(taken)) {
            errors::path_not_taken(text.span(), clause)
        } else if paths.iter().all(|path| taken.covers(path)) {
            errors::no_path_left(text.span(), clause)
        } else {
            return Some(());
        };
        self.push(diagnostic);
        None
    }

    pub(super) fn host_pattern(&mut self, text: &Text, env: &Env) -> Option<HostName> {
        let value = self.string(text, env)?;
        if env.opaque && matches!(text, Text::Parameter(_)) {
            return Some(HostName { wildcard: false, name: value });
        }
        match HostName::parse(&value) {
            Ok(host) => Some(host),
            Err(why) => {
                self.push(errors::bad_text(text, &value, "host", why));
                None
            }
        }
    }

    fn jwt(&mut self, clause: &JwtClause, env: &Env) -> Option<Jwt> {
        let issuer = self.issuer_named(&clause.issuer, env)?;
        let strings = |checker: &mut Self, list: &[Text]| -> Option<Vec<SmolStr>> {
            list.iter().map(|text| checker.string(text, env)).collect()
        };
        let subjects = strings(self, &clause.subjects)?;
        let mut claims = Vec::new();
        for (name, values) in &clause.claims {
            let texts = strings(self, values)?;
            let claim = match name.quoted {
                true => ClaimName::plain(name.text.clone()),
                false => ClaimName(name.text.split('.').map(SmolStr::from).collect()),
            };
            let spaced = texts.iter().zip(values).find(|(value, _)| value.contains(' '));
            if let (true, Some((value, text))) = (claim.is_split(), spaced) {
                self.push(errors::space_in_scope(text, &name.text, value));
                return None;
            }
            claims.push((claim, texts));
        }
        Some(Jwt { issuer, subjects, claims })
    }
}

/// Collects the ports that are written in an expression itself; those that its names bring are left out.
fn collect_ports<'e>(expr: &'e Expr, out: &mut Vec<&'e tree::Port>) {
    out.extend(expr.ports.iter().flat_map(|spec| &spec.ports));
    if let tree::ExprKind::Union(list) = &expr.kind {
        list.iter().for_each(|member| collect_ports(member, out));
    }
}

impl PathPattern {
    /// Reads a path pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<PathPattern, &'static str> {
        let Some(rest) = text.strip_prefix('/') else { return Err("a path starts with `/`") };
        if text.contains(['?', '#']) {
            return Err("a path has no `?` and no `#`: it is compared without the query");
        }
        let (rest, below) = match rest.strip_suffix("**") {
            Some("") => return Ok(PathPattern { text: text.into(), segments: Vec::new(), below: true }),
            Some(rest) => match rest.strip_suffix('/') {
                Some(rest) => (rest, true),
                None => return Err("`**` stands alone after the last `/`, as in `/a/**`"),
            },
            None => (rest, false),
        };
        let mut segments = Vec::new();
        for segment in rest.split('/') {
            segments.push(match segment {
                "*" => Segment::Any,
                _ if segment.contains("**") => return Err("`**` stands last in a path, after a `/`"),
                _ if segment.contains('*') => {
                    return Err("a `*` is one whole segment, as in `/a/*/b`; everything below is `/a/**`");
                }
                literal => Segment::Literal(literal.into()),
            });
        }
        Ok(PathPattern { text: text.into(), segments, below })
    }

    /// Returns whether a path, without its query, is meant.
    pub fn matches(&self, path: &str) -> bool {
        self.fits(path, |wanted, found| wanted == found)
    }

    /// Returns whether a path is meant in any of its spellings, `%3A` for `:`. A deny means them all.
    pub fn matches_any_spelling(&self, path: &str) -> bool {
        self.fits(path, same_spelling)
    }

    /// Returns whether every path of another pattern is one of this.
    pub fn covers(&self, other: &PathPattern) -> bool {
        let enough = match self.below {
            true => other.segments.len() >= self.segments.len(),
            false => other.segments.len() == self.segments.len() && !other.below,
        };
        let covers = |pair: (&Segment, &Segment)| match pair {
            (Segment::Any, Segment::Literal(text)) => !text.is_empty(),
            (one, other) => one == other,
        };
        enough && self.segments.iter().zip(&other.segments).all(covers)
    }

    /// Returns whether some path is one of this pattern and of another.
    pub fn overlaps(&self, other: &PathPattern) -> bool {
        let meet = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(one), Segment::Literal(other)) => same_spelling(one, other),
            (Segment::Any, Segment::Literal(text)) | (Segment::Literal(text), Segment::Any) => !text.is_empty(),
            (Segment::Any, Segment::Any) => true,
        };
        let (mine, theirs) = (self.segments.len(), other.segments.len());
        (mine >= theirs || self.below)
            && (theirs >= mine || other.below)
            && self.segments.iter().zip(&other.segments).all(meet)
    }

    fn fits(&self, path: &str, same: impl Fn(&str, &str) -> bool) -> bool {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut segments = rest.split('/');
        for wanted in &self.segments {
            let Some(found) = segments.next() else { return false };
            let fits = match wanted {
                Segment::Any => !found.is_empty(),
                Segment::Literal(text) => same(text, found),
            };
            if !fits {
                return false;
            }
        }
        self.below || segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::conditions::PathPattern;

    #[test]
    fn paths_match_by_whole_segments() {
        let cases = [
            ("/api", "/api", true),
            ("/api", "/api?x=1", true),
            ("/api", "/api/", false),
            ("/api/", "/api/", true),
            ("/api/**", "/api", true),
            ("/api/**", "/api/", true),
            ("/api/**", "/api/a/b", true),
            ("/api/**", "/apix", false),
            ("/**", "/", true),
            ("/**", "/x/y", true),
            ("/", "/", true),
            ("/", "/x", false),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a//c", false),
            ("/a/*/c/**", "/a/b/c/d", true),
            ("/a/*", "/a/b/c", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(PathPattern::parse(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
        for (one, other, covers, overlaps) in [
            ("/**", "/internal/**", true, true),
            ("/internal/**", "/**", false, true),
            ("/a/*", "/a/b", true, true),
            ("/a/*", "/a/", false, false),
            ("/a/b", "/a/*", false, true),
            ("/a/**", "/b/**", false, false),
            ("/a", "/a/**", false, true),
            ("/a/b", "/a", false, false),
        ] {
            let [one, other] = [one, other].map(|text| PathPattern::parse(text).unwrap());
            assert_eq!((one.covers(&other), one.overlaps(&other)), (covers, overlaps), "{one:?} {other:?}");
        }
        for bad in ["api", "/a?b", "/a**", "/**/a", "/a*"] {
            assert!(PathPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
