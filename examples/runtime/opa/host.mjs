// A host of OPA's modules, with OPA's own SDK for JavaScript. It asks about the flows of the other hosts.
import { readFileSync } from "node:fs";
import opa from "@open-policy-agent/opa-wasm";

const policy = await opa.loadPolicy(readFileSync(`${process.argv[2]}/policy.wasm`));

// What a decision says of one end.
function why({ cause, rule, grant }) {
  if (rule) return `${cause} by ${rule.path}:${rule.line}`;
  return grant ? `${cause}: ${grant.reason}` : cause;
}

for (const destination of ["zenquotes.io", "evil.example"]) {
  const input = { source: { namespace: "garden", labels: { app: "web" } }, destination, port: 443 };
  const [{ result }] = policy.evaluate(input);
  console.log(`${result.verdict}: garden -> ${destination}:443, egress ${why(result.egress)}, ingress ${why(result.ingress)}`);
  const [{ result: allow }] = policy.evaluate(input, "netpol/allow");
  if (allow !== result.allow) throw new Error("the entrypoints disagree");
}

// What is no flow is an error, and never allowed.
const [{ result }] = policy.evaluate({ source: "garden" });
console.log(`${result.verdict}: ${result.error}, allow ${result.allow}`);
