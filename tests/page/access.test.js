// The page without a pointer, for screen readers, in the dark, and on paper.

import assert from "node:assert/strict";
import test from "node:test";
import { open, openAll, report, sample } from "./harness.js";

test("everything that can be used has a name, and charts have a text beside them", async () => {
  const { page, check, close } = await open(report(sample("pipe-relay")));
  await openAll(page);
  const nameless = await page.$$eval("button, input, [tabindex], canvas, [role=grid], [role=region]", (all) =>
    all
      .filter((one) => {
        const label = one.getAttribute("aria-label") ?? "";
        const labelled = one.id ? document.querySelector(`label[for="${one.id}"]`) : null;
        return !label.trim() && !labelled && !one.textContent.trim();
      })
      .map((one) => one.outerHTML.slice(0, 80)),
  );
  assert.deepEqual(nameless, []);
  assert.ok((await page.$$("#overview details table tbody tr")).length === 20);
  assert.ok((await page.$$("#lanes details table tbody tr")).length > 1);
  assert.ok((await page.$$("#pairs details table tbody tr")).length > 0);
  assert.equal(await page.$$eval("h1", (all) => all.length), 1);
  const roles = await page.$$eval(".layer .row", (all) => all.every((row) => row.getAttribute("role") === "row" && row.getAttribute("aria-rowindex")));
  assert.ok(roles);
  await check();
  await close();
});

test("the whole page can be reached by the tab key, and shows where one is", async () => {
  const { page, check, close } = await open(report(sample("mpi-pair")));
  const reached = new Set();
  for (let press = 0; press < 80; press += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const active = document.activeElement;
      const outline = getComputedStyle(active).outlineStyle;
      return active === document.body ? "" : `${active.id || active.className || active.textContent} ${outline}`;
    });
    if (at) assert.ok(!at.endsWith(" none"), at);
    reached.add(at.split(" ")[0]);
  }
  for (const wanted of ["where", "chart", "grid", "link"]) assert.ok(reached.has(wanted), `${wanted}: ${[...reached].join(", ")}`);
  await check();
  await close();
});

const TEXTS = [
  ["text", "paper"], ["muted", "paper"], ["accent", "paper"], ["bad", "paper"], ["text", "raised"], ["text", "faint"],
  ["text", "bad-paper"], ["bad", "bad-paper"], ["text", "note-paper"], ["bad", "faint"], ["accent", "raised"],
];

for (const colorScheme of ["light", "dark"]) {
  test(`texts have the contrast of AA: ${colorScheme}`, async () => {
    const { page, check, close } = await open(report(sample("mpi-pair")), { colorScheme });
    const ratios = await page.evaluate((pairs) => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const hex = style.getPropertyValue(`--${name}`).trim();
        const parts = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255);
        const [r, g, b] = parts.map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      return pairs.map(([text, paper]) => {
        const [dark, bright] = [light(text), light(paper)].sort((a, b) => a - b);
        return [text, paper, (bright + 0.05) / (dark + 0.05)];
      });
    }, TEXTS);
    for (const [text, paper, ratio] of ratios) assert.ok(ratio >= 4.5, `${text} on ${paper}: ${ratio.toFixed(2)}`);
    const body = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    assert.equal(body === "rgb(255, 255, 255)", colorScheme === "light");
    await check();
    await close();
  });
}

test("on paper there are the summary, the recording and the pairs", async () => {
  const { page, check, close } = await open(report(sample("failing-caller")));
  await page.emulateMedia({ media: "print" });
  for (const seen of ["#sentences", "dl.facts", "#pairs-table"]) assert.ok(await page.isVisible(seen), seen);
  for (const unseen of ["#filter", "#overview", "#lanes", "#table", "#detail"]) assert.ok(!(await page.isVisible(unseen)), unseen);
  assert.ok((await page.pdf({ format: "A4" })).length > 1_000);
  await check();
  await close();
});

test("without scripts the summary stands there", async () => {
  const { page, check, close } = await open(report(sample("mpi-pair")), { ready: false, javaScriptEnabled: false });
  assert.ok((await page.locator("#sentences p").count()) > 0);
  assert.match(await page.locator("noscript").first().textContent(), /need JavaScript/);
  await check();
  await close();
});
