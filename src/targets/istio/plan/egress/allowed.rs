//! The flows that one Sidecar lets out: the items of its content, sorted by kind for its listeners.
//!
//! ```text
//! allow egress garden/* -> {zenquotes.io:443, 203.0.113.0/24:5432}    a host on 443, and a group of addresses on 5432
//! ```

use std::collections::BTreeSet;
use std::rc::Rc;

use smol_str::SmolStr;

use super::addresses::Found;
use super::content::Content;
use super::destinations::Destinations;
use super::homes::Homes;
use super::items::{Class, HostPort, Item, Outside};

/// The flows that one Sidecar lets out.
#[derive(Default)]
pub struct Allowed {
    /// Hosts on ports, each with the namespace of its ServiceEntry.
    pub hosts: Vec<(Rc<Outside>, HostPort, SmolStr)>,
    /// Ports of Services.
    pub services: Vec<ServicePortItem>,
    /// All Services of these namespaces; `None` is every one.
    pub all_services: BTreeSet<Option<SmolStr>>,
    /// Addresses, with the namespace of their ServiceEntries.
    pub groups: Option<(Rc<Vec<Found>>, SmolStr)>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServicePortItem {
    /// The Service's namespace.
    pub namespace: SmolStr,
    /// The Service's name.
    pub name: SmolStr,
    /// The port.
    pub port: u16,
    /// The protocol by which Istio reads the port.
    pub class: Class,
    /// Whether the Service has no address of its own.
    pub headless: bool,
}

impl Allowed {
    /// Gathers the flows that the Sidecar of a namespace lets out; `None` is the mesh-wide one.
    pub fn new(
        content: &Content,
        destinations: &Destinations<'_, '_>,
        namespace: Option<&SmolStr>,
        homes: &Homes,
    ) -> Allowed {
        let mut allowed = Allowed::default();
        for (item, _) in &content.items {
            match destinations.item(*item) {
                Item::Host(outside, port) => {
                    let home = homes.of(namespace, &outside.name).clone();
                    allowed.hosts.push((Rc::clone(outside), *port, home));
                }
                Item::Service { namespace, name, port, class, headless } => allowed.services.push(ServicePortItem {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    port: *port,
                    class: *class,
                    headless: *headless,
                }),
                Item::Services { namespace } => {
                    allowed.all_services.insert(namespace.clone());
                }
                Item::Addresses(..) => {}
            }
        }
        let groups = &content.groups;
        allowed.groups = (!groups.is_empty()).then(|| (Rc::clone(groups), content.groups_home.clone()));
        allowed
    }

    /// Returns whether the object may be too large.
    pub fn is_large(&self) -> bool {
        const MANY: usize = 1500;
        let ports = |found: &Found| found.group.ports.len();
        let groups = || self.groups.iter().flat_map(|(groups, _)| groups.iter()).map(ports).sum::<usize>();
        self.hosts.len() + self.services.len() + groups() > MANY
    }
}
