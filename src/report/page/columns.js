// The columns of the events. Each is unpacked when it is first looked at.

import { Cursor, readPart, Numbers } from "./numbers.js";

/**
 * A column as src/report/columns.rs describes it.
 * @typedef {object} Described
 * @property {string} name
 * @property {"signed"|"unsigned"|"bool"|"micros"|"text"|"iovecs"|"bytes"} kind
 * @property {boolean} nullable
 * @property {string} unit
 * @property {string} origin
 * @property {boolean} toctou
 * @property {string} doc
 * @property {string|null} relative
 * @property {number} divisor
 */

/**
 * Where the bytes of a column stand in each block.
 * @typedef {{ at: number, rows: number }} Slice
 */

/** A decoder that keeps a U+FEFF in front: a name with it is another name. */
function utf8() {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

/** A column of texts: for each row the place of its text, from 1; 0 is null. */
export class Texts {
  /**
   * @param {Cursor} cursor
   * @param {Slice[]} slices
   */
  constructor(cursor, slices) {
    const decoder = utf8();
    /** @type {string[]} */
    this.words = [];
    const parts = slices.map((slice) => {
      cursor.at = slice.at;
      for (let fresh = cursor.u32(); fresh > 0; fresh -= 1) {
        const length = cursor.u32();
        this.words.push(decoder.decode(cursor.bytes.subarray(cursor.at, cursor.at + length)));
        cursor.at += length;
      }
      return readPart(cursor, slice.rows);
    });
    const numbers = new Numbers(cursor, parts, false);
    this.places = new Uint32Array(numbers.rows);
    for (let row = 0; row < numbers.rows; row += 1) {
      if (!numbers.isNull(row)) this.places[row] = numbers.number(row) + 1;
    }
  }

  /** @param {number} row */
  isNull(row) {
    return this.places[row] === 0;
  }

  /**
   * Empty for null.
   * @param {number} row
   */
  text(row) {
    return this.words[this.places[row] - 1] ?? "";
  }
}

/**
 * @param {Numbers} lengths
 */
function startsOf(lengths) {
  const starts = new Float64Array(lengths.rows);
  let sum = 0;
  for (let row = 0; row < lengths.rows; row += 1) {
    starts[row] = sum;
    sum += lengths.number(row);
  }
  return starts;
}

/** A column of lists of ranges. */
export class Ranges {
  /**
   * @param {Cursor} cursor
   * @param {Slice[]} slices
   */
  constructor(cursor, slices) {
    /** @type {import("./numbers.js").Part[][]} */
    const parts = [[], [], []];
    for (const slice of slices) {
      cursor.at = slice.at;
      parts[0].push(readPart(cursor, slice.rows));
      const all = cursor.u32();
      parts[1].push(readPart(cursor, all));
      parts[2].push(readPart(cursor, all));
    }
    this.lengths = new Numbers(cursor, parts[0], false);
    this.bases = new Numbers(cursor, parts[1], true);
    this.lens = new Numbers(cursor, parts[2], true);
    this.starts = startsOf(this.lengths);
  }

  /** @param {number} row */
  isNull(row) {
    return this.lengths.isNull(row);
  }

  /**
   * The ranges of a row.
   * @param {number} row
   * @returns {{ base: bigint, len: bigint }[]}
   */
  ranges(row) {
    const start = this.starts[row];
    const length = this.lengths.number(row);
    return Array.from({ length }, (_, at) => ({ base: this.bases.exact(start + at), len: this.lens.exact(start + at) }));
  }
}

/** A column of bytes, which come in a stream of their own. */
export class Bytes {
  /**
   * @param {Cursor} cursor
   * @param {Slice[]} slices
   */
  constructor(cursor, slices) {
    const parts = slices.map((slice) => {
      cursor.at = slice.at;
      return readPart(cursor, slice.rows);
    });
    this.lengths = new Numbers(cursor, parts, false);
    this.starts = startsOf(this.lengths);
  }

  /** @param {number} row */
  isNull(row) {
    return this.lengths.isNull(row);
  }

  /**
   * The bytes of a row, where `all` has those of all rows.
   * @param {number} row
   * @param {Uint8Array} all
   */
  bytes(row, all) {
    return all.subarray(this.starts[row], this.starts[row] + this.lengths.number(row));
  }
}

/** @typedef {Numbers|Texts|Ranges|Bytes} Column */

/** All columns. */
export class Columns {
  /**
   * @param {Described[]} described
   * @param {Uint8Array} bytes
   */
  constructor(described, bytes) {
    this.described = new Map(described.map((column) => [column.name, column]));
    this.cursor = new Cursor(bytes);
    /** @type {Map<string, Slice[]>} */
    this.slices = new Map(described.map((column) => [column.name, []]));
    /** @type {Map<string, Column>} */
    this.unpacked = new Map();
    this.rows = 0;
    while (this.cursor.at < bytes.length) {
      const rows = this.cursor.u32();
      this.rows += rows;
      for (const slices of this.slices.values()) {
        const length = this.cursor.u32();
        slices.push({ at: this.cursor.at, rows });
        this.cursor.at += length;
      }
    }
  }

  /** @param {string} name */
  has(name) {
    return this.described.has(name);
  }

  /**
   * @param {string} name
   * @returns {Column}
   */
  column(name) {
    let column = this.unpacked.get(name);
    if (!column) {
      column = this.unpack(name);
      this.unpacked.set(name, column);
    }
    return column;
  }

  /** @param {string} name */
  numbers(name) {
    const column = this.column(name);
    if (!(column instanceof Numbers)) throw new Error(`${name} has no numbers`);
    return column;
  }

  /** @param {string} name */
  texts(name) {
    const column = this.column(name);
    if (!(column instanceof Texts)) throw new Error(`${name} has no texts`);
    return column;
  }

  /**
   * @param {string} name
   * @returns {Column}
   */
  unpack(name) {
    const described = this.described.get(name);
    const slices = this.slices.get(name);
    if (!described || !slices) throw new Error(`there is no column ${name}`);
    if (described.kind === "text") return new Texts(this.cursor, slices);
    if (described.kind === "iovecs") return new Ranges(this.cursor, slices);
    if (described.kind === "bytes") return new Bytes(this.cursor, slices);
    const parts = slices.map((slice) => {
      this.cursor.at = slice.at;
      return readPart(this.cursor, slice.rows);
    });
    return new Numbers(this.cursor, parts, described.kind === "unsigned", this.reference(described));
  }

  /**
   * @param {Described} described
   * @returns {import("./numbers.js").Reference|null}
   */
  reference(described) {
    const { relative, divisor } = described;
    if (relative === null) return null;
    if (relative === "") return { numbers: null, divisor };
    return this.has(relative) ? { numbers: this.numbers(relative), divisor } : null;
  }
}
