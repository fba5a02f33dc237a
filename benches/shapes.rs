//! Policies of one shape and any size: each shape asks one thing of the compiler again and again, as a large policy
//! may.

use std::fmt::Display;

/// What is compiled.
#[derive(Default)]
pub struct Case {
    /// The policy.
    pub policy: String,
    /// Files that it uses, by their paths.
    pub used: Vec<(String, String)>,
    /// Manifests of the cluster.
    pub manifests: Option<String>,
    /// Flows that are asked about, each with its source and its destination.
    pub flows: Vec<(String, String)>,
}

/// A name, the size to begin with, and what makes a policy of a size.
pub type Shape = (&'static str, usize, fn(usize) -> Case);

/// All shapes.
pub const SHAPES: &[Shape] = &[
    // Unions in one statement.
    ("networks in one rule", 500, |n| one(format!("allow egress shop/* -> {{ {} }}:443", list(n, net)))),
    ("hosts in one rule", 500, |n| one(format!("allow egress shop/* -> {{ {} }}:443", list(n, host)))),
    ("pods in one rule", 500, |n| one(format!("allow ingress {{ {} }} -> shop/{{app=web}}:80", list(n, pods)))),
    ("subjects in one rule", 500, |n| one(format!("allow egress {{ {} }} -> shop/{{app=web}}:80", list(n, pods)))),
    // Many rules for the same pods, for a namespace, for a namespace each.
    ("callers of one pod", 500, |n| lines(n, |i| format!("allow ingress {} -> shop/{{app=web}}:80", pods(i)))),
    ("pods of one namespace", 500, |n| lines(n, |i| format!("allow ingress a{i}/* -> shop/{{app=w{i}}}:80"))),
    ("peers of one namespace", 500, |n| lines(n, |i| format!("allow egress shop/{{app=w{i}}} -> db/{{app=d{i}}}:80"))),
    ("hosts of one namespace", 500, |n| lines(n, |i| format!("allow egress shop/* -> {}:443", host(i)))),
    ("hosts of many pods", 250, |n| lines(n, |i| format!("allow egress shop/{{app=w{i}}} -> {}:443", host(i)))),
    ("networks of one namespace", 500, |n| lines(n, |i| format!("allow egress shop/* -> {}:443", net(i)))),
    ("namespaces", 500, |n| lines(n, |i| format!("allow ingress a/* -> n{i}/{{app=web}}:80"))),
    ("namespaces by label", 500, |n| lines(n, |i| format!("allow ingress {{env=e{i}}}/* -> n{i}/{{app=web}}:80"))),
    ("accounts", 500, |n| lines(n, |i| format!("allow ingress n{i}/@caller -> shop/{{app=web}}:80"))),
    ("paths", 250, |n| {
        lines(n, |i| format!("allow ingress a/* -> shop/{{app=web}}:80/http where method GET where path \"/v{i}/**\""))
    }),
    ("both ways", 250, |n| lines(n, |i| format!("allow a{i}/{{app=x}}:80 <-> b{i}/{{app=y}}:81"))),
    ("the internet on many ports", 50, |n| {
        lines(n, |i| format!("allow egress shop/{{app=w{i}}} -> internet:{}", i + 1))
    }),
    // Pods that are told in two ways.
    ("two labels for the same pods", 100, |n| lines(n, |i| format!("allow ingress a{i}/* -> shop/{{a=b, k{i}=v}}:80"))),
    ("values of one label", 500, |n| {
        one(format!("allow ingress a/* -> shop/{{app in ({})}}:80", list(n, |i| format!("v{i}"))))
    }),
    // Exceptions.
    ("holes in one network", 500, |n| {
        one(format!("allow egress shop/* -> {{ 0.0.0.0/0 except {{ {} }} }}:443", list(n, net)))
    }),
    ("networks with holes", 250, |n| {
        lines(n, |i| {
            let [a, b] = [20 + i / 256, i % 256];
            format!("allow egress shop/* -> {{ {a}.{b}.0.0/16 except {{ {a}.{b}.1.0/24, {a}.{b}.8.0/24 }} }}:443")
        })
    }),
    ("all pods but some namespaces", 250, |n| {
        one(format!("allow ingress {{ */* except {{ {} }} }} -> shop/{{app=web}}:80", list(n, |i| format!("n{i}/*"))))
    }),
    // Ports.
    ("ports in one rule", 500, |n| {
        one(format!("allow egress shop/* -> 203.0.113.0/24:{{{}}}", list(n, |i| 3 * i + 1)))
    }),
    ("ranges of ports in one rule", 500, |n| {
        let range = |i| format!("{}-{}", 4 * i + 1, 4 * i + 2);
        one(format!("allow egress shop/* -> 203.0.113.0/24:{{{}}}", list(n, range)))
    }),
    ("names of ports in one rule", 500, |n| {
        one(format!("allow ingress a/* -> shop/*:{{{}}}", list(n, |i| format!("p{i}"))))
    }),
    ("ports of one network", 500, |n| lines(n, |i| format!("allow egress shop/* -> 203.0.113.0/24:{}", 3 * i + 1))),
    // Denies.
    ("denies and allows of the same pods", 50, |n| {
        let allow = |i| format!("allow ingress */{{app=s{i}}} -> shop/{{app=web}}:80");
        let deny = |i| format!("deny ingress bad{i}/* -> shop/{{app=web}}");
        two("default deny ingress shop/*", lines(n, allow), lines(n, deny))
    }),
    ("denies and allows of other pods", 25, |n| {
        let allow = |i| format!("allow ingress src{i}/* -> shop/{{app=w{i}}}:80");
        let deny = |i| format!("deny ingress bad{i}/* -> shop/{{tier=t{i}}}");
        two("default deny ingress shop/*", lines(n, allow), lines(n, deny))
    }),
    ("denied networks inside allowed ones", 100, |n| {
        let half = |i| net(i).replace(".0/24", ".128/25");
        let deny = |i| format!("deny egress shop/* -> {}", half(i));
        two("", lines(n, |i| format!("allow egress shop/* -> {}:443", net(i))), lines(n, deny))
    }),
    ("denied networks inside one", 250, |n| {
        two("allow egress shop/* -> 0.0.0.0/0:443", lines(n, |i| format!("deny egress shop/* -> {}", net(i))), one(""))
    }),
    ("one denied network around many", 250, |n| {
        two(
            "deny egress shop/* -> 20.0.0.0/10",
            lines(n, |i| format!("allow egress shop/* -> {}:443", net(i))),
            one(""),
        )
    }),
    ("denied ports of a network", 100, |n| {
        let deny = |i| format!("deny egress shop/* -> 203.0.113.0/24:{}", 2 * i + 1);
        two("allow egress shop/* -> 203.0.113.0/24", lines(n, deny), one(""))
    }),
    ("every pod denied a network", 100, |n| {
        let own = |i| format!("allow n{i}/* -> n{i}/*");
        two("default deny */*", lines(n, own), lines(n, |i| format!("deny egress */* -> {}", net(i))))
    }),
    ("accounts beside labels", 200, |n| {
        let account = |i| format!("allow ingress shop/@a{i} -> garden/{{app=w{i}}}:8080");
        let labels = |i| format!("allow ingress shop/{{app=c{i}}} -> garden/{{app=w{i}}}:9090");
        two("", lines(n, account), lines(n, labels))
    }),
    // Rules for every pod.
    ("rules for every pod", 100, |n| {
        let own = |i| format!("allow ingress a/* -> n{i}/{{app=web}}:80");
        two("", lines(n, own), lines(n, |i| format!("allow egress */* -> {}:443", net(i))))
    }),
    // Names.
    ("a chain of names", 500, |n| names(n, |i| format!("let x{} = x{i}", i + 1))),
    ("a growing chain of names", 500, |n| names(n, |i| format!("let x{} = {{ x{i}, {} }}", i + 1, net(i)))),
    ("files that bring one name each", 100, |n| {
        let uses = lines(n, |i| format!("use \"./m{i}.netpol\"")).policy;
        let rules = lines(n, |i| format!("allow egress n{i}/* -> x{i}:443")).policy;
        let used = (0..n).map(|i| (format!("m{i}.netpol"), format!("let x{i} = {}\n", net(i)))).collect();
        Case { policy: uses + &rules, used, ..Case::default() }
    }),
    ("templates applied", 250, |n| {
        let template = "template tenant(ns: Namespace, api: Host) {\n  default deny ns/*\n  allow ns/* -> ns/*\n  allow \
                        egress ns/* -> api:443\n}";
        two(template, lines(n, |i| format!("apply tenant(n{i}, {})", host(i))), one(""))
    }),
    // Mistakes.
    ("names that are nearly others", 100, |n| {
        let wrong = |i| format!("allow egress shop/* -> nobody{i}:443");
        two("", lines(n, |i| format!("let somebody{i} = {}", net(i))), lines(n, wrong))
    }),
    ("statements with a typing error", 100, |n| lines(n, |i| format!("alow egress shop/* -> {}:443", host(i)))),
    ("labels that are nearly others", 100, |n| {
        known(lines(n, |i| format!("default deny n0/{{app=wbe{i}}}")), n, |i| deployment(i, "n0"))
    }),
    ("namespaces that are nearly others", 100, |n| {
        known(lines(n, |i| format!("default deny m{i}/*")), n, |i| deployment(i, &format!("n{i}")))
    }),
    // What the cluster has.
    ("known pods by label", 100, |n| {
        let rule = |i| format!("allow ingress n0/{{tier=t{}}} -> n0/{{app=web{i}}}:http", i % 5);
        known(lines(n, rule), n, |i| deployment(i, "n0"))
    }),
    ("known workloads by name", 100, |n| {
        let rule = |i| format!("allow ingress n0/web{} -> n0/web{i}:http", (i + 1) % n);
        known(lines(n, rule), n, |i| deployment(i, "n0"))
    }),
    ("known pods by name", 100, |n| {
        known(lines(n, |i| format!("allow ingress n0/* -> n0/pod{i}:8080")), n, |i| pod(i, "n0"))
    }),
    ("known namespaces by label", 100, |n| {
        let rule = |i| format!("allow ingress {{env=e{}}}/* -> n{i}/{{app=web{i}}}:http", i % 10);
        known(lines(n, rule), n, |i| deployment(i, &format!("n{i}")))
    }),
    ("pods of every known namespace", 100, |n| {
        let rule = |i| format!("allow ingress */{{tier=t{}}} -> {{env=e{}}}/{{app=web{i}}}:http", i % 5, i % 10);
        known(lines(n, rule), n, |i| deployment(i, &format!("n{i}")))
    }),
    ("networks that may hold known pods", 50, |n| {
        let rule = |i| format!("allow egress n0/* -> 100.{}.{}.0/24:443", 64 + i / 256, i % 256);
        known(lines(n, rule), 10 * n, |i| pod(i, "n0"))
    }),
    ("hosts of known workloads", 100, |n| {
        let rule = |i| format!("allow egress n0/web{i} -> {}:443", host(i));
        known(lines(n, rule), n, |i| deployment(i, "n0"))
    }),
    ("networks from pods without a sidecar", 50, |n| {
        let rule = |i| format!("allow egress bare/* -> 100.{}.{}.0/24:443", 64 + i / 256, i % 256);
        known(lines(n, rule), 10 * n, |i| pod(i, "bare"))
    }),
    ("declared workloads", 100, |n| {
        let workload = |i| format!("workload n0/web{i} {{ labels {{ app = web{i} }} }}");
        two("", lines(n, workload), lines(n, |i| format!("allow ingress n0/web{} -> n0/web{i}:80", (i + 1) % n)))
    }),
    ("declared workloads that are known", 100, |n| {
        let workload = |i| format!("workload n0/web{i} {{ labels {{ app = web{i} }} }}");
        known(lines(n, workload), n, |i| deployment(i, "n0"))
    }),
    // Gateways.
    ("hosts through a gateway", 100, |n| {
        let rule = |i| format!("allow egress n{i}/* -> {}:443 via egress-gateway", host(i));
        two("use std/kyma", lines(n, rule), one(""))
    }),
    ("hosts that a gateway serves", 100, |n| {
        let rule = |i| {
            let (net, host) = (net(i), host(i));
            format!("allow ingress {net} -> n{i}/{{app=web}}:80/http via ingress-gateway at \"{host}\"")
        };
        two("use std/kyma", lines(n, rule), one(""))
    }),
    // Questions.
    ("flows", 250, |n| {
        let flows = (0..n).map(|i| (format!("n{}/{{app=a}}", i * 7 % n), format!("n{i}/{{app=web}}:80"))).collect();
        let rule = |i| format!("allow ingress n{}/* -> n{i}/{{app=web}}:80", i * 3 % n);
        Case { flows, ..lines(n, rule) }
    }),
];

fn one(policy: impl Into<String>) -> Case {
    Case { policy: policy.into(), ..Case::default() }
}

fn lines(n: usize, line: impl Fn(usize) -> String) -> Case {
    one((0..n).map(|i| line(i) + "\n").collect::<String>())
}

fn two(head: &str, first: Case, second: Case) -> Case {
    one(format!("{head}\n{}\n{}", first.policy, second.policy))
}

fn list<T: Display>(n: usize, member: impl Fn(usize) -> T) -> String {
    (0..n).map(|i| member(i).to_string()).collect::<Vec<_>>().join(", ")
}

/// Names of which each is defined by the one before, and a rule that uses the last.
fn names(n: usize, line: impl Fn(usize) -> String) -> Case {
    let lets = lines(n, line).policy;
    one(format!("let x0 = 198.51.100.0/24\n{lets}allow egress shop/* -> x{n}:443\n"))
}

/// Adds manifests: some objects, and their namespaces.
fn known(case: Case, n: usize, object: impl Fn(usize) -> String) -> Case {
    let namespaces = (0..n).map(|i| {
        let labels = format!("{{ env: e{}, istio-injection: enabled }}", i % 10);
        format!("---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: n{i}, labels: {labels} }}\n")
    });
    let manifests = namespaces.chain((0..n).map(object)).collect();
    Case { manifests: Some(manifests), ..case }
}

/// A network of its own, beside no other.
fn net(i: usize) -> String {
    format!("{}.{}.{}.0/24", 20 + i / 32_768, i / 128 % 256, i % 128 * 2)
}

fn host(i: usize) -> String {
    format!("h{i}.example{}.com", i % 40)
}

fn pods(i: usize) -> String {
    format!("n{i}/{{app=a{i}}}")
}

fn deployment(i: usize, namespace: &str) -> String {
    format!(
        "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web{i}, namespace: {namespace} }}\nspec:\n  \
         selector: {{ matchLabels: {{ app: web{i} }} }}\n  template:\n    metadata: {{ labels: {{ app: web{i}, tier: \
         t{} }} }}\n    spec: {{ containers: [{{ name: web, image: web, ports: [{{ name: http, containerPort: 8080 }}] \
         }}] }}\n",
        i % 5
    )
}

fn pod(i: usize, namespace: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: pod{i}, namespace: {namespace}, labels: {{ app: a{}, only: \
         p{i} }} }}\nspec: {{ containers: [{{ name: web, image: web }}] }}\nstatus: {{ podIP: 100.{}.{}.{} }}\n",
        i % 100,
        64 + i / 65_536,
        i / 256 % 256,
        i % 256
    )
}
