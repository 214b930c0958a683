// Lists of numbers, as src/report/columns.rs writes them: doubles where these are exact, else 64-bit integers.

/** Reads bytes one after another. */
export class Cursor {
  /**
   * @param {Uint8Array} bytes
   * @param {number} [at]
   */
  constructor(bytes, at = 0) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  u8() {
    this.at += 1;
    return this.view.getUint8(this.at - 1);
  }

  u32() {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  i64() {
    this.at += 8;
    return this.view.getBigInt64(this.at - 8, true);
  }
}

/**
 * The numbers of a block: where they are, and how they are stored.
 * @typedef {object} Part
 * @property {number} rows
 * @property {boolean} none whether all are null
 * @property {number} bits where the bits of those that are not null are; -1 where none is null
 * @property {number} width
 * @property {bigint} least
 * @property {number} at
 */

/**
 * @param {Cursor} cursor
 * @param {number} rows
 * @returns {Part}
 */
export function readPart(cursor, rows) {
  const flags = cursor.u8();
  if (flags & 2) return { rows, none: true, bits: -1, width: 0, least: 0n, at: cursor.at };
  const bits = flags & 1 ? cursor.at : -1;
  if (bits >= 0) cursor.at += Math.ceil(rows / 8);
  const width = cursor.u8();
  const least = cursor.i64();
  const at = cursor.at;
  cursor.at += width * rows;
  return { rows, none: false, bits, width, least, at };
}

/**
 * What a column's numbers are the difference from.
 * @typedef {{ numbers: Numbers|null, divisor: number }} Reference
 */

const EXACT = 2 ** 52;

/** A list of numbers, some of them null. */
export class Numbers {
  /**
   * @param {Cursor} cursor
   * @param {Part[]} parts
   * @param {boolean} unsigned
   * @param {Reference|null} [reference]
   */
  constructor(cursor, parts, unsigned, reference = null) {
    this.rows = parts.reduce((sum, part) => sum + part.rows, 0);
    /** @type {Uint8Array|null} */
    this.known = knownOf(cursor, parts, this.rows);
    /** @type {Float64Array|null} */
    this.small = smallOf(cursor, parts, unsigned, reference, this.rows);
    /** @type {BigInt64Array|BigUint64Array|null} */
    this.big = this.small ? null : bigOf(cursor, parts, unsigned, reference, this.rows);
  }

  /** @param {number} row */
  isNull(row) {
    return this.known !== null && this.known[row] === 0;
  }

  /**
   * Rounded where a double must be; 0 for null.
   * @param {number} row
   */
  number(row) {
    return this.small ? this.small[row] : Number(this.big?.[row] ?? 0n);
  }

  /**
   * 0 for null.
   * @param {number} row
   * @returns {bigint}
   */
  exact(row) {
    return this.small ? BigInt(this.small[row]) : (this.big?.[row] ?? 0n);
  }
}

/** The same, read one at a time from where they stand: what is looked at once is not unpacked for all rows. */
export class Single {
  /**
   * @param {Cursor} cursor
   * @param {Part[]} parts
   * @param {boolean} unsigned
   * @param {{ numbers: Single|null, divisor: number }|null} [reference]
   */
  constructor(cursor, parts, unsigned, reference = null) {
    this.cursor = cursor;
    this.parts = parts;
    this.unsigned = unsigned;
    this.reference = reference;
    this.rows = 0;
    /** The first row of each part. */
    this.firsts = parts.map((part) => {
      this.rows += part.rows;
      return this.rows - part.rows;
    });
  }

  /**
   * The number of the part that has a row.
   * @param {number} row
   */
  partOf(row) {
    let low = 0;
    let high = this.parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.firsts[middle] <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** @param {number} row */
  isNull(row) {
    const number = this.partOf(row);
    const part = this.parts[number];
    return part.none || !isThere(this.cursor, part, row - this.firsts[number]);
  }

  /**
   * 0 for null.
   * @param {number} row
   * @returns {bigint}
   */
  exact(row) {
    if (this.isNull(row)) return 0n;
    const number = this.partOf(row);
    const part = this.parts[number];
    let value = part.least + wideOffset(this.cursor, part, row - this.firsts[number]);
    const { reference } = this;
    if (reference?.numbers) value += floorDivide(reference.numbers.exact(row), BigInt(reference.divisor));
    else if (reference) value += BigInt(row);
    return this.unsigned ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value);
  }
}

/**
 * @param {Cursor} cursor
 * @param {Part[]} parts
 * @param {number} rows
 */
function knownOf(cursor, parts, rows) {
  if (parts.every((part) => !part.none && part.bits < 0)) return null;
  const known = new Uint8Array(rows);
  let first = 0;
  for (const part of parts) {
    for (let row = 0; row < part.rows; row += 1) {
      const bit = part.bits < 0 ? 1 : (cursor.bytes[part.bits + (row >> 3)] >> (row & 7)) & 1;
      known[first + row] = part.none ? 0 : bit;
    }
    first += part.rows;
  }
  return known;
}

/**
 * Whether the number of this row of a part is there.
 * @param {Cursor} cursor
 * @param {Part} part
 * @param {number} row
 */
function isThere(cursor, part, row) {
  return part.bits < 0 || ((cursor.bytes[part.bits + (row >> 3)] >> (row & 7)) & 1) === 1;
}

/**
 * @param {Cursor} cursor
 * @param {Part} part
 * @param {number} row
 */
function offsetOf(cursor, part, row) {
  const at = part.at + part.width * row;
  switch (part.width) {
    case 0:
      return 0;
    case 1:
      return cursor.bytes[at];
    case 2:
      return cursor.view.getUint16(at, true);
    case 4:
      return cursor.view.getUint32(at, true);
    default:
      return cursor.view.getUint32(at, true) + cursor.view.getUint32(at + 4, true) * 2 ** 32;
  }
}

/**
 * @param {Cursor} cursor
 * @param {Part} part
 * @param {number} row
 */
function wideOffset(cursor, part, row) {
  return part.width === 8 ? cursor.view.getBigUint64(part.at + 8 * row, true) : BigInt(offsetOf(cursor, part, row));
}

/**
 * Doubles; null where one of the numbers would not be exact.
 * @param {Cursor} cursor
 * @param {Part[]} parts
 * @param {boolean} unsigned
 * @param {Reference|null} reference
 * @param {number} rows
 */
function smallOf(cursor, parts, unsigned, reference, rows) {
  if (reference?.numbers && !reference.numbers.small) return null;
  const other = reference?.numbers?.small ?? null;
  const divisor = reference?.divisor ?? 1;
  const out = new Float64Array(rows);
  let first = 0;
  for (const part of parts) {
    const least = Number(unsigned && !reference ? BigInt.asUintN(64, part.least) : part.least);
    if (!part.none && Math.abs(least) >= EXACT) return null;
    for (let row = 0; !part.none && row < part.rows; row += 1) {
      if (!isThere(cursor, part, row)) continue;
      const offset = offsetOf(cursor, part, row);
      let value = least + offset;
      if (other) value += Math.floor(other[first + row] / divisor);
      else if (reference) value += first + row;
      if (offset >= EXACT || Math.abs(value) >= EXACT) return null;
      out[first + row] = value;
    }
    first += part.rows;
  }
  return out;
}

/**
 * @param {Cursor} cursor
 * @param {Part[]} parts
 * @param {boolean} unsigned
 * @param {Reference|null} reference
 * @param {number} rows
 */
function bigOf(cursor, parts, unsigned, reference, rows) {
  const out = unsigned ? new BigUint64Array(rows) : new BigInt64Array(rows);
  const divisor = BigInt(reference?.divisor ?? 1);
  let first = 0;
  for (const part of parts) {
    for (let row = 0; !part.none && row < part.rows; row += 1) {
      if (!isThere(cursor, part, row)) continue;
      let value = part.least + wideOffset(cursor, part, row);
      if (reference?.numbers) value += floorDivide(reference.numbers.exact(first + row), divisor);
      else if (reference) value += BigInt(first + row);
      // Both kinds of array keep the lowest 64 bits.
      out[first + row] = value;
    }
    first += part.rows;
  }
  return out;
}

/**
 * @param {bigint} number
 * @param {bigint} divisor
 */
function floorDivide(number, divisor) {
  const quotient = number / divisor;
  return number < 0n && quotient * divisor !== number ? quotient - 1n : quotient;
}
