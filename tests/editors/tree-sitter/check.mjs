// Holds the grammar's verdicts against the parser's, its trees against the corpus, and its queries against what they must capture.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

const [, , program, programs, grammar] = process.argv;

// What the compiler checks in words that the grammar takes as they are: the forms of names, addresses, ports, escapes and dates, values
// from closed lists, and what may not stand twice.
const OF_WORDS = new Set([
  "E0101", "E0105", "E0107", "E0109", "E0112", "E0120", "E0121", "E0122", "E0123", "E0124", "E0125", "E0126", "E0135", "E0141", "E0142",
  "E0143", "E0144", "E0145", "E0152", "E0154", "E0155", "E0172", "E0175",
]);
// A wrong word has this code too: `sidecar maybe`, `proxies many`. No more than this part of its refusals may be such.
const MOST_E0101 = 0.02;

function judge(texts, queries = []) {
  const input = texts.flatMap(text => [Buffer.from(`${Buffer.byteLength(text)}\n`), Buffer.from(text)]);
  const run = spawnSync(program, queries, { input: Buffer.concat(input), maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(`${run.signal ?? run.status}: ${run.stderr}`);
  return run.stdout.toString().trimEnd().split("\n").map(line => {
    const [tree, ...captures] = line.split("\t");
    return { good: tree.startsWith("good "), tree: tree.slice(tree.indexOf(" ") + 1), captures };
  });
}

function fail(what) {
  console.error(what);
  process.exitCode = 1;
}

// Verdicts.
const all = fs.readFileSync(programs, "utf8").trimEnd().split("\n").map(line => JSON.parse(line));
const count = { both: 0, neither: 0, words: 0 };
const lenient = new Map();
let refusedE0101 = 0;
judge(all.map(one => one.text)).forEach(({ good }, at) => {
  const { name, text, codes } = all[at];
  refusedE0101 += codes.includes("E0101");
  if (codes.length === 0 && !good) {
    fail(`${name} is a policy, and the grammar finds an error in it:\n${text}`);
  } else if (codes.length === 0) {
    count.both++;
  } else if (!good) {
    count.neither++;
  } else if (codes.every(code => OF_WORDS.has(code))) {
    count.words++;
    codes.forEach(code => lenient.set(code, (lenient.get(code) ?? 0) + 1));
  } else {
    fail(`${name} has ${codes.join(", ")}, and the grammar finds no error in it:\n${text}`);
  }
});
if ((lenient.get("E0101") ?? 0) > refusedE0101 * MOST_E0101) fail(`E0101: ${lenient.get("E0101")} of ${refusedE0101} were not found`);
console.log(`tree-sitter: ${all.length} texts; both take ${count.both}, both refuse ${count.neither}, the parser alone ${count.words} for their words`);
console.log(`  ${[...lenient].sort().map(([code, times]) => `${code} ${times}`).join(", ")}`);

// The corpus: a name between two lines of `=`, the text, a line of `---`, the tree.
const shape = tree => tree.replace(/\s+/g, " ").replace(/ \)/g, ")").trim();
let trees = 0;
for (const file of fs.readdirSync(path.join(grammar, "test/corpus"))) {
  const text = fs.readFileSync(path.join(grammar, "test/corpus", file), "utf8");
  const parts = text.split(/^=+\n(.*)\n=+\n/m).slice(1);
  for (let at = 0; at < parts.length; at += 2) {
    const [source, due] = parts[at + 1].split(/^---+\n/m);
    const { tree } = judge([source.trim()])[0];
    trees++;
    if (shape(tree) !== shape(due)) fail(`${file}, ${parts[at]}:\n${shape(tree)}\nmust be\n${shape(due)}`);
  }
}
if (trees < 8) fail(`only ${trees} trees`);

// Queries: of all files of queries each compiles, and a policy has the captures that people see.
const policy = `# about
## What it is
@owner("shop")
allow egress garden/{app=web} -> a.example.com:443/https where method GET
template t(ns: Namespace) {
  deny ns -> { 10.0.0.0/8, db }
}
`;
const files = fs.readdirSync(path.join(grammar, "queries")).sort().map(file => path.join(grammar, "queries", file));
const [{ captures, good }] = judge([policy], files);
if (!good) fail("the policy of the queries is none");
const seen = new Set(captures.map(capture => {
  const [file, name, start, end] = capture.split(" ");
  return `${path.basename(files[file - 1], ".scm")} ${name} ${policy.slice(start, end).split("\n")[0]}`;
}));
for (const due of [
  "highlights comment # about", "highlights comment.documentation ## What it is", "highlights attribute owner", "highlights keyword allow",
  "highlights module garden", "highlights property app", "highlights number 443", "highlights constant https", "highlights operator ->",
  "highlights constant.builtin GET", "highlights function t", "highlights type Namespace", "highlights string \"shop\"",
  "folds fold {", "indents indent.begin {", "injections injection.content ## What it is",
]) {
  if (!seen.has(due)) fail(`no capture \`${due}\` among\n${[...seen].join("\n")}`);
}
console.log(`tree-sitter: ${trees} trees of the corpus and ${files.length} files of queries are right`);
