// The numbers on the page are those of the commands.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { cells, go, must, number, open, place, report, root, rows, sample, selected } from "./harness.js";

const samples = readdirSync(path.join(root, "samples"), { withFileTypes: true }).filter((entry) => entry.isDirectory());

/** A process as the page names it. */
function name(who) {
  if (!who) return "-";
  return who.comm ? `${who.comm}[${who.pid}]` : `pid ${who.pid}`;
}

/** The pairs of a summary as the page lists them; names may have changed meanwhile, so only those of targets and pids. */
export function pairs(summary) {
  const all = [...summary.pairs, ...summary.without_target].map((pair) =>
    [pair.caller.pid, pair.target ? pair.target.pid : "-", pair.calls, pair.failures, pair.transfers, pair.bytes_in, pair.bytes_out].join(" "),
  );
  return all.sort();
}

/** The pairs that the page lists, in the same form. */
export async function pairsOnPage(page) {
  const pid = (text) => /\[(\d+)\]$|(?:^|:)pid (\d+)$/.exec(text)?.slice(1).find(Boolean) ?? text;
  const all = await cells(page, "#pairs-table");
  return all.map(([caller, target, ...numbers]) => [pid(caller), pid(target), ...numbers.map(number)].join(" ")).sort();
}

/** All samples in one capture, which is of several hosts. */
function merged() {
  const all = path.join(place, "all.parquet");
  must("vmtrace", "merge", ...samples.map(({ name }) => sample(name)), "-o", all);
  return all;
}

for (const which of [...samples.map(({ name }) => name), "several hosts"]) {
  test(`${which}: sentences, facts, events and pairs`, async () => {
    const capture = which === "several hosts" ? merged() : sample(which);
    const { page, check, close } = await open(report(capture));
    const summary = JSON.parse(must("vmtrace", "summary", "-T", "json", "--top", "20", capture));
    const all = JSON.parse(must("vmtrace", "summary", "-T", "json", capture));
    const info = JSON.parse(must("vmtrace", "info", "-T", "json", capture));
    assert.deepEqual(await page.$$eval("#sentences p", (all) => all.map((p) => p.textContent)), summary.sentences);
    const facts = await page.textContent("dl.facts");
    for (const fact of [info.root, info.manifest.host.hostname, info.manifest.host.release, info.start_utc, info.end_utc]) {
      assert.ok(facts.includes(fact), fact);
    }
    const { kernel, unverified, conflict, unreadable, unknown } = all.arguments;
    const isBad = all.losses.length > 0 || unverified + conflict + unreadable + unknown > 0 || !all.balances || all.unknown > 0;
    assert.equal(await page.isVisible("#warnings"), isBad, `${kernel} kernel`);

    const events = must("vmtrace", "replay", "-T", "jsonl", capture).trim().split("\n").map((line) => JSON.parse(line));
    assert.equal(await selected(page), events.filter((event) => event.event !== "lost").length);
    const shown = await rows(page);
    assert.deepEqual(shown.map((row) => number(row.seq)), events.map((event) => event.seq));
    for (const [at, event] of events.entries()) {
      const row = shown[at];
      assert.equal(row.event, event.event);
      assert.equal(row.bytes, event.bytes === undefined ? "" : event.bytes.toLocaleString("en-US"));
      assert.equal(row.time, (Number(BigInt(event.mono_ns) - BigInt(info.manifest.start.monotonic_ns)) / 1e9).toFixed(9));
      const host = event.host ? `${event.host}:` : "";
      if (event.event !== "lost") assert.equal(row.caller, `${host}${event.comm}[${event.pid}]`);
      assert.equal(row.target === "-", event.target_pid === undefined);
      if (event.errno) assert.equal(row.errno, event.errno);
    }
    assert.deepEqual(await pairsOnPage(page), pairs(all));
    await check();
    await close();
  });
}

test("the numbers of a selection are those of the same selection of the commands", async () => {
  const capture = sample("mpi-pair");
  const { page, check, close } = await open(report(capture));
  const { pairs: some } = JSON.parse(must("vmtrace", "summary", "-T", "json", capture));
  const { pid } = some[0].caller;
  const condition = `pid = ${pid} and errno is null`;
  await go(page, `where=${encodeURIComponent(condition)}`);
  const summary = JSON.parse(must("vmtrace", "summary", "-T", "json", "--where", condition, capture));
  assert.deepEqual(await pairsOnPage(page), pairs(summary));
  assert.ok(name(some[0].caller).includes(String(pid)));
  await check();
  await close();
});

test("a field of every event is what the capture has", async () => {
  const capture = sample("pipe-corruption");
  const { page, check, close } = await open(report(capture));
  const events = must("vmtrace", "replay", "-T", "jsonl", capture).trim().split("\n").map((line) => JSON.parse(line));
  for (const event of events.slice(0, 60)) {
    await go(page, `seq=${event.seq}`);
    const fields = Object.fromEntries(
      await page.$$eval("#detail dl.fields > div", (all) => all.map((div) => [div.firstChild.textContent, div.lastChild.textContent])),
    );
    for (const [column, value] of Object.entries(event)) {
      if (column.endsWith("_text")) continue;
      if (Array.isArray(value)) {
        const ranges = await page.$$eval("#detail table", (all) => all.map((table) => table.textContent));
        const wanted = `0x${BigInt(value[0]?.base ?? 0).toString(16)}`;
        if (value.length > 0) assert.ok(ranges.some((text) => text.startsWith(column) && text.includes(wanted)), `${event.seq} ${column}`);
      } else if (column === "payload") {
        const dump = await page.textContent("#detail pre.hexdump");
        const digits = dump.split("\n").map((line) => /^\s*\S+ {2}(.*?) \|/.exec(line)[1].replaceAll(" ", ""));
        assert.equal(digits.join(""), value, `${event.seq}`);
      } else {
        const shown = fields[column];
        const plain = /^-?[\d,]+$/.test(shown) ? shown.replaceAll(",", "") : shown;
        const exact = event[`${column}_text`] ?? value;
        const wanted = column === "flags" || column === "data" ? `0x${BigInt(exact).toString(16)}` : String(exact);
        // JSON.parse rounds large numbers, which have a text beside them.
        assert.equal(plain, wanted.replaceAll("\\", "\\\\"), `${event.seq} ${column}`);
      }
    }
  }
  await check();
  await close();
});

/** What somebody asks `vmtrace query` who wants the numbers of the page. */
const EVENTS = "SELECT count(*) AS events FROM events WHERE event <> 'lost'";
const LIFE = "'process_fork', 'process_exec', 'process_exit', 'process_snapshot', 'lost'";
const moved = (way) => `sum(CASE WHEN direction = '${way}' AND errno IS NULL THEN bytes ELSE 0 END)`;
const PAIRS = `SELECT pid, coalesce(CAST(target_pid AS VARCHAR), '-') AS target, count(*) AS calls, count(errno) AS failures,
  ${moved("in")} AS bytes_in, ${moved("out")} AS bytes_out FROM events WHERE event NOT IN (${LIFE}) GROUP BY pid, target_pid`;

for (const { name: which } of samples) {
  test(`${which}: the numbers are those of vmtrace query`, async () => {
    const capture = sample(which);
    const ask = (sql) => must("vmtrace", "query", "-T", "jsonl", capture, sql).trim().split("\n").map((line) => JSON.parse(line));
    const { page, check, close } = await open(report(capture));
    assert.equal(await selected(page), ask(EVENTS)[0].events);
    const wanted = ask(PAIRS).map(({ pid, target, calls, failures, bytes_in, bytes_out }) => [pid, target, calls, failures, bytes_in, bytes_out].join(" "));
    // Transfers, the fifth number, are a notion of the summary.
    const shown = (await pairsOnPage(page)).map((pair) => pair.split(" ").filter((_, at) => at !== 4).join(" "));
    assert.deepEqual(shown.sort(), wanted.sort());
    await check();
    await close();
  });
}
