// A capture from which redaction took the addresses: no address is shown, since none is known.

import assert from "node:assert/strict";
import path from "node:path";
import test from "node:test";
import { go, must, number, open, place, report, rows, sample } from "./harness.js";

/** The capture of a sample, redacted. */
function redacted(name, level) {
  const file = path.join(place, `${name}-${level}.parquet`);
  must("vmtrace", "redact", sample(name), "-o", file, "--level", level, "--force");
  return file;
}

/** What the page says of each event, by row. */
async function details(page) {
  const all = new Map();
  for (const { seq } of await rows(page)) {
    await go(page, `seq=${number(seq)}`);
    all.set(number(seq), await page.textContent("#detail"));
  }
  return all;
}

for (const name of ["mem-editor", "debugger"]) {
  test(`${name} without addresses: their place says so`, async () => {
    const { page, check, close } = await open(report(redacted(name, "metadata")));
    assert.match(await page.textContent("#sentences"), /addresses are removed/);
    const all = [...(await details(page)).values()];
    assert.ok(all.some((text) => /AddressBytes0removed\d/.test(text)), all.at(-1));
    // Flags stay, and can be 0.
    for (const text of all) assert.doesNotMatch(text.replace("flags0x0", ""), /0x0(?![0-9a-f])/);
    await check();
    await close();
  });
}

test("where addresses are only moved, they are shown", async () => {
  const { page, check, close } = await open(report(redacted("mem-editor", "share")));
  const all = [...(await details(page)).values()];
  assert.ok(all.some((text) => /AddressBytes00x[0-9a-f]+/.test(text)), all.at(-1));
  await check();
  await close();
});
