// Compiles the headline in the WebAssembly build and holds it against examples/headline/out; see README.md.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [module, example] = process.argv.slice(2);
const { instance } = await WebAssembly.instantiate(readFileSync(module));
const { memory, allocate, compile } = instance.exports;

function compiled(text) {
  const bytes = new TextEncoder().encode(text);
  const at = allocate(bytes.length);
  new Uint8Array(memory.buffer, at, bytes.length).set(bytes);
  const answer = compile(at, bytes.length);
  const length = new DataView(memory.buffer).getUint32(answer, true);
  return new TextDecoder().decode(new Uint8Array(memory.buffer, answer + 4, length));
}

const files = ["garden/istio.yaml", "garden/networkpolicy.yaml"];
const committed = files.map((path) => `==> ${path}\n${readFileSync(`${example}/out/${path}`, "utf8")}`);
assert.equal(compiled(readFileSync(`${example}/headline.netpol`, "utf8")), committed.join(""));
assert.match(compiled("allow egress garden/* => zenquotes.io:443\n"), /^error\[E\d+\]/);
// More statements than are parsed in one go, and several namespaces: nothing waits for a thread.
const many = Array.from({ length: 600 }, (_, at) => `allow egress team-${at % 30}/{app=a${at}} -> h${at}.example.com:443\n`);
assert.match(compiled(many.join("")), /h599\.example\.com/);
console.log("wasm32: the headline is as committed");
