// A host of components: jco makes JavaScript of one, `jco transpile policy.wasm -o js`. The argument is that folder.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const { instantiate } = await import(new URL("policy.js", folder));
const load = async (path) => WebAssembly.compile(await readFile(new URL(path, folder)));
const { decisions } = await instantiate(load, {});

const pod = (namespace, app) => ({
  tag: "pod",
  val: { namespace, labels: [["app", app]], ports: [], sidecar: false },
});

// What a decision says of one end.
function why({ cause, by }) {
  if (!by) return cause;
  const { path, line, reason } = JSON.parse(by);
  return path ? `${cause} by ${path}:${line}` : `${cause}: ${reason}`;
}

for (const name of ["zenquotes.io", "evil.example"]) {
  const asked = { source: pod("garden", "web"), destination: { tag: "host", val: { name } }, protocol: "tcp", port: 443 };
  const { verdict, egress, ingress } = decisions.decide(asked);
  console.log(`${verdict}: garden -> ${name}:443, egress ${why(egress)}, ingress ${why(ingress)}`);
}

// What is no flow is an error, and never allowed.
try {
  decisions.decide({ source: pod("garden", "web"), destination: { tag: "address", val: "nowhere" }, protocol: "tcp", port: 443 });
} catch (error) {
  console.log(`error: ${error.payload}`);
}
