// One event with all of its fields, its ranges of memory, and its bytes.

import { Bytes, Ranges } from "./columns.js";
import { button, make, table } from "./elements.js";
import { asText, hexdump } from "./hexdump.js";
import { count, grouped, safe, seconds, short } from "./text.js";

/** Characters of a text, and bytes of a payload, before one asks for more. */
const LONG_TEXT = 400;
const BYTES = 16_384;
const IN_HEX = new Set(["flags", "data"]);
/** Columns whose numbers can be addresses. */
const ADDRESSES = new Set(["data", "off_in", "off_out"]);
const TIMES = new Set(["ts_ns", "mono_ns", "dur_ns", "start_ns", "target_start_ns", "until_ns"]);

/** The event. */
export class Detail {
  /**
   * @param {HTMLElement} place
   * @param {import("./events.js").Events} events
   * @param {import("./state.js").Store} store
   * @param {import("./flows.js").Flows} flows
   * @param {() => Uint32Array} rows the rows of the table, in its order
   */
  constructor(place, events, store, flows, rows) {
    this.place = place;
    this.events = events;
    this.store = store;
    this.flows = flows;
    this.rows = rows;
  }

  show() {
    const { seq } = this.store.state;
    if (!seq) return this.place.replaceChildren(make("p", { className: "muted" }, "Choose an event in the table to see all of it."));
    const row = this.events.rowOf(Number(seq));
    if (row < 0) return this.place.replaceChildren(make("p", {}, `There is no row ${seq} in this page.`));
    return this.place.replaceChildren(...this.parts(row, seq));
  }

  /**
   * @param {number} row
   * @param {string} seq
   */
  parts(row, seq) {
    const kind = this.events.kinds.text(row);
    const who = this.events.nameOf(this.events.callers[row]);
    const at = seconds(this.events.times[row]);
    const title = make("h3", { id: "detail-title", tabIndex: -1 }, `Row ${grouped(BigInt(seq))}: ${short(kind, 60)} by ${who} at ${at} s`);
    return [title, this.tools(row), ...this.flowsOf(seq), this.fields(row), ...this.memory(row), ...this.bytes(row)];
  }

  /** @param {number} row */
  tools(row) {
    const step = (/** @type {number} */ by) => () => {
      const rows = this.rows();
      const next = rows[rows.indexOf(row) + by];
      if (next !== undefined) this.store.set({ seq: String(this.events.columns.numbers("seq").exact(next)) });
    };
    const all = [button("Previous", step(-1)), button("Next", step(1)), button("Close", () => this.store.set({ seq: "" }))];
    const process = this.events.processes[this.events.callers[row]];
    if (process) all.push(button("Only this process", () => this.store.set({ process: process.id })));
    return make("p", { className: "tools" }, ...all);
  }

  /** @param {string} seq */
  flowsOf(seq) {
    const found = this.flows.of(Number(seq)).slice(0, 5);
    if (found.length === 0) return [];
    const buttons = found.map(({ flow, number }) =>
      button(`Follow flow ${number}: ${flow.source_text}${flow.way_text} → ${flow.sink_text}`, () =>
        this.store.set({ flow: String(number) }),
      ),
    );
    return [make("p", { className: "tools" }, ...buttons)];
  }

  /** @param {number} row */
  fields(row) {
    const list = make("dl", { className: "fields" });
    const empty = [];
    const { columns } = this.events;
    for (const described of this.events.facts.columns) {
      const single = columns.single(described.name);
      if (single.isNull(row) || this.isRemoved(described.name, row)) {
        empty.push(described.name);
        continue;
      }
      if (described.kind === "iovecs" || described.kind === "bytes") continue;
      const isText = described.kind === "text";
      const value = isText ? longText(columns.text(described.name, row)) : this.number(single.exact(row), described);
      list.append(make("div", {}, make("dt", { title: described.doc }, described.name), make("dd", {}, value)));
    }
    list.append(make("div", {}, make("dt", {}, "null"), make("dd", { className: "muted" }, empty.join(" "))));
    return list;
  }

  /**
   * Whether a number is one that redaction took away with the addresses.
   * @param {string} name
   * @param {number} row
   */
  isRemoved(name, row) {
    const { facts, columns } = this.events;
    if (!facts.without_addresses || !ADDRESSES.has(name)) return false;
    if (name === "data") return columns.single(name).exact(row) === 0n;
    return ["fd_in_kind", "fd_out_kind"].some((kind) => columns.has(kind) && columns.text(kind, row) === "proc_mem");
  }

  /**
   * @param {bigint} value
   * @param {import("./columns.js").Described} described
   */
  number(value, described) {
    if (described.kind === "bool") return value === 1n ? "true" : "false";
    if (described.kind === "micros") return timeOf(value);
    if (IN_HEX.has(described.name)) return `0x${value.toString(16)}`;
    if (TIMES.has(described.name)) return grouped(value);
    return described.unit.startsWith("bytes") ? grouped(value) : String(value);
  }

  /** @param {number} row */
  memory(row) {
    const parts = [];
    for (const [name, whose] of [["local_iov", "the caller's"], ["remote_iov", "the target's"]]) {
      const column = this.events.columns.has(name) ? this.events.columns.column(name) : null;
      if (!(column instanceof Ranges) || column.isNull(row)) continue;
      const ranges = column.ranges(row);
      const isRemoved = this.events.facts.without_addresses;
      const rows = ranges.map(({ base, len }, at) => [String(at), isRemoved ? "removed" : `0x${base.toString(16)}`, grouped(len)]);
      const caption = `${name}: ${count(ranges.length, "range")} in ${whose} memory`;
      parts.push(make("div", { className: "scroll low" }, table(caption, ["Range", "Address", "Bytes"], rows, [true, true, true])));
    }
    return parts;
  }

  /**
   * The ranges that the bytes are of; none where they are not known.
   * @param {number} row
   */
  rangesOfBytes(row) {
    const verdict = this.events.columns.text("iov_verdict", row);
    if (!["", "kernel", "unverified"].includes(verdict)) return [];
    const ranges = (/** @type {string} */ name) => {
      const column = this.events.columns.column(name);
      return column instanceof Ranges && !column.isNull(row) ? column.ranges(row) : [];
    };
    const remote = ranges("remote_iov");
    return remote.some(({ len }) => len > 0n) ? remote : ranges("local_iov");
  }

  /** @param {number} row */
  bytes(row) {
    const column = this.events.columns.has("payload") ? this.events.columns.column("payload") : null;
    const { facts, payload } = this.events;
    if (facts.folded) return [make("p", {}, "This row stands for several events; their bytes are not in this page.")];
    if (!(column instanceof Bytes) || column.isNull(row)) return [];
    if (facts.payload_left_out) {
      return [make("p", {}, `Its ${count(column.lengths.number(row), "byte")} of payload are not in this page.`)];
    }
    if (!payload) return [make("p", {}, "Its payload is being unpacked.")];
    const all = column.bytes(row, payload);
    const box = make("div");
    const draw = (/** @type {number} */ most) => {
      const bytes = all.subarray(0, most);
      const more = all.length - bytes.length;
      box.replaceChildren(
        make("h4", {}, `Payload: ${count(all.length, "byte")}`),
        make("pre", { tabIndex: 0, "aria-label": "Hexdump", className: "hexdump" }, hexdump(bytes, this.rangesOfBytes(row))),
        make("h4", {}, "The same as text"),
        make("pre", { tabIndex: 0, "aria-label": "Payload as text", className: "text" }, asText(bytes)),
        ...(more > 0 ? [button(`Show ${grouped(more)} more bytes`, () => draw(all.length))] : []),
      );
    };
    draw(BYTES);
    return [box];
  }
}

/**
 * A text, cut where it is long; a button shows all of it.
 * @param {string} text
 */
function longText(text) {
  const box = make("span", { className: "value" }, short(text, LONG_TEXT));
  if (text.length > LONG_TEXT) {
    // A text of a megabyte takes a page minutes to lay out, and a field an instant.
    const all = () => make("textarea", { readOnly: true, rows: 12, value: safe(text), "aria-label": "The whole text" });
    box.append(" ", button(`Show all ${grouped(text.length)} characters`, () => box.replaceChildren(all())));
  }
  return box;
}

/** @param {bigint} micros */
function timeOf(micros) {
  const ms = Number(micros / 1000n);
  if (Math.abs(ms) > 8.64e15) return String(micros);
  return new Date(ms).toISOString().replace("Z", `${String(micros % 1000n).padStart(3, "0")}Z`);
}
