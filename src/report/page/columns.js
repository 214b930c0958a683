// The columns of the events. Each is unpacked when it is first looked at.

import { Cursor, readPart, Numbers, Single } from "./numbers.js";

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

/**
 * @param {Cursor} cursor
 * @param {number} texts
 */
function skipTexts(cursor, texts) {
  for (let left = texts; left > 0; left -= 1) {
    const length = cursor.u32();
    cursor.at += length;
  }
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

/** A column of lists of ranges. There may be a thousand in a row, so none is unpacked before it is asked for. */
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
    this.lengths = new Single(cursor, parts[0], false);
    this.bases = new Single(cursor, parts[1], true);
    this.lens = new Single(cursor, parts[2], true);
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
    const block = this.lengths.partOf(row);
    let start = this.bases.firsts[block];
    for (let other = this.lengths.firsts[block]; other < row; other += 1) start += Number(this.lengths.exact(other));
    const length = Number(this.lengths.exact(row));
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
    /** @type {Map<string, Single>} */
    this.singles = new Map();
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

  /**
   * The numbers of a column one at a time: of texts their places, of lists and bytes their lengths.
   * @param {string} name
   * @returns {Single}
   */
  single(name) {
    let single = this.singles.get(name);
    if (!single) {
      const { described, slices } = this.find(name);
      const { cursor } = this;
      const parts = slices.map((slice) => {
        cursor.at = slice.at;
        if (described.kind === "text") skipTexts(cursor, cursor.u32());
        return readPart(cursor, slice.rows);
      });
      const { relative, divisor } = described;
      const other = relative && this.has(relative) ? this.single(relative) : null;
      const reference = relative === "" || other ? { numbers: other, divisor } : null;
      single = new Single(cursor, parts, described.kind === "unsigned", reference);
      this.singles.set(name, single);
    }
    return single;
  }

  /**
   * The text of one row; empty for null.
   * @param {string} name
   * @param {number} row
   */
  text(name, row) {
    const single = this.single(name);
    if (single.isNull(row)) return "";
    let place = Number(single.exact(row));
    const { cursor } = this;
    for (const slice of this.find(name).slices) {
      cursor.at = slice.at;
      const fresh = cursor.u32();
      if (place < fresh) {
        skipTexts(cursor, place);
        const length = cursor.u32();
        return utf8().decode(cursor.bytes.subarray(cursor.at, cursor.at + length));
      }
      place -= fresh;
    }
    return "";
  }

  /** @param {string} name */
  find(name) {
    const described = this.described.get(name);
    const slices = this.slices.get(name);
    if (!described || !slices) throw new Error(`there is no column ${name}`);
    return { described, slices };
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
    const { described, slices } = this.find(name);
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
