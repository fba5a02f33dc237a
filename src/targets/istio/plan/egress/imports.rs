//! Imports of a Sidecar's listener.
//!
//! ```text
//! allow egress garden/* -> zenquotes.io:443        ./zenquotes.io
//! allow egress garden/* -> 203.0.113.7:443         ./203-0-113-7.tcp-443.netpol.internal
//! allow egress garden/* -> shop/*                  shop/*.shop.svc.cluster.local
//! ```

use std::rc::Rc;

use smol_str::SmolStr;

use super::addresses::Found;
use super::items::Outside;

/// An import; its text has the namespace, then the host.
#[derive(Clone, Debug)]
pub enum Import {
    /// A host.
    Host {
        /// The namespace of its ServiceEntry.
        home: SmolStr,
        /// The host.
        host: Rc<Outside>,
    },
    /// Addresses.
    Addresses {
        /// The namespace of their ServiceEntries.
        home: SmolStr,
        /// All groups that the Sidecar lets through.
        groups: Rc<Vec<Found>>,
        /// The index of this group among them.
        at: usize,
    },
    /// A Service.
    Service {
        /// Its namespace.
        namespace: SmolStr,
        /// Its name.
        name: SmolStr,
    },
    /// All Services of a namespace, or of every namespace, but no ServiceEntries.
    Services {
        /// The namespace.
        namespace: Option<SmolStr>,
    },
}

impl Import {
    /// Returns the text in a Sidecar of a namespace; `None` is the mesh-wide one.
    pub fn text(&self, own: Option<&SmolStr>, domain: &str) -> String {
        let home = |home: &'_ SmolStr| if own == Some(home) { SmolStr::new_static(".") } else { home.clone() };
        match self {
            Import::Host { home: at, host } => {
                let wildcard = if host.name.wildcard { "*." } else { "" };
                [&*home(at), "/", wildcard, &host.name.name].concat()
            }
            Import::Addresses { home: at, groups, at: number } => {
                let import = groups.get(*number).map(Found::import).unwrap_or_default();
                [&*home(at), "/", import].concat()
            }
            Import::Service { namespace, name } => {
                [&*home(namespace), "/", name, ".", namespace, ".svc.", domain].concat()
            }
            Import::Services { namespace: Some(name) } => format!("{}/*.{name}.svc.{domain}", home(name)),
            Import::Services { namespace: None } => format!("*/*.svc.{domain}"),
        }
    }
}
