// Conditions on columns, as `vmtrace replay --where` takes them. A test compares what both select, and what both refuse.
// The meaning is that of SQL: no comparison with a column that is null holds.

import { Refused, check } from "./values.js";
import { Numbers } from "./numbers.js";
import { Texts } from "./columns.js";

const MAX_DEPTH = 64;
const SYMBOLS = ["<=", ">=", "!=", "!~", "==", "(", ")", "=", "<", ">", "~"];
const KEYWORDS = ["and", "or", "not", "is", "null"];

/** @typedef {{ kind: "word"|"quoted"|"symbol"|"end", text: string, at: number }} Token */

/**
 * @typedef {{ kind: "all"|"any", nodes: Node[] } | { kind: "not", node: Node } |
 *   { kind: "test", column: string, check: import("./values.js").Check }} Node
 */

/**
 * @param {number} at the character, from 1
 * @param {string} what
 */
function wrong(at, what) {
  return new Error(`at character ${at}: ${what}`);
}

/** @param {Token} token */
function describe(token) {
  return token.kind === "end" ? "the end" : JSON.stringify(token.text);
}

/**
 * @param {Token} token
 * @param {string} keyword
 */
function isKeyword(token, keyword) {
  return token.kind === "word" && token.text.toLowerCase() === keyword;
}

/**
 * The text between quotes, in which the quote itself is doubled, and where it ends.
 * @param {string[]} chars
 * @param {number} at
 */
function quoted(chars, at) {
  let text = "";
  for (let next = at + 1; next < chars.length; next += 1) {
    if (chars[next] !== chars[at]) text += chars[next];
    else if (chars[next + 1] === chars[at]) {
      text += chars[at];
      next += 1;
    } else return { text, end: next + 1 };
  }
  throw wrong(at + 1, "this quote is not closed");
}

/**
 * The tokens; the last is the end.
 * @param {string} text
 */
function split(text) {
  const chars = [...text];
  /** @type {Token[]} */
  const tokens = [];
  let at = 0;
  while (at < chars.length) {
    const start = at;
    const both = chars[at] + (chars[at + 1] ?? "");
    const symbol = SYMBOLS.find((sign) => both.startsWith(sign));
    if (/\s/u.test(chars[at])) {
      at += 1;
    } else if (symbol) {
      at += symbol.length;
      tokens.push({ kind: "symbol", text: symbol, at: start + 1 });
    } else if (chars[at] === '"' || chars[at] === "'") {
      const found = quoted(chars, at);
      at = found.end;
      tokens.push({ kind: "quoted", text: found.text, at: start + 1 });
    } else {
      while (at < chars.length && !/[\s"'()=<>~]/u.test(chars[at])) at += 1;
      // In `comm!=x` the operator begins with a character that can also be part of a word.
      if ((chars[at] === "=" || chars[at] === "~") && chars[at - 1] === "!") at -= 1;
      tokens.push({ kind: "word", text: chars.slice(start, at).join(""), at: start + 1 });
    }
  }
  tokens.push({ kind: "end", text: "", at: chars.length + 1 });
  return tokens;
}

/** `or` of `and` of conditions, `not`, parentheses. */
class Parser {
  /**
   * @param {Token[]} tokens
   * @param {import("./events.js").Facts} facts
   */
  constructor(tokens, facts) {
    this.tokens = tokens;
    this.facts = facts;
    this.place = 0;
    this.depth = 0;
  }

  next() {
    const token = this.tokens[Math.min(this.place, this.tokens.length - 1)];
    this.place += 1;
    return token;
  }

  /** @param {string} keyword */
  take(keyword) {
    const token = this.tokens[this.place];
    const found = token !== undefined && isKeyword(token, keyword);
    if (found) this.place += 1;
    return found;
  }

  /** @returns {Node} */
  any() {
    const nodes = [this.all()];
    while (this.take("or")) nodes.push(this.all());
    return nodes.length === 1 ? nodes[0] : { kind: "any", nodes };
  }

  /** @returns {Node} */
  all() {
    const nodes = [this.one()];
    while (this.take("and")) nodes.push(this.one());
    return nodes.length === 1 ? nodes[0] : { kind: "all", nodes };
  }

  /** @returns {Node} */
  one() {
    const token = this.next();
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw wrong(token.at, `more than ${MAX_DEPTH} levels of nesting`);
    const node = this.inner(token);
    this.depth -= 1;
    return node;
  }

  /**
   * @param {Token} token
   * @returns {Node}
   */
  inner(token) {
    if (isKeyword(token, "not")) return { kind: "not", node: this.one() };
    if (token.kind === "symbol" && token.text === "(") {
      const node = this.any();
      const close = this.next();
      if (close.kind === "symbol" && close.text === ")") return node;
      throw wrong(close.at, `expected a closing parenthesis, found ${describe(close)}`);
    }
    if (token.kind === "word" && !KEYWORDS.some((keyword) => isKeyword(token, keyword))) return this.condition(token);
    throw wrong(token.at, `expected a column, found ${describe(token)}`);
  }

  /**
   * @param {Token} word
   * @returns {Node}
   */
  condition(word) {
    const column = this.column(word);
    if (this.take("is")) {
      const negated = this.take("not");
      const token = this.next();
      if (!isKeyword(token, "null")) throw wrong(token.at, `expected null, found ${describe(token)}`);
      return negate({ kind: "test", column: column.name, check: { kind: "null" } }, negated);
    }
    const operator = this.next();
    if (operator.kind !== "symbol" || operator.text === "(" || operator.text === ")") {
      const wanted = `expected an operator or \`is null\` behind ${word.text}, found ${describe(operator)}`;
      throw wrong(operator.at, wanted);
    }
    const value = this.next();
    const isValue = value.kind === "word" && !KEYWORDS.some((keyword) => isKeyword(value, keyword));
    if (!isValue && value.kind !== "quoted") throw wrong(value.at, `expected a value, found ${describe(value)}`);
    try {
      const asked = check(column, operator.text.replace(/^!/, ""), value.text, this.facts.words);
      return negate({ kind: "test", column: column.name, check: asked }, operator.text.startsWith("!"));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      throw wrong(error.part === "operator" ? operator.at : value.at, error.message);
    }
  }

  /** @param {Token} word */
  column(word) {
    const column = this.facts.columns.find(({ name }) => name === word.text);
    if (!column) {
      const why = this.facts.folded ? " in this page, whose rows stand for several events" : "";
      throw wrong(word.at, `unknown column ${JSON.stringify(word.text)}${why}`);
    }
    if (this.facts.folded && COUNTED.has(word.text)) {
      throw wrong(word.at, `${word.text} is a sum in this page, whose rows stand for several events`);
    }
    return column;
  }
}

/** What differs between the events that a folded row stands for. */
const COUNTED = new Set(["seq", "ts_ns", "mono_ns", "bytes", "lost_count", "until_ns", "events", "transfers"]);

/**
 * @param {Node} node
 * @param {boolean} negated
 * @returns {Node}
 */
function negate(node, negated) {
  return negated ? { kind: "not", node } : node;
}

/**
 * Reads a condition. Throws a sentence that says where it is wrong.
 * @param {string} text
 * @param {import("./events.js").Facts} facts
 * @returns {Node}
 */
export function parse(text, facts) {
  const parser = new Parser(split(text), facts);
  const node = parser.any();
  const rest = parser.next();
  if (rest.kind !== "end") throw wrong(rest.at, `expected and, or, or the end, found ${describe(rest)}`);
  return node;
}

/** @typedef {(row: number) => boolean|null} Holds null where it depends on a value that is null */

/**
 * @param {string} name
 * @param {import("./values.js").Check} asked
 * @param {import("./columns.js").Columns} columns
 * @returns {Holds}
 */
function test(name, asked, columns) {
  const column = columns.column(name);
  if (asked.kind === "null") return (row) => column.isNull(row);
  if (asked.kind === "text" && column instanceof Texts) {
    /** @type {(boolean|undefined)[]} */
    const answers = [];
    return (row) => {
      const place = column.places[row];
      if (place === 0) return null;
      const known = answers[place] ?? asked.holds(column.words[place - 1]);
      answers[place] = known;
      return known;
    };
  }
  if (!(column instanceof Numbers)) return () => null;
  if (asked.kind === "bool") {
    return (row) => (column.isNull(row) ? null : (column.number(row) !== 0) === asked.value);
  }
  if (asked.kind !== "range") return () => null;
  const { least, most } = asked;
  if (column.small) {
    // Rounding moves a bound past no number of such a column.
    const from = least === null ? -Infinity : Number(least);
    const to = most === null ? Infinity : Number(most);
    return (row) => {
      if (column.isNull(row)) return null;
      const number = column.number(row);
      return number >= from && number <= to;
    };
  }
  return (row) => {
    if (column.isNull(row)) return null;
    const number = column.exact(row);
    return (least === null || number >= least) && (most === null || number <= most);
  };
}

/**
 * A condition as a function of a row.
 * @param {Node} node
 * @param {import("./columns.js").Columns} columns
 * @returns {Holds}
 */
export function compile(node, columns) {
  if (node.kind === "test") return test(node.column, node.check, columns);
  if (node.kind === "not") {
    const inner = compile(node.node, columns);
    return (row) => {
      const holds = inner(row);
      return holds === null ? null : !holds;
    };
  }
  const parts = node.nodes.map((inner) => compile(inner, columns));
  const decisive = node.kind === "any";
  return (row) => {
    /** @type {boolean|null} */
    let outcome = !decisive;
    for (const part of parts) {
      const holds = part(row);
      if (holds === decisive) return decisive;
      if (holds === null) outcome = null;
    }
    return outcome;
  };
}
