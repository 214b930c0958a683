// Large captures: a page of 100,000 events, and pages that must leave something out and say what.

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import test from "node:test";
import { go, made, must, number, open, report, rows, selected } from "./harness.js";
import { pairs, pairsOnPage } from "./numbers.test.js";

const EVENTS = 100_000;
const capture = () => made("capture", String(EVENTS));

test("100,000 events are a page of at most 10 MB, and all of it works", async () => {
  const file = report(capture());
  const { size } = statSync(file);
  assert.ok(size <= 10_000_000, `${size}`);
  const { page, check, close } = await open(file);
  assert.equal(await page.isVisible("#left-out"), false, "nothing is left out");
  assert.equal(await selected(page), EVENTS);
  const summary = JSON.parse(must("vmtrace", "summary", "-T", "json", capture()));
  await go(page, `where=${encodeURIComponent("seq >= 0")}`);
  assert.equal((await pairsOnPage(page)).length, Math.min(200, pairs(summary).length));
  await go(page, `where=${encodeURIComponent("payload_len = 0")}`);
  const none = must("vmtrace", "replay", "-T", "jsonl", "--where", "payload_len = 0", capture()).trim().split("\n").length;
  assert.equal(await selected(page), none);
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
  const file = report(capture(), "--max-size", "3M");
  assert.ok(statSync(file).size <= 3 << 20);
  const { page, check, close } = await open(file);
  const said = await page.textContent("#left-out");
  const bytes = must("vmtrace", "replay", "-T", "jsonl", "--where", "payload is not null", capture()).trim().split("\n").length;
  assert.match(said, new RegExp(`^The payloads of ${bytes.toLocaleString("en-US")} events \\(.* MiB\\) are left out\\.`));
  assert.equal(await selected(page), EVENTS);
  await go(page, `where=${encodeURIComponent("payload is not null")}`);
  assert.equal(await selected(page), bytes);
  const [first] = await rows(page);
  await go(page, `seq=${number(first.seq)}`);
  assert.match(await page.textContent("#detail"), /of payload are not in this page/);
  await check();
  await close();
});

test("then alike events are folded, and no event is forgotten", async () => {
  const file = report(capture(), "--max-size", "400K");
  assert.ok(statSync(file).size <= 400 << 10);
  const { page, check, close } = await open(file);
  const said = await page.textContent("#left-out");
  assert.match(said, /Alike events within .* are folded into one row: [\d,]+ rows stand for 100,000 events\./);
  assert.equal(await selected(page), EVENTS);
  const summary = JSON.parse(must("vmtrace", "summary", "-T", "json", capture()));
  // Most of the pairs, and each by its own rows.
  assert.deepEqual((await pairsOnPage(page)).length, Math.min(200, pairs(summary).length));
  const { pid } = summary.pairs[0].caller;
  await go(page, `where=${encodeURIComponent(`pid = ${pid}`)}`);
  const some = JSON.parse(must("vmtrace", "summary", "-T", "json", "--where", `pid = ${pid}`, capture()));
  assert.deepEqual(await pairsOnPage(page), pairs(some));
  await go(page, `where=${encodeURIComponent("bytes > 5")}`);
  assert.match(await page.textContent("#where-problem"), /bytes is a sum in this page/);
  await go(page, `where=${encodeURIComponent("local_iov is null")}`);
  assert.match(await page.textContent("#where-problem"), /unknown column "local_iov" in this page/);
  await check();
  await close();
});
