//! Names of objects that select pods.
//!
//! ```netpol
//! allow ingress lab/* -> garden/{app=web, tier=edge}:80
//! ```
//!
//! ```yaml
//! kind: AuthorizationPolicy
//! metadata:
//!   namespace: garden
//! ```
//!
//! Words that express the subject exactly are the whole name; other words are followed by a hash of the subject.

use smol_str::SmolStr;

use crate::settings::Settings;
use crate::targets::istio::model::Meta;
use crate::targets::istio::plan::subjects::Subject;
use crate::targets::names::{Limit, Taken, Words};

/// The names of objects of one kind.
pub struct Names {
    root: SmolStr,
    taken: Taken,
}

impl Names {
    /// Begins with no name taken.
    pub fn new(settings: &Settings) -> Names {
        Names { root: settings.root_namespace.as_str().into(), taken: Taken::of(settings) }
    }

    /// Returns the name of the object for some pods, with `end` for its purpose.
    pub fn of(&mut self, subject: &Subject, end: &str) -> Meta {
        let namespace = subject.namespace.clone().unwrap_or_else(|| self.root.clone());
        let (words, identity) = words(subject);
        let name = self.taken.name(&namespace, &words, end, &identity, Limit::Subdomain);
        Meta { namespace, name }
    }
}

/// Returns the words for a subject's pods, and a text that no other subject of the namespace has.
fn words(subject: &Subject) -> (Words, String) {
    let words = match &*subject.labels {
        [(key, value)] => Words::of_label(key, value),
        _ => None,
    };
    let words = words.unwrap_or_else(|| Words::of_pods(&subject.selector()));
    let identity = if words.exact {
        let mut text = String::new();
        for (key, value) in subject.labels.iter() {
            text.extend([key, "=", value, ","]);
        }
        text
    } else {
        format!("{:?}", subject.labels)
    };
    (words, identity)
}
