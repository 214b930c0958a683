// Columns are read one value at a time, or unpacked: both give the same.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { gunzipSync } from "node:zlib";
import { made, report, sample } from "./harness.js";
import { modules } from "./modules.js";

const { Bytes, Columns, Ranges, Texts } = await modules("columns.js");
const { Detail } = await modules("detail.js");

/** The facts and the columns of a page. */
function read(file) {
  const html = readFileSync(file, "utf8");
  const stream = (name) => {
    const parts = [...html.matchAll(new RegExp(`<script[^>]* data-stream="${name}"[^>]*>([^<]*)</script>`, "g"))];
    return gunzipSync(Buffer.concat(parts.map((part) => Buffer.from(part[1], "base64"))));
  };
  const facts = JSON.parse(stream("facts").toString("utf8"));
  return { facts, columns: new Columns(facts.columns, new Uint8Array(stream("events"))) };
}

/** A value of an unpacked column, and what one value at a time must be. */
function unpacked(column, row) {
  if (column.isNull(row)) return null;
  if (column instanceof Texts) return column.text(row);
  if (column instanceof Bytes) return BigInt(column.lengths.number(row));
  return column instanceof Ranges ? BigInt(column.ranges(row).length) : column.exact(row);
}

for (const [name, capture, ...options] of [
  ["mpi-pair", () => sample("mpi-pair")],
  ["hostile", () => made("hostile")],
  ["20,000 events", () => made("capture", "20000")],
  ["folded", () => made("capture", "20000"), "--max-size", "250K"],
]) {
  test(`${name}: a value by itself is that of the unpacked column`, () => {
    const { facts, columns } = read(report(capture(), ...options));
    assert.equal(facts.rows, columns.rows);
    for (const { name: column, kind } of facts.columns) {
      const whole = columns.column(column);
      const single = columns.single(column);
      for (let row = 0; row < columns.rows; row += 1 + (row >> 6)) {
        const value = kind === "text" ? columns.text(column, row) : single.exact(row);
        assert.equal(single.isNull(row) ? null : value, unpacked(whole, row), `${column} of row ${row}`);
      }
    }
  });
}

test("an event that is looked at unpacks no column", (t) => {
  const { facts, columns } = read(report(sample("mpi-pair")));
  const names = [];
  const element = () => ({ append() {}, setAttribute() {} });
  t.after(() => delete globalThis.document);
  globalThis.document = { createElement: element };
  const detail = new Detail(element(), { facts, columns });
  const number = detail.number.bind(detail);
  detail.number = (value, described) => {
    names.push(described.name);
    return number(value, described);
  };
  for (const row of [0, columns.rows - 1]) detail.fields(row);
  assert.ok(names.includes("pid") && names.includes("ts"), `${names}`);
  assert.deepEqual([...columns.unpacked.keys()], []);
});
