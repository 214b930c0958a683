// Words and numbers as they are shown. Everything captured passes `safe` on its way to the page: what is not plainly visible,
// or turns the order of a line around, is written as an escape, as `vmtrace replay` does.

const PLAIN = /^[ -[\]-~]*$/;
const RIGHT_TO_LEFT = /[\u{590}-\u{8ff}\u{fb1d}-\u{fdff}\u{fe70}-\u{fefe}\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const INVISIBLE = /[\u{115f}\u{1160}\u{17b4}\u{17b5}\u{3164}\u{ffa0}]/u;
const SIGNS = /[\u{a1}-\u{ac}\u{ae}-\u{ff}\u{2010}-\u{2027}\u{2030}-\u{205e}\u{20a0}-\u{20bf}]/u;
const LETTERS = /[\p{Alphabetic}\p{N}]/u;
const SHORT = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"], ["\\", "\\\\"]]);

/**
 * A byte in hexadecimal, or a number in at least `digits` digits.
 * @param {number} number
 * @param {number} [digits]
 */
export function hex(number, digits = 2) {
  return number.toString(16).padStart(digits, "0");
}

/** @param {string} c one character */
function escaped(c) {
  const code = c.codePointAt(0) ?? 0;
  if (code < 0x80) return SHORT.get(c) ?? `\\x${hex(code)}`;
  const visible = SIGNS.test(c) || (LETTERS.test(c) && !RIGHT_TO_LEFT.test(c) && !INVISIBLE.test(c));
  return visible ? c : `\\u{${code.toString(16)}}`;
}

/**
 * Captured text, made visible.
 * @param {string} text
 */
export function safe(text) {
  if (PLAIN.test(text)) return text;
  let out = "";
  for (const c of text) out += PLAIN.test(c) ? c : escaped(c);
  return out;
}

/**
 * The same, cut behind `most` characters. Cut first: a text may have any length.
 * @param {string} text
 * @param {number} most
 */
export function short(text, most) {
  if (text.length <= most) return safe(text);
  const front = [...text.slice(0, 2 * most)].slice(0, most).join("");
  return front.length < text.length ? `${safe(front)}…` : safe(front);
}

/**
 * `1,234,567`.
 * @param {number|bigint} number
 */
export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * `1 event`, `2 events`.
 * @param {number} number
 * @param {string} one
 * @param {string} [many]
 */
export function count(number, one, many = `${one}s`) {
  return `${grouped(number)} ${number === 1 ? one : many}`;
}

/**
 * `4,096 B`, `40.2 MiB`.
 * @param {number} bytes
 */
export function size(bytes) {
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = -1;
  let value = bytes;
  while (bytes >= 10_000 && value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return unit < 0 ? `${grouped(bytes)} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/**
 * Nanoseconds in seconds, with nine decimals.
 * @param {number} ns
 */
export function seconds(ns) {
  const whole = Math.abs(Math.trunc(ns));
  const rest = String(whole % 1e9).padStart(9, "0");
  return `${ns < 0 ? "-" : ""}${Math.floor(whole / 1e9)}.${rest}`;
}

/**
 * A span in the unit that suits it: `17ns`, `4.5µs`, `250.0ms`, `2.410s`.
 * @param {number} ns
 */
export function span(ns) {
  const value = Math.abs(ns);
  if (value < 1_000) return `${Math.round(ns)}ns`;
  if (value < 999_950) return `${(ns / 1e3).toFixed(1)}µs`;
  if (value < 999_950_000) return `${(ns / 1e6).toFixed(1)}ms`;
  return `${(ns / 1e9).toFixed(3)}s`;
}
