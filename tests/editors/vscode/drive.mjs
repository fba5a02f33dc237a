// Visual Studio Code as a person uses it: a policy is opened, read, mended and asked, and what the window shows is held
// against what it must show.
import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";

const { ADDRESS, FOLDER, PICTURES } = process.env;
const chrome = process.env.CHROMIUM || "/usr/bin/chromium";

async function answers(address) {
  for (let tries = 0; tries < 120; tries += 1) {
    const answer = await fetch(address).catch(() => undefined);
    if (answer && answer.ok) return;
    await new Promise((done) => setTimeout(done, 250));
  }
  throw new Error("the workbench does not answer");
}

await answers(ADDRESS);
const browser = await chromium.launch({ executablePath: chrome, args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage({ viewport: { width: 1000, height: 420 }, deviceScaleFactor: 2 });
page.setDefaultTimeout(30000);

async function picture(name) {
  await page.waitForTimeout(300);
  if (PICTURES) await page.screenshot({ path: `${PICTURES}/${name}.png` });
}

function due(what, ok, found) {
  if (!ok) throw new Error(`${what}; found: ${found}`);
}

const editor = () => page.locator(".editor-instance .monaco-editor").first();
const text = async (locator) => (await locator.innerText()).replaceAll("\u00a0", " ");

// Waits until a text stands somewhere in what the locator shows.
async function shows(what, locator, wanted) {
  let found = "";
  for (let tries = 0; tries < 150; tries += 1) {
    const all = await locator.allInnerTexts().catch(() => []);
    found = all.join("\n").replaceAll("\u00a0", " ");
    if (found.includes(wanted)) return;
    await page.waitForTimeout(200);
  }
  throw new Error(`${what}: no \`${wanted}\`; found: ${found}`);
}

async function command(name) {
  await page.keyboard.press("F1");
  await page.locator(".quick-input-box input").fill(`>${name}`);
  await page.locator(".quick-input-list .monaco-list-row").filter({ hasText: name }).first().waitFor();
  await page.keyboard.press("Enter");
}

// Puts the cursor at a line and a column, both from 1.
async function goTo(line, column) {
  await page.keyboard.press("Control+g");
  await page.locator(".quick-input-box input").fill(`:${line}:${column}`);
  await page.keyboard.press("Enter");
  await page.waitForTimeout(300);
}

try {
  await page.goto(`${ADDRESS}/?folder=${FOLDER}`);
  await page.locator(".monaco-workbench").waitFor();
  await page.locator(".explorer-folders-view .monaco-list-row").filter({ hasText: "shop.netpol" }).dblclick();
  await editor().waitFor();
  await page.keyboard.press("Control+b");

  await shows("the status item", page.locator(".statusbar-item"), "netpol");
  await page.locator(".squiggly-error").first().waitFor();
  await shows("the lenses", page.locator(".codelens-decoration"), "1 source · 1 destination");
  await picture("lenses");

  await goTo(2, 38);
  await command("Show or Focus Hover");
  await shows("the hover", page.locator(".monaco-hover"), "db");
  await page.keyboard.press("Escape");

  await goTo(6, 27);
  await page.keyboard.press("Control+.");
  await shows("the quick fixes", page.locator(".action-widget"), "write `payments`");
  await picture("fix");
  await page.keyboard.press("Enter");
  await shows("the text after the fix", page.locator(".view-lines"), "-> payments:443");
  await page.locator(".squiggly-error").first().waitFor({ state: "detached" });

  await goTo(4, 3);
  await command("Show or Focus Hover");
  await shows("the levels of a rule", page.locator(".monaco-hover"), "istio");
  await picture("hover");
  await page.keyboard.press("Escape");

  await page.locator(".codelens-decoration a").filter({ hasText: "YAML" }).first().click();
  await shows("the YAML beside the policy", page.locator(".view-lines"), "kind: NetworkPolicy");
  await picture("yaml");
  await command("View: Close All Editors in Group");

  await page.locator(".codelens-decoration a").filter({ hasText: "evaluate…" }).first().click();
  for (const end of ["shop/web", "data/db:5432"]) {
    await page.locator(".quick-input-box input").fill(end);
    await page.keyboard.press("Enter");
    await page.waitForTimeout(500);
  }
  await shows("the verdict", page.locator(".view-lines"), "allowed");
  await picture("verdict");
  await command("View: Close All Editors in Group");

  await goTo(6, 1);
  await page.keyboard.press("End");
  await page.keyboard.press("Enter");
  await page.keyboard.type("allow egress shop/we", { delay: 20 });
  await page.keyboard.press("Control+Space");
  await shows("the completion", page.locator(".suggest-widget"), "web");
  await picture("completion");
  await page.keyboard.press("Escape");

  console.log("vscode: status, findings, lenses, hover, a fix, the YAML of a rule and completion are right");
} catch (error) {
  if (PICTURES) await page.screenshot({ path: `${PICTURES}/failed.png` }).catch(() => {});
  console.error(`vscode: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
