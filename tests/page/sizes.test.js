// Large captures: a page of 100,000 events, and pages that must leave something out and say what.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import test from "node:test";
import { go, made, must, number, open, report, rows, selected } from "./harness.js";
import { pairs, pairsOnPage } from "./numbers.test.js";

const EVENTS = 100_000;
const capture = () => made("capture", String(EVENTS));
/** As many as are enough to be too much. */
const SOME = 20_000;
const some = () => made("capture", String(SOME));

/** What the summary of a selection says. */
function summaryOf(file, ...options) {
  return JSON.parse(must("vmtrace", "summary", "-T", "json", ...options, file));
}

test("100,000 events are a page of at most 10 MB, and all of it works", async () => {
  const file = report(capture());
  const { size } = statSync(file);
  assert.ok(size <= 10_000_000, `${size}`);
  const { page, check, close } = await open(file);
  assert.equal(await page.isVisible("#left-out"), false, "nothing is left out");
  assert.equal(await selected(page), EVENTS);
  await go(page, `where=${encodeURIComponent("seq >= 0")}`);
  assert.deepEqual(await pairsOnPage(page), pairs(summaryOf(capture())));
  await go(page, `where=${encodeURIComponent("payload_len = 0")}`);
  assert.equal(await selected(page), summaryOf(capture(), "--where", "payload_len = 0").selected);
  await go(page, "sort=-seq&seq=77777");
  assert.equal(await page.textContent(".row.active .seq"), "77,777");
  assert.ok((await page.textContent("#detail pre.text")).includes("password=hunter2"));
  await page.focus(".grid");
  await page.keyboard.press("Home");
  assert.equal(await page.textContent(".row.active .seq"), "99,999");
  await page.keyboard.press("End");
  assert.equal(await page.textContent(".row.active .seq"), "0");
  await check();
  await close();
});

test("payloads are left out first, and the page says how many", async () => {
  const file = report(some(), "--max-size", "700K");
  assert.ok(statSync(file).size <= 700 << 10);
  const { page, check, close } = await open(file);
  const said = await page.textContent("#left-out");
  const bytes = summaryOf(some(), "--where", "payload is not null").selected;
  assert.match(said, new RegExp(`^The payloads of ${bytes.toLocaleString("en-US")} events \\(.* MiB\\) are left out\\.`));
  assert.equal(await selected(page), SOME);
  await go(page, `where=${encodeURIComponent("payload is not null")}`);
  assert.equal(await selected(page), bytes);
  const [first] = await rows(page);
  await go(page, `seq=${number(first.seq)}`);
  assert.match(await page.textContent("#detail"), /of payload are not in this page/);
  await check();
  await close();
});

test("then alike events are folded, and no event is forgotten", async () => {
  const file = report(some(), "--max-size", "250K");
  assert.ok(statSync(file).size <= 250 << 10);
  const { page, check, close } = await open(file);
  const said = await page.textContent("#left-out");
  assert.match(said, /Alike events within .* are folded into one row: [\d,]+ rows stand for 20,000 events\./);
  assert.equal(await selected(page), SOME);
  const summary = summaryOf(some());
  assert.deepEqual(await pairsOnPage(page), pairs(summary));
  // Of a selection the rows are counted, and not the summary.
  const { pid } = summary.pairs[0].caller;
  await go(page, `where=${encodeURIComponent(`pid = ${pid}`)}`);
  assert.deepEqual(await pairsOnPage(page), pairs(summaryOf(some(), "--where", `pid = ${pid}`)));
  await go(page, `where=${encodeURIComponent("bytes > 5")}`);
  assert.match(await page.textContent("#where-problem"), /bytes is a sum in this page/);
  await go(page, `where=${encodeURIComponent("local_iov is null")}`);
  assert.match(await page.textContent("#where-problem"), /unknown column "local_iov" in this page/);
  await check();
  await close();
});
