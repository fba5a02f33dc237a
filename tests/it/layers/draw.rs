//! Random policies about the cluster, as lists of statements, so that they can be cut down.

use super::random::Random;

/// How a policy is built.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Whether the compiler gets the inventory.
    pub known: bool,
    /// The layers.
    pub layers: &'static str,
    /// Whether `[cluster] pods` says where pods are.
    pub pods: bool,
    /// `[enforcement] require = "exact"`.
    pub exact: bool,
}

/// A policy with the setting that it is built in.
#[derive(Clone, Debug)]
pub struct Draw {
    /// How it is built.
    pub setting: Setting,
    /// Its statements.
    pub statements: Vec<String>,
}

/// What stands in front of every policy.
pub const HEAD: &str = "use std/istio (ingress-gateway, egress-gateway)\n\
    let db = host db.zen.example at 198.51.100.50\n\
    let tls = host api.zen.example { port 80/http -> 443/tls }\n\
    issuer corp { url \"https://login.example\"  jwks \"https://login.example/keys\" at 192.0.2.0/24 }\n\
    issuer desk { url \"https://desk.example\"  jwks \"https://desk.example/keys\"  audiences \"shop\"  from header \"x-jwt\" }\n";

const GOVERNED: &[&str] = &[
    "garden/*",
    "garden/*",
    "garden/*",
    "shop/*",
    "lab/*",
    "lab/*",
    "garden/{app=web}",
    "garden/{app=api}",
    "garden/{app=web, tier=front}",
    "garden/{tier=back}",
    "garden/{app in (web, curl)}",
    "garden/{tier!=back}",
    "garden/@api",
    "lab/@good",
    "shop/@shared",
    "shop/{app=cart}",
    "{ garden/*, shop/* }",
    "legacy/*",
    "{env=prod}/*",
    "*/*",
    "lab/{app=good}",
    "{ lab/* except lab/@good }",
];
const CALLERS: &[&str] = &[
    "garden/*",
    "shop/*",
    "lab/*",
    "lab/@good",
    "garden/@api",
    "shop/@shared",
    "garden/{tier=back}",
    "garden/{app=curl}",
    "*/*",
    "legacy/*",
    "{env=prod}/*",
    "*/@web",
    "{ garden/*, shop/* }",
    "{ lab/*, 198.51.100.0/24 }",
    "*/{app=web}",
];
const CLIENTS: &[&str] = &[
    "198.51.100.0/24",
    "203.0.113.7",
    "anywhere",
    "internet",
    "10.0.0.0/8",
    "outside",
    "{ 198.51.100.0/24 except 198.51.100.64/26 }",
];
const HOSTS: &[&str] = &[
    "zenquotes.io:443",
    "zenquotes.io:80",
    "zenquotes.io:{80, 443}",
    "evil.example:443",
    "*.wild.example:443",
    "*.wild.example:80",
    "db.wild.example:8443/tls",
    "{ zenquotes.io, evil.example }:443",
    "db:5432",
    "db:443",
    "tls:80",
    "{ tls:80, zenquotes.io:80 }",
    "tls:443",
    "evil.example:5432",
    "zenquotes.io:{443, 5432}",
    "zenquotes.io:123/udp",
    "{ *.wild.example:443, 203.0.113.0/24:443 }",
];
const EXITS: &[&str] = &[
    "zenquotes.io:443",
    "zenquotes.io:443",
    "zenquotes.io:80",
    "evil.example:80",
    "db:5432",
    "{ evil.example:80, db:5432 }",
];
/// Hosts whose requests a gateway reads.
const READ_EXITS: &[&str] =
    &["zenquotes.io:80", "zenquotes.io:80", "evil.example:80", "{ zenquotes.io, evil.example }:80"];
/// Denies of hosts to which gateways lead, some of them only in part.
const DENIED_EXITS: &[&str] = &[
    "zenquotes.io:443",
    "zenquotes.io:80",
    "zenquotes.io:{80, 443}",
    "evil.example:80",
    "{ zenquotes.io, evil.example, db }:*",
    "db:5432",
    "198.51.100.50",
    "198.51.100.0/24:443",
    "internet:443",
    "outside",
];
const ADDRESSES: &[&str] = &[
    "198.51.100.0/24:443",
    "198.51.100.0/24:{80, 5432}",
    "198.51.100.64/26:443",
    "198.51.100.66:443",
    "203.0.113.7:443",
    "internet:443",
    "anywhere",
    "{ 198.51.100.0/24 except 198.51.100.64/26 }:{443, 5432}",
    "{ 0.0.0.0/0 except 198.51.100.10 }:{80, 443}",
    "198.51.100.66",
    "198.51.100.0/24:53/udp",
    "internet:*/udp",
    "198.51.100.50:5432",
    "outside:443",
];
const PORTS: &[&str] = &[
    "",
    "",
    ":8080",
    ":8080",
    ":{8080, 9000}",
    ":8080/http",
    ":9000-9100",
    ":9000",
    ":53/udp",
    ":*/udp",
    ":http",
    ":metrics",
    ":*/tcp",
    ":raw",
];
const SERVICES: &[&str] =
    &["garden/web:80", "garden/web:9000", "garden/api:80", "shop/cart:80", "shop/stock:9090", "lab/good:80"];
const WHERE: &[&str] = &[
    "where method GET",
    "where method POST where path \"/api/**\"",
    "where path \"/api/**\"",
    "where path \"/*/x\"",
    "where path \"/api\", \"/health\"",
    "where path \"/**\" except \"/api/**\", \"/health\"",
    "where header x-team \"web\", \"api\"",
    "where jwt desk where header X-Team \"web\"",
    "where jwt corp claim realm_access.roles = \"admin\"",
    "where jwt corp",
    "where jwt corp subject \"alice\"",
    "where jwt corp claim groups = \"admin\"",
    "where jwt corp claim scope = \"read\" where method GET",
    "where host \"web.garden.svc.cluster.local\", \"shop.example\"",
];

const PUBLIC: &[&str] = &["\"garden.example\"", "\"garden.example\"", "\"shop.example\"", "\"api.garden.example\""];
const OFFICES: &[&str] = &[
    "198.51.100.0/24",
    "198.51.100.0/26",
    "203.0.113.7",
    "internet",
    "{ 203.0.113.0/24, 192.0.2.0/24 }",
    "10.0.0.0/8",
];
/// Public hosts of one rule, and names that it asks for among them and beside them.
const SEVERAL_PUBLIC: &[&str] = &[
    "\"garden.example\", \"api.garden.example\"",
    "\"garden.example\", \"shop.example\"",
    "\"shop.example\", \"api.garden.example\"",
];
const NAMED: &[&str] = &[
    "where host \"garden.example\"",
    "where host \"garden.example\", \"shop.example\"",
    "where host \"*.garden.example\"",
    "where host \"other.example\"",
];
const ENTRY_PORTS: &[&str] =
    &["8080/http", "8080/http", "8080/http", "{8080/http, 9090/http}", "{9000/http, 8080/http}", "8000-8100/http"];
const BEHIND: &[&str] = &["garden/{app=web}", "garden/{app=web}", "garden/{app=api}", "shop/{app=cart}", "garden/*"];

/// Draws a policy.
pub fn draw(random: &mut Random) -> Draw {
    let layers = random.weighted(&[(6, "both"), (2, "istio"), (1, "networkpolicy")]);
    let setting = Setting { known: random.percent(60), layers, pods: random.percent(60), exact: random.percent(15) };
    let about = random.pick(&["garden/", "garden/", "lab/", "shop/"]);
    let mut drawer = Drawer { random, setting: &setting, about };
    let count = drawer.random.weighted(&[(3, 2), (3, 3), (2, 4), (1, 5)]);
    let mut statements = Vec::new();
    while statements.len() < count {
        let statement = drawer.statement();
        if !statements.contains(&statement) {
            statements.push(statement);
        }
    }
    Draw { setting, statements }
}

struct Drawer<'a> {
    random: &'a mut Random,
    setting: &'a Setting,
    /// The namespace that most rules are about, so that they meet.
    about: &'static str,
}

impl Drawer<'_> {
    fn one(&mut self, list: &[&'static str]) -> String {
        loop {
            let text = self.random.pick(list);
            if std::ptr::eq(list, GOVERNED) && !text.contains(self.about) && self.random.percent(65) {
                continue;
            }
            // Without an inventory nobody knows the Services, and which namespaces there are.
            let asks = text.contains("*/*") || text.starts_with("{env") || SERVICES.contains(&text);
            if self.setting.known || !asks || self.random.percent(25) && !SERVICES.contains(&text) {
                return text.to_owned();
            }
        }
    }

    fn pods(&mut self) -> String {
        if self.setting.known && self.random.percent(20) {
            return self.one(SERVICES);
        }
        format!("{}{}", self.one(GOVERNED), self.one(PORTS))
    }

    fn outside(&mut self) -> String {
        let list = if self.random.percent(60) { HOSTS } else { ADDRESSES };
        self.one(list)
    }

    fn caller(&mut self) -> String {
        let list = if self.random.percent(75) { CALLERS } else { CLIENTS };
        self.one(list)
    }

    /// Returns rules for pods and for some of them, which meet in one object.
    fn nested(&mut self) -> String {
        let (wide, narrow) = self.random.pick(&[
            ("garden/*", "garden/{app=web}"),
            ("garden/{app=web}", "garden/{app=web, tier=front}"),
            ("garden/{tier=back}", "garden/{app=api, tier=back}"),
            ("shop/*", "shop/{app=cart}"),
            ("lab/*", "lab/@good"),
            ("lab/*", "lab/{app=good}"),
            ("{env=prod}/*", "garden/{app=web}"),
            ("*/*", "shop/{app=cart}"),
        ]);
        let (first, second) = if self.random.percent(70) { (narrow, wide) } else { (wide, narrow) };
        let outside = self.outside();
        match self.random.below(7) {
            0 => format!("default deny egress {wide}\nallow egress {narrow} -> {outside}"),
            1 => format!("default deny ingress {wide}\nallow ingress {} -> {narrow}{}", self.caller(), self.one(PORTS)),
            2 | 5 => format!("allow egress {first} -> {outside}\ndeny egress {second} -> {}", self.outside()),
            3 => format!("allow ingress {} -> {first}:8080\ndeny ingress {} -> {second}", self.caller(), self.caller()),
            4 => format!(
                "allow egress {first} -> anywhere\ndeny egress {second} -> {outside}\ndefault deny egress {wide}"
            ),
            _ => format!("allow egress {first} -> {outside}\nallow egress {second} -> {}", self.pods()),
        }
    }

    /// Returns a rule by which some outside come in through the gateway; most policies with one have a second.
    fn published(&mut self) -> String {
        let mut one = || {
            let condition = match self.random.below(10) {
                0..=4 => String::new(),
                5 => format!(" {}", self.random.pick(NAMED)),
                6 => format!(" where method GET {}", self.random.pick(NAMED)),
                _ => format!(" {}", self.random.pick(&WHERE[..13])),
            };
            let public = if self.random.percent(25) { SEVERAL_PUBLIC } else { PUBLIC };
            format!(
                "allow ingress {} -> {}:{} via ingress-gateway at {}{condition}",
                self.random.pick(OFFICES),
                self.random.pick(BEHIND),
                self.random.pick(ENTRY_PORTS),
                self.random.pick(public)
            )
        };
        let (first, second) = (one(), one());
        if self.random.percent(60) && first != second { format!("{first}\n{second}") } else { first }
    }

    fn exit(&mut self, who: &str) -> String {
        let (to, condition) = match self.random.percent(35) {
            true => (self.random.pick(READ_EXITS), format!(" {}", self.random.pick(&WHERE[..13]))),
            false => (self.random.pick(EXITS), String::new()),
        };
        format!("allow egress {who} -> {to} via egress-gateway{condition}")
    }

    /// Returns a rule by which pods leave through the gateway; most policies with one have another rule about it.
    fn leading_out(&mut self) -> String {
        let who = self.one(GOVERNED);
        let first = self.exit(&who);
        let second = match self.random.below(8) {
            0..=2 => {
                let who = self.one(GOVERNED);
                self.exit(&who)
            }
            3 => {
                let who = if self.random.percent(50) { who } else { self.one(GOVERNED) };
                let to = if self.random.percent(70) { self.one(DENIED_EXITS) } else { self.outside() };
                let isolated = if self.random.percent(50) { "\ndefault deny ingress egress-gateway" } else { "" };
                return format!("{first}\ndeny egress {who} -> {to}{isolated}");
            }
            4 => "default deny ingress egress-gateway".into(),
            5 => format!("deny ingress {} -> egress-gateway", self.one(CALLERS)),
            _ => return first,
        };
        if first == second { first } else { format!("{first}\n{second}") }
    }

    fn statement(&mut self) -> String {
        let note = if self.random.percent(8) { "@approximate(\"known\") " } else { "" };
        let statement = match self.random.below(32) {
            30.. => self.leading_out(),
            26.. => self.nested(),
            22.. => self.published(),
            0..=2 => format!("default deny {}{}", self.random.pick(&["", "egress ", "ingress "]), self.one(GOVERNED)),
            3..=6 => format!("allow egress {} -> {}", self.one(GOVERNED), self.outside()),
            7 | 8 => format!("allow egress {} -> {}", self.one(GOVERNED), self.pods()),
            9 => format!("allow {} -> {}", self.one(GOVERNED), self.pods()),
            10..=13 => format!("allow ingress {} -> {}", self.caller(), self.pods()),
            14 | 15 => format!("deny ingress {} -> {}", self.caller(), self.pods()),
            16 => format!("deny egress {} -> {}", self.one(GOVERNED), self.pods()),
            17 => {
                let who = self.one(GOVERNED);
                format!("allow egress {who} -> {}\ndeny egress {who} -> {}", self.outside(), self.outside())
            }
            18 => format!("deny egress {} -> {}", self.one(GOVERNED), self.outside()),
            19 => format!("deny {} -> {}", self.one(GOVERNED), self.pods()),
            20 => self.leading_out(),
            _ => {
                let action = if self.random.percent(20) { "deny" } else { "allow" };
                let condition = loop {
                    let condition = self.one(WHERE);
                    if action == "allow" || !condition.contains("jwt") {
                        break condition;
                    }
                };
                format!("{action} ingress {} -> {}:8080/http {condition}", self.caller(), self.one(GOVERNED))
            }
        };
        format!("{note}{statement}").replace('\n', &format!("\n{note}"))
    }
}
