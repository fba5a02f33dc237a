//! The last resort: the expected word, from the rules that were tried and the word before the refused token.

use super::Refusal;
use super::tokens::Kind;
use crate::diag::Diagnostic;
use crate::syntax::errors;
use crate::syntax::grammar::Rule;

const PODS: &str = "`*`, a workload's name, `{labels}` or `@account`";

impl Refusal<'_> {
    pub(super) fn as_expected(&self) -> Diagnostic {
        let (what, help) = self.wanted();
        let previous = self.before(1).map(|last| self.run_text(last.end));
        let diagnostic = errors::expected(self.place(), what, previous.filter(|text| text.len() <= 40));
        match (self.found(), help) {
            (_, Some(help)) => diagnostic.at(help),
            (Some(found), None) if found.text.len() <= 40 => diagnostic.at(format!("`{}` stands here", found.text)),
            _ => diagnostic,
        }
    }

    /// Returns the words for what was expected, and an example of it.
    fn wanted(&self) -> (&'static str, Option<&'static str>) {
        let previous = self.before(1);
        let before = previous.map_or("", |token| token.text);
        let in_endpoint = previous.is_some_and(|token| token.end == self.found().map_or(self.text.len(), |f| f.start));
        match before {
            "/" if self.tried(&[Rule::any, Rule::account, Rule::braces, Rule::word, Rule::string]) && in_endpoint => {
                return ("pods", Some(PODS));
            }
            "@" => return ("the name of a service account", None),
            ":" if self.tried(&[Rule::port]) => {
                return ("a port", Some("a number, a range `8000-8999`, a port's name, `*`, or several in braces"));
            }
            "where" => return ("`method`, `path`, `host`, `header` or `jwt`", None),
            "method" => return ("a method", Some("`GET`, or several with commas")),
            "path" if self.has_word("where") => return ("a path", Some("a string such as `\"/api/**\"`")),
            "header" if self.has_word("where") => {
                return ("the name of a header", Some("with its values: `where header x-team \"web\"`"));
            }
            "via" => return ("the name of a gateway", None),
            "jwt" => return ("the name of an issuer", None),
            "as" => return ("a name", None),
            "except" => return ("what is left out", Some(errors::ENDPOINTS)),
            "weight" | "proxies" => return ("a number", None),
            _ => {}
        }
        if let Some(wanted) = self.of_rules(before) {
            return wanted;
        }
        match self.open_bracket() {
            Some(open) if open.is("(") => ("`,` or `)`", None),
            Some(_) => ("`,` or `}`", None),
            None if self.tried(&[Rule::open_paren]) => ("`(`", None),
            None if self.tried(&[Rule::open_brace]) => ("`{`", None),
            None => ("the end of the statement", None),
        }
    }

    fn of_rules(&self, before: &str) -> Option<(&'static str, Option<&'static str>)> {
        let endpoint = [Rule::source, Rule::destination, Rule::endpoint, Rule::weighted, Rule::argument];
        if self.tried(&[Rule::destination]) || before.ends_with('>') && self.tried(&endpoint) {
            return Some(("a destination", Some(errors::ENDPOINTS)));
        }
        if self.tried(&endpoint) && self.open_bracket().is_none() {
            return Some(match self.by {
                Rule::policy_rule | Rule::assertion => ("a source", Some(errors::ENDPOINTS)),
                Rule::proxies_field => ("addresses", Some("such as `203.0.113.0/24`, or several in braces")),
                Rule::default_deny | Rule::scope | Rule::pods_field => ("pods", Some("such as `garden/*`")),
                Rule::account_field => ("a service account", Some("such as `istio-system/@gateway`")),
                Rule::binding if before == "at" => ("addresses", Some("such as `203.0.113.50`, or several in braces")),
                _ => ("an endpoint", Some(errors::ENDPOINTS)),
            });
        }
        if self.tried(&[Rule::deny]) {
            return Some(("`deny`", Some("nothing is allowed by default: an `allow` says what is")));
        }
        if self.tried(&[Rule::arrow]) {
            let destination = ("`->` and a destination", None);
            return Some(if self.by == Rule::port_field { ("`->` or the next field", None) } else { destination });
        }
        if self.tried(&[Rule::equals]) {
            return Some(("`=`", None));
        }
        if self.tried(&[Rule::colon]) {
            return Some(("`:` and a type", Some("such as `ns: Namespace`")));
        }
        let takes_name = matches!(
            self.by,
            Rule::binding
                | Rule::template_head
                | Rule::issuer_head
                | Rule::gateway_head
                | Rule::apply
                | Rule::annotation
        );
        if self.tried(&[Rule::word]) && takes_name && self.open_bracket().is_none() {
            return Some(("a name", None));
        }
        if self.by == Rule::namespace_head && self.index == 1 {
            return Some(("the name of a namespace", None));
        }
        if matches!(self.by, Rule::service_head | Rule::service_field) && self.index == 1 {
            return Some(("a Service", Some("with its namespace: `garden/api`")));
        }
        if self.by == Rule::workload_head && self.index == 1 {
            return Some(("a workload", Some("with its namespace: `garden/web`")));
        }
        if self.by == Rule::runs_as_field && self.index == 1 {
            return Some(("the name of a service account", None));
        }
        if self.by == Rule::named_port_field {
            return Some(("a port's name and number", Some("such as `port web 9090`")));
        }
        if matches!(self.by, Rule::sidecar_field | Rule::host_network_field) && self.index == 1 {
            return Some(("`yes` or `no`", None));
        }
        if self.by == Rule::use_module && self.index == 1 {
            return Some(("a module", Some("`std/kyma`, or a file such as `\"./offices.netpol\"`")));
        }
        if self.by == Rule::use_module && self.found().is_some_and(|found| found.kind == Kind::Word) {
            return Some(("the end of the statement", Some("names to pick stand in parentheses: `(nats, dns)`")));
        }
        if self.by == Rule::apply && self.tried(&[Rule::open_paren]) {
            return Some(("`(`", Some("the arguments stand in parentheses: `apply tenant(team-a)`")));
        }
        if matches!(self.by, Rule::labels_field | Rule::select_field) && self.index == 1 {
            return Some(("labels in braces", Some("such as `{ app = web }`")));
        }
        if self.by == Rule::port_field && (self.index == 1 || before.ends_with('>')) {
            return Some(("a port", None));
        }
        let takes_string = matches!(
            self.by,
            Rule::test_head | Rule::url_field | Rule::jwks_field | Rule::keys_field | Rule::audiences_field
        );
        if self.by == Rule::from_field {
            return Some(match before {
                "header" | "param" | "prefix" => ("a string in double quotes", None),
                _ => ("`header \"NAME\"` or `param \"NAME\"`", None),
            });
        }
        if takes_string && self.index == 1 {
            return Some(("a string in double quotes", None));
        }
        if matches!(self.by, Rule::namespace_head | Rule::test_head) && self.found().is_none() {
            return Some(("`{`", None));
        }
        if self.has_word("where") && matches!(before, "," | "host" | "subject" | "=" | "at") {
            return Some(("a string", None));
        }
        None
    }
}
