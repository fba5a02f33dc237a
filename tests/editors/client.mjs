// The client of VS Code's own library (vscode-jsonrpc and vscode-languageserver-protocol): its types and its framing.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import { pathToFileURL } from "node:url";
import rpc from "vscode-jsonrpc/node.js";
import lsp from "vscode-languageserver-protocol";

const folder = process.env.FOLDER;
const server = spawn(process.env.NETPOL, ["lsp", "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
const connection = lsp.createProtocolConnection(
  new rpc.StreamMessageReader(server.stdout),
  new rpc.StreamMessageWriter(server.stdin),
);
const published = new Map();
let wake = () => {};
connection.onNotification(lsp.PublishDiagnosticsNotification.type, (params) => {
  published.set(params.uri, params);
  wake();
});
connection.onRequest(lsp.RegistrationRequest.type, () => {});
connection.listen();

async function diagnostics(uri, due) {
  for (;;) {
    const known = published.get(uri);
    if (known && due(known.diagnostics)) return known.diagnostics;
    await new Promise((resolve) => (wake = resolve));
  }
}

const capabilities = { workspace: { didChangeWatchedFiles: { dynamicRegistration: true } } };
const root = pathToFileURL(folder).href;
const started = await connection.sendRequest(lsp.InitializeRequest.type, {
  processId: process.pid,
  rootUri: root,
  capabilities,
  workspaceFolders: [{ uri: root, name: "shop" }],
});
assert.equal(started.serverInfo.name, "netpol");
await connection.sendNotification(lsp.InitializedNotification.type, {});

const path = `${folder}/shop.netpol`;
const uri = pathToFileURL(path).href;
const text = fs.readFileSync(path, "utf8");
await connection.sendNotification(lsp.DidOpenTextDocumentNotification.type, {
  textDocument: { uri, languageId: "netpol", version: 1, text },
});
const found = await diagnostics(uri, (list) => list.length === 1);
assert.equal(found[0].code, "E0202");

const document = { uri };
const at = { textDocument: document, position: { line: 1, character: 32 } };
const ask = (type, params) => connection.sendRequest(type, params);
assert.match((await ask(lsp.HoverRequest.type, at)).contents.value, /let db = data/);
assert.equal((await ask(lsp.DefinitionRequest.type, at))[0].range.start.character, 4);
assert.equal((await ask(lsp.DocumentSymbolRequest.type, { textDocument: document })).length, 3);
assert.ok((await ask(lsp.CompletionRequest.type, at)).some((item) => item.label === "db"));
assert.equal((await ask(lsp.PrepareRenameRequest.type, at)).placeholder, "db");
assert.equal((await ask(lsp.RenameRequest.type, { ...at, newName: "store" })).changes[uri].length, 2);
const full = await ask(lsp.SemanticTokensRequest.type, { textDocument: document });
assert.ok(full.data.length > 0 && full.data.length % 5 === 0);
const delta = await ask(lsp.SemanticTokensDeltaRequest.type, { textDocument: document, previousResultId: full.resultId });
assert.deepEqual(delta.edits, []);
assert.ok((await ask(lsp.CodeLensRequest.type, { textDocument: document })).length > 0);
const whole = { start: { line: 0, character: 0 }, end: { line: 9, character: 0 } };
assert.ok(Array.isArray(await ask(lsp.InlayHintRequest.type, { textDocument: document, range: whole })));
assert.ok((await ask(lsp.SelectionRangeRequest.type, { textDocument: document, positions: [at.position] }))[0].parent);
const options = { tabSize: 2, insertSpaces: true };
assert.deepEqual(await ask(lsp.DocumentFormattingRequest.type, { textDocument: document, options }), []);
const yaml = { command: "netpol.showYaml", arguments: [uri, { line: 0, character: 0 }] };
await assert.rejects(ask(lsp.ExecuteCommandRequest.type, yaml), /errors/);

await connection.sendNotification(lsp.DidChangeTextDocumentNotification.type, {
  textDocument: { uri, version: 2 },
  contentChanges: [{ range: { start: { line: 2, character: 0 }, end: { line: 3, character: 0 } }, text: "" }],
});
await diagnostics(uri, (list) => !list.some((one) => one.severity === 1));
const shown = await ask(lsp.ExecuteCommandRequest.type, {
  command: "netpol.showYaml",
  arguments: [uri, { line: 1, character: 0 }],
});
assert.match(shown.text, /kind: NetworkPolicy/);

await connection.sendRequest(lsp.ShutdownRequest.type);
await connection.sendNotification(lsp.ExitNotification.type);
const code = await new Promise((resolve) => server.on("exit", resolve));
assert.equal(code, 0);
console.log("vscode-languageserver-protocol: every answer is right");
process.exit(0);
