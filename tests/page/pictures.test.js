// The pictures in docs/: made again with UPDATE_SCREENSHOTS=1. What a page says is kept beside the tests, so that a picture of a page that
// says something else by now is noticed.

import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { open, place, report, root, sample } from "./harness.js";

const PICTURES = [
  { name: "mpi-pair", options: { colorScheme: "light" }, fragment: "" },
  { name: "debugger", options: { colorScheme: "dark" }, fragment: "" },
  { name: "pipe-corruption", options: { colorScheme: "light" }, fragment: "#seq=12" },
];

for (const { name, options, fragment } of PICTURES) {
  test(`${name}: a picture of its page`, async () => {
    const viewport = { width: 1000, height: 800 };
    const { page, check, close } = await open(report(sample(name)), { ...options, viewport, fragment });
    const kept = path.join(root, `docs/report-${name}.png`);
    const file = process.env.UPDATE_SCREENSHOTS ? kept : path.join(place, `${name}.png`);
    await page.screenshot({ path: file, fullPage: true });
    const says = path.join(root, `tests/page/pictures/${name}.txt`);
    // biome-ignore lint/performance/useDomNodeTextContent: what can be seen, and neither scripts nor what is folded
    const text = `${await page.evaluate(() => document.body.innerText)}\n`;
    if (process.env.UPDATE_SCREENSHOTS) writeFileSync(says, text);
    assert.ok(existsSync(kept), `${kept} is missing: UPDATE_SCREENSHOTS=1 makes it`);
    assert.equal(text, readFileSync(says, "utf8"), `${kept} is of an older page: UPDATE_SCREENSHOTS=1 makes it anew; look at it`);
    // Width and height in the head of a PNG.
    const size = (of) => [readFileSync(of).readUInt32BE(16), readFileSync(of).readUInt32BE(20)];
    assert.equal(size(file)[0], size(kept)[0]);
    assert.ok(size(file)[1] > 1_000);
    await check();
    await close();
  });
}
