//! Names of generated objects, and the head that all objects share.
//!
//! A name is made only from the pods, host or addresses of its object, so that an edit to one rule renames no other
//! object. If readable words alone could stand for two things, a short hash of the exact thing follows them. The `name`
//! of the settings comes first, so that two builds never write the same object: see [`first_word`].

use std::borrow::Cow;
use std::collections::hash_map::Entry;

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use super::yaml::Writer;
use crate::model::labels::{Account, NAMESPACE_NAME, PodSelector, Requirement, Requirements, Test};
use crate::policy::provenance::Provenance;
use crate::settings::Settings;

/// The label that marks an object as made by netpol.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "netpol");

/// The longest name of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// An object. Kubernetes takes longer names for most kinds; a name of this length fits a column of a terminal.
    Subdomain = 59,
    /// A DNS label: the name of a subset or of one of Istio's ports.
    Label = 63,
}

/// Returns the beginning of all names of a build's objects: its `name`, and a `-` after a plain word.
///
/// ```
/// use netpol::targets::names::first_word;
///
/// assert_eq!(first_word(Some("shop")), "shop-");
/// assert_eq!(first_word(Some("shop-eu")), "shop-eu--");
/// ```
///
/// The two dashes distinguish the build `shop-eu` from a build `shop` with an object called `eu`: no other words have
/// two dashes together. A `name` that is no DNS label, or is long, gets a hash.
pub fn first_word(name: Option<&str>) -> String {
    const LONGEST: usize = 24;
    let Some(name) = name.filter(|name| !name.is_empty()) else { return String::new() };
    let words = Words::of(name);
    match (words.exact, words.text.len() <= LONGEST) {
        (true, true) if !words.text.contains('-') => format!("{name}-"),
        (true, true) => format!("{name}--"),
        _ => {
            let kept = words.text.get(..words.text.len().min(LONGEST - 9)).unwrap_or_default().trim_end_matches('-');
            format!("{kept}-{:08x}--", hash(name) >> 32)
        }
    }
}

/// Readable words for a thing, as the beginning of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The words, joined by `-`.
    pub text: String,
    /// Whether no other thing of its kind has these words.
    pub exact: bool,
}

impl Words {
    /// Makes the words for a text: the characters of a DNS label in lower case, all others as `-`. The words are exact
    /// where no character is replaced.
    pub fn of(text: &str) -> Words {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if !text.is_empty() && text.bytes().all(plain) {
            return Words { text: text.to_owned(), exact: true };
        }
        let mut words = String::with_capacity(text.len());
        for character in text.chars() {
            if character.is_ascii_alphanumeric() {
                words.push(character.to_ascii_lowercase());
            } else if !words.is_empty() && !words.ends_with('-') {
                words.push('-');
            }
        }
        words.truncate(words.trim_end_matches('-').len());
        Words { exact: words == text && !words.is_empty(), text: words }
    }

    /// Makes the words for a host: `zenquotes-io`, `any-example-com`. The words are exact where no label has a `-`.
    pub fn of_host(host: &str) -> Words {
        let (prefix, name) = match host.strip_prefix("*.") {
            Some(name) => ("any-", name),
            None => ("", host),
        };
        // If no label has a dash, a dash stands only for a dot, and `any-` for `*.`.
        let label =
            |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let exact = name.split('.').all(label) && (!prefix.is_empty() || !name.starts_with("any."));
        Words { text: format!("{prefix}{}", Words::of(name).text), exact }
    }

    /// Makes the words for the pods of one namespace that have some labels: `all-pods`, `app-web`. The words are exact
    /// for all pods and for one label whose key is a single word.
    pub fn of_labels(labels: &Requirements) -> Words {
        let list = labels.list();
        if list.is_empty() {
            return Words { text: "all-pods".into(), exact: true };
        }
        if let [Requirement { key, test: Test::In(values) }] = list
            && let [value] = values.as_slice()
            && let Some(words) = Words::of_label(key, value)
        {
            return words;
        }
        Words { text: Words::of(&all_words(list)).text, exact: false }
    }

    /// Makes the words for the pods of one namespace with one label, if its key is a single word or the key that
    /// `ns/web` selects by: `app-web`, `web`.
    pub fn of_label(key: &str, value: &str) -> Option<Words> {
        if key == NAME_LABEL {
            let value = Words::of(value);
            // Only words with a dash can be the words of other labels.
            return Some(Words { exact: value.exact && !value.text.contains('-'), text: value.text });
        }
        let word = key != "all" && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        word.then(|| {
            let value = Words::of(value);
            Words { text: [key, "-", &value.text].concat(), exact: value.exact }
        })
    }

    /// Makes the words for the pods of a selector, whatever their namespace; see [`Words::of_labels`].
    pub fn of_pods(pods: &PodSelector) -> Words {
        let others = pods.namespace.list().iter().filter(|requirement| requirement.key != NAMESPACE_NAME);
        let mut parts: Vec<String> = others.map(requirement_words).collect();
        match &pods.account {
            Account::Is(name) => parts.push(format!("account {name}")),
            account if account.is_any() => {}
            Account::Not(names) => parts.push(format!("not account {}", names.join(" "))),
        }
        if parts.is_empty() {
            return Words::of_labels(&pods.labels);
        }
        parts.extend(Some(all_words(pods.labels.list())).filter(|words| !words.is_empty()));
        Words { text: Words::of(&parts.join(" ")).text, exact: false }
    }
}

/// Returns the exact text of requirements: `app=web,tier notin (a,b)`.
pub fn identity(labels: &Requirements) -> String {
    let mut text = String::new();
    for requirement in labels.list() {
        if !text.is_empty() {
            text.push(',');
        }
        let (word, values) = match &requirement.test {
            Test::In(values) => (" in ", values.as_slice()),
            Test::NotIn(values) => (" notin ", values.as_slice()),
            Test::Exists => (" exists", &[][..]),
            Test::DoesNotExist => (" absent", &[][..]),
        };
        text.push_str(&requirement.key);
        text.push_str(word);
        // Keys and values of labels have no spaces or commas.
        for value in values {
            text.push_str(value);
            text.push(',');
        }
    }
    text
}

/// The label that `ns/web` selects by if no workload of that name is known.
const NAME_LABEL: &str = "app.kubernetes.io/name";

/// Returns the words of several requirements, beginning with the label that names the pods.
fn all_words(list: &[Requirement]) -> String {
    let is_name = |one: &&Requirement| one.key == NAME_LABEL && matches!(one.test, Test::In(_));
    let first = list.iter().filter(is_name).map(|one| match &one.test {
        Test::In(values) => values.join(" "),
        _ => String::new(),
    });
    let others = list.iter().filter(|one| !is_name(one)).map(requirement_words);
    first.chain(others).collect::<Vec<_>>().join(" ")
}

fn requirement_words(requirement: &Requirement) -> String {
    // `app.kubernetes.io/name` reads best as `name`.
    let key = requirement.key.rsplit('/').next().unwrap_or(&requirement.key);
    match &requirement.test {
        Test::In(values) => format!("{key} {}", values.join(" ")),
        Test::NotIn(values) => format!("{key} not {}", values.join(" ")),
        Test::Exists => format!("has {key}"),
        Test::DoesNotExist => format!("no {key}"),
    }
}

/// Makes a name: the words and, after them, `end` (`egress`), which every object of one kind has or none.
///
/// `identity` distinguishes the thing from all others of its kind, even those with the same words; its hash is part of
/// the name unless the words are exact and short enough.
pub fn name(words: &Words, end: &str, identity: &str, limit: Limit) -> String {
    shorter(words, end, identity, limit as usize)
}

fn shorter(words: &Words, end: &str, identity: &str, limit: usize) -> String {
    let joined = match (words.text.is_empty(), end.is_empty()) {
        (true, _) => end.to_owned(),
        (_, true) => words.text.clone(),
        _ => [&words.text, "-", end].concat(),
    };
    if words.exact && joined.len() <= limit {
        return joined;
    }
    let hash = format!("{:08x}", hash(identity) >> 32);
    // The words are ASCII, and so a cut anywhere leaves characters whole.
    let end = end.get(..end.len().min(limit / 2)).unwrap_or_default().trim_end_matches('-');
    let room = limit.saturating_sub(hash.len() + 1 + if end.is_empty() { 0 } else { end.len() + 1 });
    let kept = words.text.get(..words.text.len().min(room)).unwrap_or_default().trim_end_matches('-');
    [kept, end, hash.as_str()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("-")
}

/// FNV-1a with 64 bits and a final mix: the same on every machine and in every version.
pub fn hash(text: &str) -> u64 {
    let mut hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash ^= hash >> 32;
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The names of a kind that are taken, each with its thing. Two things never share a name, even if their hashes are
/// equal.
#[derive(Debug, Default)]
pub struct Taken {
    /// The beginning of every name.
    first: String,
    names: FxHashMap<(SmolStr, String), String>,
}

impl Taken {
    /// Makes an empty set for names of parts of objects.
    pub fn new() -> Taken {
        Taken::default()
    }

    /// Makes an empty set for names of a build's objects.
    pub fn of(settings: &Settings) -> Taken {
        Taken { first: first_word(settings.name.as_deref()), names: FxHashMap::default() }
    }

    /// Returns the name of a thing in a namespace, as [`name()`] makes it; where another thing has that name already,
    /// one made from more of the identity.
    pub fn name(&mut self, namespace: &str, words: &Words, end: &str, identity: &str, limit: Limit) -> String {
        let limit = limit as usize - self.first.len();
        let mut name = [&self.first, &*shorter(words, end, identity, limit)].concat();
        let mut salted = Cow::Borrowed(identity);
        loop {
            match self.names.entry((namespace.into(), name)) {
                Entry::Vacant(place) => {
                    let name = place.key().1.clone();
                    place.insert(identity.to_owned());
                    return name;
                }
                Entry::Occupied(place) if place.get() == identity => return place.key().1.clone(),
                Entry::Occupied(_) => {}
            }
            salted.to_mut().push('\'');
            let words = Words { text: words.text.clone(), exact: false };
            name = [&self.first, &*shorter(&words, end, &salted, limit)].concat();
        }
    }
}

/// The head of an object.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `apiVersion`.
    pub api_version: &'static str,
    /// `kind`.
    pub kind: &'static str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.namespace`.
    pub namespace: &'a str,
    /// The label `app.kubernetes.io/part-of`, where the settings have a name.
    pub part_of: Option<&'a str>,
    /// The contents of the annotations.
    pub provenance: &'a Provenance,
}

impl Head<'_> {
    /// Writes `apiVersion`, `kind` and `metadata`.
    pub fn write(&self, yaml: &mut Writer) {
        yaml.key("apiVersion").word(self.api_version);
        yaml.key("kind").word(self.kind);
        yaml.key("metadata").map(|yaml| {
            yaml.field("name", self.name);
            yaml.field("namespace", self.namespace);
            yaml.key("labels").map(|yaml| {
                yaml.key(MANAGED_BY.0).word(MANAGED_BY.1);
                if let Some(name) = self.part_of {
                    yaml.field("app.kubernetes.io/part-of", name);
                }
            });
            if *self.provenance != Provenance::default() {
                yaml.key("annotations").map(|yaml| annotate(yaml, self.provenance));
            }
        });
    }
}

/// Writes the annotations: which rules an object comes from, who owns them and why they are there.
pub fn annotate(yaml: &mut Writer, provenance: &Provenance) {
    let Provenance { source, owner, reason } = provenance;
    for (key, text) in [("netpol/source", source), ("netpol/owner", owner), ("netpol/reason", reason)] {
        if !text.is_empty() {
            yaml.key(key).text(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pods(list: &[Requirement]) -> PodSelector {
        PodSelector { labels: Requirements::new(list.to_vec()).unwrap(), ..PodSelector::in_namespace("garden") }
    }

    fn is(key: &str, values: &[&str]) -> Requirement {
        Requirement::is_in(key, values.iter().map(SmolStr::new))
    }

    fn named(pods: &PodSelector) -> String {
        name(&Words::of_pods(pods), "egress", &format!("{pods:?}"), Limit::Subdomain)
    }

    #[test]
    fn plain_subjects_have_plain_names() {
        assert_eq!(named(&pods(&[])), "all-pods-egress");
        assert_eq!(named(&pods(&[is("app", &["web"])])), "app-web-egress");
        assert_eq!(name(&Words::of_host("zenquotes.io"), "", "zenquotes.io", Limit::Label), "zenquotes-io");
        assert_eq!(name(&Words::of_host("*.example.com"), "", "*.example.com", Limit::Label), "any-example-com");
    }

    #[test]
    fn things_with_the_same_words_get_different_names() {
        let subjects = [
            pods(&[is("app", &["web-tier-db"])]),
            pods(&[is("app", &["web"]), is("tier", &["db"])]),
            pods(&[is("app", &["web"]), is("tier", &["db"])].map(|r| r.negated())),
            pods(&[is("app", &["web", "tier-db"])]),
            pods(&[is("app.kubernetes.io/name", &["web"])]),
            pods(&[is("name", &["web"])]),
            pods(&[is("app.kubernetes.io/name", &["app-web"])]),
            pods(&[is("app.kubernetes.io/name", &["all-pods"])]),
            pods(&[is("app.kubernetes.io/name", &["web"]), is("app.kubernetes.io/instance", &["a"])]),
            pods(&[is("all", &["pods"])]),
            pods(&[]),
            pods(&[is("app", &["Web"])]),
            pods(&[is("app", &["web"])]),
            pods(&[is("app", &[""])]),
        ];
        let names: std::collections::BTreeSet<String> = subjects.iter().map(named).collect();
        assert_eq!(names.len(), subjects.len(), "{names:?}");
        assert_eq!(named(&subjects[4]), "web-egress");
        let hosts = ["a-b.io", "a.b.io", "any.b.io", "*.b.io", "any-b.io"];
        let names: std::collections::BTreeSet<String> =
            hosts.iter().map(|host| name(&Words::of_host(host), "", host, Limit::Label)).collect();
        assert_eq!(names.len(), hosts.len(), "{names:?}");
    }

    #[test]
    fn a_taken_name_is_not_given_to_another_thing() {
        let mut taken = Taken::new();
        let words = Words { text: "web".into(), exact: true };
        let first = taken.name("garden", &words, "egress", "one", Limit::Label);
        let second = taken.name("garden", &words, "egress", "two", Limit::Label);
        assert_eq!((first.as_str(), second.starts_with("web-egress-")), ("web-egress", true));
        assert_eq!(taken.name("garden", &words, "egress", "two", Limit::Label), second);
        assert_eq!(taken.name("other", &words, "egress", "two", Limit::Label), "web-egress");
    }

    /// No name of one build is a name of another one.
    #[test]
    fn builds_have_names_of_their_own() {
        let long = "a-name-that-is-much-too-long-for-the-first-word-of-anything";
        let builds = ["", "shop", "shop-eu", "eu", "Shop", "shop.eu", "shop_eu", "a--b", "a-b", long];
        let things = ["eu", "web", "all-pods", "eu-web", long];
        let mut names = std::collections::BTreeSet::new();
        for build in builds {
            let mut taken = Taken { first: first_word(Some(build)), ..Taken::default() };
            for thing in things {
                for end in ["", "egress", "ingress-deny-2", long] {
                    let name =
                        taken.name("garden", &Words::of(thing), end, &format!("{thing} {end}"), Limit::Subdomain);
                    assert!(is_subdomain(&name, 59) && (build.is_empty() || name.starts_with(&taken.first)), "{name}");
                    assert!(build.is_empty() || names.insert(name.clone()), "{name}");
                }
            }
        }
        assert_eq!(first_word(Some("shop")), "shop-");
    }

    fn is_subdomain(name: &str, limit: usize) -> bool {
        !name.is_empty()
            && name.len() <= limit
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !name.starts_with('-')
            && !name.ends_with('-')
    }

    proptest! {
        #[test]
        fn every_name_is_a_dns_label(text in any::<String>(), long in "[a-z.-]{0,400}") {
            for words in [Words::of(&text), Words::of_host(&text), Words::of(&long), Words::of_host(&long)] {
                for end in ["", "egress"] {
                    for limit in [Limit::Label, Limit::Subdomain] {
                        let name = name(&words, end, &text, limit);
                        prop_assert!(is_subdomain(&name, limit as usize), "{name:?}");
                    }
                }
            }
        }
    }
}
