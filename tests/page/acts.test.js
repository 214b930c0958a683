// What one does on the page: filter, brush, zoom, choose, follow, open by a link; by pointer and by keys.

import assert from "node:assert/strict";
import test from "node:test";
import { go, must, number, open, report, rows, sample, selected } from "./harness.js";

/** `[4211]` of a process as the page names it. */
function pid(name) {
  return /\[\d+\]$/.exec(name)?.[0];
}

/** Waits until the page's address has what is wanted in its fragment. */
async function awaitFragment(page, pattern) {
  await page.waitForFunction((source) => new RegExp(source).test(decodeURIComponent(location.hash)), pattern);
}

/** Waits until another number of events is selected. */
async function awaitOther(page, before) {
  await page.waitForFunction(
    (old) => Number(document.querySelector("#status").textContent.split(" ")[0].replaceAll(",", "")) !== old,
    before,
  );
}

test("typing a condition filters everything while one types", async () => {
  const { page, check, close } = await open(report(sample("failing-caller")));
  const all = await selected(page);
  await page.fill("#where", "errno = EPERM");
  await awaitOther(page, all);
  await awaitFragment(page, "where=errno=EPERM|where=errno\\+=\\+EPERM");
  const some = await selected(page);
  assert.ok(some > 0 && some < all);
  assert.ok((await rows(page)).every((row) => row.errno === "EPERM"));
  const pairs = await page.$$eval("#pairs-table tbody tr", (all) => all.map((row) => [...row.children].map((cell) => cell.textContent)));
  assert.ok(pairs.length > 0 && pairs.every((cells) => cells[2] === cells[3]), "every call of these pairs failed");
  await page.fill("#where", "errno = ");
  await page.waitForSelector("#where[aria-invalid=true]");
  assert.equal(await selected(page), some, "what was selected stays");
  await page.click("button:text-is('Clear all')");
  await awaitOther(page, some);
  assert.equal(await selected(page), all);
  assert.equal(await page.inputValue("#where"), "");
  await check();
  await close();
});

test("the brush selects a time, by pointer and by keys", async () => {
  const { page, check, close } = await open(report(sample("debugger")));
  const all = await selected(page);
  await page.$eval("#overview canvas", (canvas) => canvas.scrollIntoView({ block: "center" }));
  const box = await (await page.$("#overview canvas")).boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + 20);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 20);
  await page.mouse.move(box.x + box.width * 0.6, box.y + 20);
  await page.mouse.up();
  await awaitFragment(page, "time=");
  const some = await selected(page);
  assert.ok(some < all);
  const [from, to] = /time=(-?\d+)\.\.(-?\d+)/.exec(await page.evaluate(() => location.hash)).slice(1).map(Number);
  const times = (await rows(page)).map((row) => Math.round(Number(row.time) * 1e9));
  assert.ok(times.every((time) => time >= from && time <= to));
  await page.focus("#overview .chart");
  await page.keyboard.press("Escape");
  await awaitOther(page, some);
  assert.equal(await selected(page), all);
  await page.keyboard.press("+");
  await awaitFragment(page, "time=");
  const before = await page.evaluate(() => location.hash);
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction((old) => location.hash !== old, before);
  await check();
  await close();
});

test("the lanes zoom, and names and marks can be chosen", async () => {
  const { page, check, close } = await open(report(sample("mpi-pair")));
  const all = await selected(page);
  await page.click("button:text-is('Zoom in')");
  await awaitFragment(page, "zoom=");
  const [from, to] = /zoom=(-?\d+)\.\.(-?\d+)/.exec(await page.evaluate(() => location.hash)).slice(1).map(Number);
  await page.click("button:text-is('Later')");
  await page.waitForFunction((old) => !location.hash.includes(old), `zoom=${from}..${to}`);
  const later = /zoom=(-?\d+)\.\.(-?\d+)/.exec(await page.evaluate(() => location.hash)).slice(1).map(Number);
  assert.ok(later[0] > from && Math.abs(later[1] - later[0] - (to - from)) <= 2, `${from}..${to} ${later}`);
  await page.click("button:text-is('All of the time')");
  await page.waitForFunction(() => !location.hash.includes("zoom="));
  await page.focus("#lanes .chart");
  await page.keyboard.press("ArrowDown");
  assert.match(await page.textContent("#status"), /: \d+ events?, sent .* received /);
  await page.keyboard.press("Enter");
  await awaitFragment(page, "process=\\d+");
  const pid = Number(/process=(\d+)/.exec(await page.evaluate(() => location.hash))[1]);
  const some = await rows(page);
  assert.ok(some.length > 0 && some.length <= all);
  assert.ok(some.every((row) => row.caller.endsWith(`[${pid}]`) || row.target.endsWith(`[${pid}]`)));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !location.hash.includes("process="));
  // A mark in a lane is an event.
  await page.$eval("#lanes canvas", (canvas) => canvas.scrollIntoView({ block: "center" }));
  const box = await (await page.$("#lanes canvas")).boundingBox();
  for (let part = 0.02; part < 1 && !(await page.evaluate(() => document.querySelector("#detail-title"))); part += 0.02) {
    await page.mouse.click(box.x + 190 + (box.width - 198) * part, box.y + 13);
  }
  await awaitFragment(page, "seq=\\d+");
  await check();
  await close();
});

test("a pair selects its events everywhere", async () => {
  const { page, check, close } = await open(report(sample("mpi-pair")));
  const all = await selected(page);
  const first = await page.$$eval("#pairs-table tbody tr:first-child > *", (cells) => cells.map((cell) => cell.textContent));
  await page.click("#pairs-table tbody tr:first-child button");
  await awaitFragment(page, "pair=");
  const some = await rows(page);
  assert.equal(some.length, number(first[2]));
  assert.ok(some.length < all && some.every((row) => pid(row.caller) === pid(first[0]) && pid(row.target) === pid(first[1])));
  assert.equal((await page.$$("#pairs-table tbody tr")).length, 1);
  await page.click(".chip button");
  await page.waitForFunction(() => !location.hash.includes("pair="));
  assert.equal(await selected(page), all);
  await check();
  await close();
});

test("a flow is followed: its calls are selected", async () => {
  const capture = sample("pipe-relay");
  const { page, check, close } = await open(report(capture));
  const flows = must("vmtrace", "flows", "-T", "json", capture).trim().split("\n").map((line) => JSON.parse(line));
  const listed = await page.$$eval("#flows tbody tr", (all) => all.length);
  assert.equal(listed, Math.min(flows.length, 50));
  for (const at of [0, flows.length - 1].filter((at) => at < 50)) {
    const flow = flows[at];
    const wanted = [flow.source, ...flow.pipes.map((pipe) => pipe.moved_by), flow.sink].map((end) => end?.seq).filter((seq) => seq !== null && seq !== undefined);
    await go(page, "");
    await page.click(`#flows tbody tr:nth-child(${at + 1}) button`);
    await awaitFragment(page, `flow=${at + 1}`);
    const shown = (await rows(page)).map((row) => number(row.seq));
    assert.deepEqual(shown, [...new Set(wanted)].sort((a, b) => a - b));
    // The event itself leads to its flow.
    await go(page, `seq=${wanted[0]}`);
    assert.ok((await page.textContent("#detail")).includes(`Follow flow ${at + 1}`));
  }
  await check();
  await close();
});

test("a link opens one event, in its selection and order", async () => {
  const file = report(sample("pipe-corruption"));
  const { page, check, close } = await open(file, { fragment: "#where=bytes+%3E+0&sort=-bytes&seq=12" });
  assert.match(await page.textContent("#detail-title"), /^Row 12: /);
  const shown = await rows(page);
  const bytes = shown.map((row) => number(row.bytes));
  assert.ok(bytes.length > 2 && bytes.every((value, at) => at === 0 || bytes[at - 1] >= value));
  assert.equal(await page.inputValue("#where"), "bytes > 0");
  assert.equal(await page.getAttribute(".row.active", "aria-selected"), "true");
  assert.equal((await page.textContent(".row.active .seq")), "12");
  await go(page, "seq=999999999");
  assert.match(await page.textContent("#detail"), /There is no row 999999999 in this page/);
  for (const odd of ["time=5..1&zoom=x&flow=-1&seq=a&sort=<b>&process=nobody&pair=a>b", "flow=9999", "%", "where=%00"]) {
    await go(page, odd);
    assert.ok(await page.isVisible("#status"));
  }
  await check();
  await close();
});

test("the table sorts, and goes by keys", async () => {
  const { page, check, close } = await open(report(sample("debugger")));
  await page.click(".head .bytes button");
  await page.waitForSelector(".head .bytes[aria-sort=ascending]");
  await page.click(".head .bytes button");
  await page.waitForSelector(".head .bytes[aria-sort=descending]");
  const bytes = (await rows(page)).map((row) => number(row.bytes || "-1"));
  assert.deepEqual(bytes, [...bytes].sort((a, b) => b - a));
  await page.click(".head .bytes button");
  await page.waitForSelector(".head .bytes[aria-sort=none]");
  await page.focus(".grid");
  await page.keyboard.press("Home");
  const all = await rows(page);
  for (const [key, wanted] of [["ArrowDown", 1], ["ArrowDown", 2], ["ArrowUp", 1], ["End", all.length - 1], ["Home", 0]]) {
    await page.keyboard.press(key);
    assert.equal(await page.textContent(".row.active .seq"), all[wanted].seq, key);
    assert.equal(await page.getAttribute(".grid", "aria-activedescendant"), `row-${wanted}`);
    assert.match(await page.textContent("#detail-title"), new RegExp(`^Row ${all[wanted].seq}:`));
  }
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "detail-title");
  await check();
  await close();
});
