// The bytes of an event: as rows with the address of the first byte, and as text.

import { hex, safe } from "./text.js";

const ROW_BYTES = 16;

/**
 * @param {string} place
 * @param {Uint8Array} bytes
 */
function hexRow(place, bytes) {
  let digits = "";
  let letters = "";
  for (let at = 0; at < ROW_BYTES; at += 1) {
    digits += `${at === 8 ? " " : ""}${at < bytes.length ? hex(bytes[at]) : "  "} `;
    if (at < bytes.length) letters += bytes[at] >= 0x20 && bytes[at] < 0x7f ? String.fromCharCode(bytes[at]) : ".";
  }
  return `${place}  ${digits} |${letters}|`;
}

/**
 * A hexdump. The bytes are in the order of the ranges; what is behind them counts from the beginning.
 * @param {Uint8Array} bytes
 * @param {{ base: bigint, len: bigint }[]} ranges
 */
export function hexdump(bytes, ranges) {
  const rows = [];
  let at = 0;
  for (const { base, len } of ranges) {
    const end = at + Number(len < BigInt(bytes.length - at) ? len : BigInt(bytes.length - at));
    for (let start = at; start < end; start += ROW_BYTES) {
      const address = BigInt.asUintN(64, base + BigInt(start - at)).toString(16).padStart(12, "0");
      rows.push(hexRow(`0x${address}`, bytes.subarray(start, Math.min(end, start + ROW_BYTES))));
    }
    at = end;
  }
  for (let start = at; start < bytes.length; start += ROW_BYTES) {
    rows.push(hexRow(`      +${hex(start, 8)}`.slice(-14), bytes.subarray(start, start + ROW_BYTES)));
  }
  return rows.join("\n");
}

/**
 * The bytes as UTF-8 text, line by line.
 * @param {Uint8Array} bytes
 */
export function asText(bytes) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes).split("\n").map(safe).join("\n");
}
