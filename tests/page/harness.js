// What the tests share: reports made by vmtrace, and pages that fail where they say or request anything.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const packages = createRequire(`${process.env.VMTRACE_PAGE_PACKAGES}/`);
const { chromium } = packages("playwright-core");
export const root = fileURLToPath(new URL("../../", import.meta.url));
const target = process.env.VMTRACE_TARGET ?? path.join(root, "target/debug");
/** A directory for what the tests make. */
export const place = mkdtempSync(path.join(tmpdir(), "vmtrace-page-"));
process.on("exit", () => rmSync(place, { recursive: true, force: true }));

/** Runs a program of the project; its status, stdout and stderr. */
export function run(program, ...args) {
  const ran = spawnSync(path.join(target, program), args, { encoding: "utf8", maxBuffer: 1 << 30 });
  assert.equal(ran.error, undefined);
  return { status: ran.status, out: ran.stdout, err: ran.stderr };
}

/** The same, where it must succeed. */
export function must(program, ...args) {
  const ran = run(program, ...args);
  assert.equal(ran.status, 0, `${program} ${args.join(" ")}: ${ran.err}`);
  return ran.out;
}

/** A sample. */
export function sample(name) {
  return path.join(root, `samples/${name}/${name}.parquet`);
}

/** A capture by one of the examples, made once. */
export function made(example, ...args) {
  const file = path.join(place, `${[example, ...args].join("-")}.parquet`);
  if (!existsSync(file)) must(`examples/${example}`, file, ...args);
  return file;
}

let reports = 0;
/** The report of a capture. */
export function report(capture, ...options) {
  reports += 1;
  const file = path.join(place, `report-${reports}.html`);
  must("vmtrace", "report", capture, "-o", file, ...options);
  return file;
}

let browser;
/** The browser, started once. Root needs --no-sandbox. */
async function started() {
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  browser ??= await chromium.launch({ executablePath: process.env.VMTRACE_CHROMIUM ?? "/usr/bin/chromium", args });
  return browser;
}

export async function close() {
  await browser?.close();
}

/** Opens a report; `check` fails if the page said anything, asked for anything, or a script of the capture ran. */
export async function open(file, { fragment = "", ready = true, ...options } = {}) {
  const context = await (await started()).newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const address = pathToFileURL(file).href;
  const heard = [];
  page.on("console", (message) => heard.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => heard.push(`error: ${error.stack}`));
  page.on("dialog", (dialog) => {
    heard.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  context.on("request", (request) => {
    if (request.url().split("#")[0] !== address) heard.push(`request: ${request.url()}`);
  });
  context.on("page", (other) => heard.push(`window: ${other.url()}`));
  await page.goto(address + fragment);
  if (ready) await page.waitForSelector("html[data-ready=all]", { state: "attached" });
  const check = async () => {
    assert.deepEqual(heard, []);
    assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
  };
  return { page, check, heard, close: () => context.close() };
}

/** Goes to another fragment, and waits until the page has followed. */
export async function go(page, fragment) {
  await page.evaluate(
    (hash) =>
      new Promise((done) => {
        if (location.hash.replace(/^#/, "") === hash.slice(1)) return done();
        addEventListener("hashchange", () => done(), { once: true });
        location.hash = hash;
        return undefined;
      }),
    `#${fragment}`,
  );
}

/** The rows of the table: the texts of their cells by column. Meant for small captures: all become elements. */
export async function rows(page) {
  return page.evaluate(() => {
    const grid = document.querySelector(".grid");
    const before = grid.style.height;
    grid.style.height = "60000px";
    grid.dispatchEvent(new Event("scroll"));
    const cell = (element) => [element.classList[1], element.textContent];
    const all = [...grid.querySelectorAll(".layer .row")].map((row) => Object.fromEntries([...row.children].map(cell)));
    grid.style.height = before;
    grid.dispatchEvent(new Event("scroll"));
    return all;
  });
}

/** Opens everything that is folded. */
export async function openAll(page) {
  await page.evaluate(async () => {
    const toggled = [...document.querySelectorAll("details:not([open])")].map((details) => {
      const done = new Promise((resolve) => details.addEventListener("toggle", resolve, { once: true }));
      details.open = true;
      return done;
    });
    await Promise.all(toggled);
  });
}

/** The cells of a table, row by row. */
export function cells(page, selector) {
  return page.$$eval(`${selector} tbody tr`, (all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
}

/** `1,234` as a number. */
export function number(text) {
  return Number(text.replaceAll(",", ""));
}

/** How many events the page says are selected. */
export async function selected(page) {
  return number((await page.textContent("#status")).split(" ")[0]);
}
