// The extension: starts `netpol lsp`, and shows the answers of its commands beside the policy.
"use strict";

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;
let status;

function serverOptions() {
  const command = vscode.workspace.getConfiguration("netpol").get("path") || "netpol";
  return { command, args: ["lsp", "--stdio"] };
}

function makeClient() {
  const options = {
    // What a lens shows has the colours of a policy, and is none.
    documentSelector: ["file", "untitled"].map((scheme) => ({ scheme, language: "netpol" })),
    // The server's own texts (pages of codes, the standard library) are read by the provider below.
    initializationOptions: { ownTexts: true },
    // A lens executes a command of the server, which answers with a text: it is shown beside the policy.
    middleware: {
      async executeCommand(command, args, next) {
        if (command === "netpol.evaluate" && typeof args[2] !== "string") return evaluate(args[0]);
        return show(command, () => next(command, args));
      },
    },
  };
  return new LanguageClient("netpol", "netpol", serverOptions(), options);
}

async function start() {
  client = makeClient();
  status.text = "$(sync~spin) netpol";
  try {
    await client.start();
    const info = client.initializeResult && client.initializeResult.serverInfo;
    status.text = "$(shield) netpol";
    status.tooltip = info ? `netpol ${info.version}` : "netpol";
  } catch (error) {
    status.text = "$(error) netpol";
    status.tooltip = `netpol lsp does not start: ${error.message}`;
    vscode.window.showErrorMessage("`netpol lsp` does not start. Is netpol on the PATH, or in the setting netpol.path?");
  }
}

// The answers that were shown, by address: texts of their own, so that nothing asks to save them.
const shown = new Map();
let answers = 0;
const ENDS = { yaml: "yaml", markdown: "md", netpol: "netpol" };

// Shows the text of an answer beside the policy.
async function show(command, ask) {
  try {
    const answer = await ask();
    if (!answer) return;
    const end = ENDS[answer.language] || "txt";
    const address = vscode.Uri.parse(`netpol-answer:/${++answers}/${command.slice("netpol.".length)}.${end}`);
    shown.set(address.toString(), answer.text);
    const document = await vscode.workspace.openTextDocument(address);
    await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preview: true });
  } catch (error) {
    vscode.window.showWarningMessage(error.message);
  }
}

async function evaluate(uri) {
  const from = await vscode.window.showInputBox({ prompt: "From", placeHolder: "garden/web" });
  const to = from && (await vscode.window.showInputBox({ prompt: "To", placeHolder: "zenquotes.io:443" }));
  if (to) await vscode.commands.executeCommand("netpol.evaluate", uri, from, to);
}

function here() {
  const editor = vscode.window.activeTextEditor;
  if (!editor || editor.document.languageId !== "netpol") return undefined;
  const { line, character } = editor.selection.active;
  return { uri: editor.document.uri.toString(), position: { line, character } };
}

async function activate(context) {
  status = vscode.window.createStatusBarItem(vscode.StatusBarAlignment.Right);
  status.command = "netpol.restart";
  status.show();
  const texts = {
    async provideTextDocumentContent(uri) {
      const answer = await client.sendRequest("workspace/textDocumentContent", { uri: uri.toString() });
      return answer.text;
    },
  };
  const execute = vscode.commands.executeCommand;
  const command = (name, run) => vscode.commands.registerCommand(name, run);
  context.subscriptions.push(
    status,
    vscode.workspace.registerTextDocumentContentProvider("netpol", texts),
    vscode.workspace.registerTextDocumentContentProvider("netpol-answer", {
      provideTextDocumentContent: (address) => shown.get(address.toString()),
    }),
    vscode.workspace.onDidCloseTextDocument((document) => shown.delete(document.uri.toString())),
    command("netpol.restart", async () => {
      if (client) await client.stop().catch(() => {});
      await start();
    }),
    command("netpol.showYamlHere", () => here() && execute("netpol.showYaml", here().uri, here().position)),
    command("netpol.showChangesHere", () => here() && execute("netpol.showChanges", here().uri)),
    command("netpol.explainFile", () => here() && execute("netpol.explain", here().uri)),
    command("netpol.evaluateFlow", () => here() && evaluate(here().uri)),
  );
  await start();
}

function deactivate() {
  return client && client.stop();
}

module.exports = { activate, deactivate };
