// A host of an evaluator module: docs/wasm-abi.md is all that it knows.
import { readFileSync } from "node:fs";

const folder = process.argv[2];
const { rules, grants } = JSON.parse(readFileSync(`${folder}/policy.rules.json`, "utf8"));
const { instance } = await WebAssembly.instantiate(readFileSync(`${folder}/policy.wasm`));
const policy = instance.exports;
if (policy.abi_version() !== 1) throw new Error("this host knows version 1 of the interface");

// Hands a value over as JSON: to `intern`, `intern_request` or `decide_text`.
function hand(call, value) {
  const text = new TextEncoder().encode(JSON.stringify(value));
  const at = policy.buffer(text.length);
  if (at < 0) throw new Error(`error ${at}`);
  new Uint8Array(policy.memory.buffer).set(text, at);
  const number = call(at, text.length);
  if (number < 0) throw new Error(`error ${number}`);
  return number;
}

// Says what decided the last flow at each end.
function why() {
  const [word, out, wayIn] = new Int32Array(policy.memory.buffer, policy.verdict(), 3);
  const end = (cause, by) =>
    [
      "no pod",
      "a pod reaches itself",
      "not isolated",
      `allowed by ${rules[by]?.path}:${rules[by]?.line}`,
      `granted: ${grants[by]?.reason}`,
      `denied by ${rules[by]?.path}:${rules[by]?.line}`,
      `isolated by ${rules[by]?.path}:${rules[by]?.line}`,
    ][cause];
  return `egress ${end((word >> 8) & 255, out)}, ingress ${end((word >> 16) & 255, wayIn)}`;
}

const words = ["denied", "allowed", "told"];
const garden = { namespace: "garden", labels: { app: "web" } };

// One flow as text.
const text = hand(policy.decide_text, { from: garden, to: "zenquotes.io", port: 443 });
console.log(`${words[text]}: garden -> zenquotes.io:443, ${why()}`);

// The same parties by numbers, which are found once.
const source = hand(policy.intern, garden);
const destination = hand(policy.intern, "evil.example");
const tcp = (port) => (6 << 16) | port;
console.log(`${words[policy.decide(source, destination, tcp(443), 0)]}: garden -> evil.example:443, ${why()}`);

// What nobody interned is an error, and no verdict.
console.log(`a number that is none: error ${policy.decide(source, 12345, tcp(443), 0)}`);
