// What a condition asks of one column, by the column's type: numbers with units, truth values, times, text and patterns.

import { glob } from "./glob.js";

/**
 * `null`: whether there is none; a range of numbers, ends included; a truth value; a text's predicate.
 * @typedef {{ kind: "null" } | { kind: "range", least: bigint|null, most: bigint|null } |
 *   { kind: "bool", value: boolean } | { kind: "text", holds: (text: string) => boolean }} Check
 */

/** Why a condition is refused, and whether its operator or its value is at fault. */
export class Refused extends Error {
  /**
   * @param {"operator"|"value"} part
   * @param {string} why
   */
  constructor(part, why) {
    super(why);
    this.part = part;
  }
}

const U64 = 2n ** 64n;
const UNITS = /** @type {Record<string, [string, bigint][]>} */ ({
  bytes: [["K", 1024n], ["M", 1024n ** 2n], ["G", 1024n ** 3n]],
  ns: [["us", 1_000n], ["ms", 1_000_000n], ["s", 1_000_000_000n]],
});

/**
 * A number with an optional sign, base and unit; null where it is none.
 * @param {string} text
 * @param {string} unit
 */
function numberOf(text, unit) {
  const found = (UNITS[unit] ?? []).find(([suffix]) => text.endsWith(suffix));
  let digits = found ? text.slice(0, -found[0].length) : text;
  const sign = digits.startsWith("-") ? -1n : 1n;
  if (sign < 0n) digits = digits.slice(1);
  const isHex = digits.startsWith("0x");
  const plain = (isHex ? digits.slice(2) : digits).replace(/^\+/, "");
  if (!(isHex ? /^[0-9a-fA-F]+$/ : /^[0-9]+$/).test(plain)) return null;
  const value = BigInt(isHex ? `0x${plain}` : plain);
  return value < U64 ? sign * value * (found ? found[1] : 1n) : null;
}

/**
 * @param {string} name
 * @param {string} operator
 * @param {bigint} number
 * @returns {Check}
 */
function compare(name, operator, number) {
  switch (operator) {
    case "=":
    case "==":
      return { kind: "range", least: number, most: number };
    case "<":
      return { kind: "range", least: null, most: number - 1n };
    case "<=":
      return { kind: "range", least: null, most: number };
    case ">":
      return { kind: "range", least: number + 1n, most: null };
    case ">=":
      return { kind: "range", least: number, most: null };
    default:
      throw new Refused("operator", `${name} is a number: compare it with =, !=, <, <=, > or >=`);
  }
}

/**
 * @param {string} name
 * @param {string} operator
 * @param {string} text
 * @param {Record<string, string[]>} words
 * @returns {Check}
 */
function textCheck(name, operator, text, words) {
  if (operator === "=" || operator === "==") {
    const isNumber = (name === "ptrace_request" || name === "advice") && /^[+-]?[0-9]+$/.test(text);
    if (words[name] && !isNumber && !words[name].includes(text)) {
      throw new Refused("value", `${name} is never ${JSON.stringify(text)}`);
    }
    return { kind: "text", holds: (other) => other === text };
  }
  if (operator === "~") {
    try {
      return { kind: "text", holds: glob(text) };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Refused("value", `${JSON.stringify(text)} is not a glob pattern: ${why}`);
    }
  }
  throw new Refused("operator", `${name} is text: compare it with =, !=, ~ or !~ (glob patterns)`);
}

/**
 * Microseconds since 1970; null where the text is no time.
 * @param {string} text
 */
function microsOf(text) {
  const form = /^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)$/;
  const found = form.exec(text);
  if (!found) return null;
  const [, day, time, fraction, zone] = found;
  const ms = Date.parse(`${day}T${time}${zone.toUpperCase()}`);
  // A day such as February 30th would be taken for one of March.
  const isReal = !Number.isNaN(ms) && new Date(`${day}T00:00:00Z`).toISOString().startsWith(day);
  return isReal ? BigInt(ms) * 1000n + BigInt((fraction ?? "").padEnd(6, "0").slice(0, 6)) : null;
}

/**
 * What `column OPERATOR text` asks; `!` has been taken off the operator.
 * @param {import("./columns.js").Described} column
 * @param {string} operator
 * @param {string} text
 * @param {Record<string, string[]>} words
 * @returns {Check}
 */
export function check(column, operator, text, words) {
  const { name, kind, unit } = column;
  if (kind === "bool") {
    if (operator !== "=" && operator !== "==") {
      throw new Refused("operator", `${name} is a truth value: compare it with = or !=`);
    }
    const value = text.toLowerCase();
    if (value === "true" || value === "false") return { kind: "bool", value: value === "true" };
    throw new Refused("value", `${name} is true or false, not ${JSON.stringify(text)}`);
  }
  if (kind === "text") return textCheck(name, operator, text, words);
  if (kind === "micros") {
    const micros = microsOf(text);
    if (micros !== null) return compare(name, operator, micros);
    throw new Refused("value", `${name} is a time such as 2026-01-02T03:04:05Z, not ${JSON.stringify(text)}`);
  }
  if (kind === "signed" || kind === "unsigned") {
    const number = numberOf(text, unit);
    if (number !== null) return compare(name, operator, number);
    const units = (UNITS[unit] ?? []).map(([suffix]) => suffix).join(", ");
    const more = units ? `, if need be with ${units}` : "";
    throw new Refused("value", `${name} is a number${more}, not ${JSON.stringify(text)}`);
  }
  throw new Refused("operator", `${name} can only be asked for with \`is null\` and \`is not null\``);
}
