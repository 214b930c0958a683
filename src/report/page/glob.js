// Glob patterns, which mean what they mean to `vmtrace replay --where`: `?` is one byte of UTF-8, `*` any bytes, `[a-z]` a
// set, `{a,b}` one of several, and `\` takes the meaning of the next sign away.

/**
 * Text as a string of its bytes.
 * @param {string} text
 */
export function bytesOf(text) {
  let out = "";
  for (const byte of new TextEncoder().encode(text)) out += String.fromCharCode(byte);
  return out;
}

/** @param {string} text */
function literal(text) {
  return bytesOf(text).replace(/[^A-Za-z0-9_]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** @typedef {{ kind: "text"|"prefix"|"suffix"|"middle", source: string }} Token */

/** Reads a pattern. Throws a sentence where it is none. */
class Pattern {
  /** @param {string} text */
  constructor(text) {
    this.chars = [...text];
    this.at = 0;
    /** @type {Token[][]} the branches of alternatives that are open, the innermost last */
    this.branches = [[]];
    /** @type {number[]} */
    this.open = [];
  }

  /** @param {string} source */
  push(source) {
    this.last().push({ kind: "text", source });
  }

  last() {
    const last = this.branches.at(-1);
    if (!last) throw new Error("unopened alternate group; missing '{' (maybe escape '}' with '[}]'?)");
    return last;
  }

  read() {
    while (this.at < this.chars.length) {
      const c = this.chars[this.at];
      this.at += 1;
      if (c === "?") this.push(".");
      else if (c === "*") this.star();
      else if (c === "[") this.set();
      else if (c === "{") this.begin();
      else if (c === "}") this.end();
      else if (c === "," && this.open.length > 0) this.branches.push([]);
      else if (c === "\\") this.escape();
      else this.push(literal(c));
    }
    if (this.open.length > 0) throw new Error("unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)");
    const tokens = this.branches[0];
    if (tokens.length === 1 && tokens[0].kind === "prefix") return ".*";
    return tokens.map((token) => token.source).join("");
  }

  begin() {
    if (this.open.length >= 100) throw new Error("too many nested alternate groups in glob (limit 100)");
    this.open.push(this.branches.length);
    this.branches.push([]);
  }

  end() {
    const start = this.open.pop();
    if (start === undefined) throw new Error("unopened alternate group; missing '{' (maybe escape '}' with '[}]'?)");
    const parts = this.branches.splice(start).map((tokens) => tokens.map((token) => token.source).join(""));
    const some = parts.filter((part) => part !== "");
    this.push(some.length > 0 ? `(?:${some.join("|")})` : "");
  }

  escape() {
    if (this.at >= this.chars.length) throw new Error("dangling '\\'");
    this.push(literal(this.chars[this.at]));
    this.at += 1;
  }

  star() {
    const before = this.chars[this.at - 2];
    if (this.chars[this.at] !== "*") return this.push(".*");
    this.at += 1;
    const next = this.chars[this.at];
    const tokens = this.last();
    if (tokens.length === 0) {
      if (next !== undefined && next !== "/") return this.push(".*");
      this.at += 1;
      tokens.push({ kind: "prefix", source: "(?:/?|.*/)" });
      return undefined;
    }
    if (before !== "/" && !(this.branches.length > 1 && (before === "," || before === "{"))) return this.push(".*");
    return this.recursive(tokens, next);
  }

  /**
   * `**` behind a slash.
   * @param {Token[]} tokens
   * @param {string|undefined} next
   */
  recursive(tokens, next) {
    const isSuffix = next === undefined || (this.branches.length > 1 && (next === "," || next === "}"));
    if (!isSuffix && next !== "/") return this.push(".*");
    if (next === undefined || next === "/") this.at += 1;
    const last = tokens.pop();
    if (last?.kind === "prefix" || last?.kind === "suffix") tokens.push(last);
    else if (isSuffix) tokens.push({ kind: "suffix", source: "/.*" });
    else tokens.push({ kind: "middle", source: "(?:/|/.*/)" });
    return undefined;
  }

  set() {
    const negated = this.chars[this.at] === "!" || this.chars[this.at] === "^";
    if (negated) this.at += 1;
    /** @type {[string, string][]} */
    const ranges = [];
    let isRange = false;
    for (let first = true; ; first = false) {
      const c = this.chars[this.at];
      if (c === undefined) throw new Error("unclosed character class; missing ']'");
      this.at += 1;
      if (c === "]" && !first) break;
      /** @type {boolean} */
      const begins = c === "-" && !first && !isRange;
      if (!begins && isRange) extend(ranges, c);
      else if (!begins) ranges.push([c, c]);
      isRange = begins;
    }
    if (isRange) ranges.push(["-", "-"]);
    const all = ranges.map(([from, to]) => (from === to ? literal(from) : `${literal(from)}-${literal(to)}`));
    this.push(`[${negated ? "^" : ""}${all.join("")}]`);
  }
}

/**
 * @param {[string, string][]} ranges
 * @param {string} to
 */
function extend(ranges, to) {
  const last = ranges[ranges.length - 1];
  if ((to.codePointAt(0) ?? 0) < (last[0].codePointAt(0) ?? 0)) {
    throw new Error(`invalid range; '${last[0]}' > '${to}'`);
  }
  last[1] = to;
}

/**
 * Whether a text fits a pattern, as a function of the text.
 * @param {string} pattern
 * @returns {(text: string) => boolean}
 */
export function glob(pattern) {
  const expression = new RegExp(`^${new Pattern(pattern).read()}$`, "s");
  return (text) => expression.test(bytesOf(text));
}
