// Glob patterns, which mean what they mean to `vmtrace replay --where`: `?` is one byte of UTF-8, `*` any bytes, `[a-z]` a
// set, `{a,b}` one of several, and `\` takes the meaning of the next sign away.

// A text may have a megabyte, and a pattern many stars: all places in the pattern are followed at a time, byte by byte, so
// the work is bounded by bytes times places.

/**
 * A part of a pattern: one byte of a set, any bytes, or one of several rows of parts.
 * @typedef {{ set: Uint8Array } | "any" | { oneOf: Piece[][] }} Piece
 */

/** @typedef {{ kind: "text"|"prefix"|"suffix"|"middle", pieces: Piece[] }} Token */

/** @param {string} text */
function bytesOf(text) {
  return new TextEncoder().encode(text);
}

/**
 * Which bytes are in one of the ranges, ends included.
 * @param {[number, number][]} ranges
 * @param {boolean} [negated]
 */
function setOf(ranges, negated = false) {
  const set = new Uint8Array(256).fill(negated ? 1 : 0);
  for (const [from, to] of ranges) set.fill(negated ? 0 : 1, from, to + 1);
  return { set };
}

const SLASH = setOf([[0x2f, 0x2f]]);
const ONE = setOf([[0, 255]]);

/** @param {string} text */
function literal(text) {
  return [...bytesOf(text)].map((byte) => setOf([[byte, byte]]));
}

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

  /** @param {Piece[]} pieces */
  push(...pieces) {
    this.last().push({ kind: "text", pieces });
  }

  last() {
    const last = this.branches.at(-1);
    if (!last) throw new Error("unopened alternate group; missing '{' (maybe escape '}' with '[}]'?)");
    return last;
  }

  /** @returns {Piece[]} */
  read() {
    while (this.at < this.chars.length) {
      const c = this.chars[this.at];
      this.at += 1;
      if (c === "?") this.push(ONE);
      else if (c === "*") this.star();
      else if (c === "[") this.set();
      else if (c === "{") this.begin();
      else if (c === "}") this.end();
      else if (c === "," && this.open.length > 0) this.branches.push([]);
      else if (c === "\\") this.escape();
      else this.push(...literal(c));
    }
    if (this.open.length > 0) throw new Error("unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)");
    const tokens = this.branches[0];
    if (tokens.length === 1 && tokens[0].kind === "prefix") return ["any"];
    return tokens.flatMap((token) => token.pieces);
  }

  begin() {
    if (this.open.length >= 100) throw new Error("too many nested alternate groups in glob (limit 100)");
    this.open.push(this.branches.length);
    this.branches.push([]);
  }

  end() {
    const start = this.open.pop();
    if (start === undefined) throw new Error("unopened alternate group; missing '{' (maybe escape '}' with '[}]'?)");
    const parts = this.branches.splice(start).map((tokens) => tokens.flatMap((token) => token.pieces));
    const some = parts.filter((part) => part.length > 0);
    if (some.length > 0) this.push({ oneOf: some });
    else this.push();
  }

  escape() {
    if (this.at >= this.chars.length) throw new Error("dangling '\\'");
    this.push(...literal(this.chars[this.at]));
    this.at += 1;
  }

  star() {
    const before = this.chars[this.at - 2];
    if (this.chars[this.at] !== "*") return this.push("any");
    this.at += 1;
    const next = this.chars[this.at];
    const tokens = this.last();
    if (tokens.length === 0) {
      if (next !== undefined && next !== "/") return this.push("any");
      this.at += 1;
      tokens.push({ kind: "prefix", pieces: [{ oneOf: [[], [SLASH], ["any", SLASH]] }] });
      return undefined;
    }
    if (before !== "/" && !(this.branches.length > 1 && (before === "," || before === "{"))) return this.push("any");
    return this.recursive(tokens, next);
  }

  /**
   * `**` behind a slash.
   * @param {Token[]} tokens
   * @param {string|undefined} next
   */
  recursive(tokens, next) {
    const isSuffix = next === undefined || (this.branches.length > 1 && (next === "," || next === "}"));
    if (!isSuffix && next !== "/") return this.push("any");
    if (next === undefined || next === "/") this.at += 1;
    const last = tokens.pop();
    if (last?.kind === "prefix" || last?.kind === "suffix") tokens.push(last);
    else if (isSuffix) tokens.push({ kind: "suffix", pieces: [SLASH, "any"] });
    else tokens.push({ kind: "middle", pieces: [{ oneOf: [[SLASH], [SLASH, "any", SLASH]] }] });
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
    this.push(setOf(ranges.flatMap(([from, to]) => bytesOfRange(from, to)), negated));
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
 * A range of characters as ranges of bytes: it is between the last byte of the one and the first byte of the other.
 * @param {string} from
 * @param {string} to
 * @returns {[number, number][]}
 */
function bytesOfRange(from, to) {
  const first = [...bytesOf(from)];
  const last = from === to ? first.slice(-1) : [...bytesOf(to)];
  /** @type {[number, number][]} */
  const between = [[first[first.length - 1], last[0]]];
  for (const byte of [...first.slice(0, -1), ...last.slice(1)]) between.push([byte, byte]);
  return between;
}

/**
 * A place in a pattern: a byte of `set` leads to the places `next`; without a set nothing is needed to get there.
 * @typedef {{ set: Uint8Array|null, next: number[] }} Place
 */

/**
 * All places that a text is at behind one of its bytes, and where the next byte leads, once that is known.
 * @typedef {{ places: number[], next: (State|undefined)[] }} State
 */

/** States that are kept. */
const STATES = 1_000;

/** The places of a pattern, and the way of a text through them. */
export class Places {
  /** @param {string} pattern */
  constructor(pattern) {
    /** @type {Place[]} the end is the first */
    this.all = [{ set: null, next: [] }];
    const first = this.add(new Pattern(pattern).read(), 0);
    /** Places that were come to, each counted once a byte. */
    this.steps = 0;
    /** For each place the turn in which it was last come to. */
    this.seen = new Float64Array(this.all.length);
    this.turn = 0;
    /** @type {Map<string, State>} */
    this.states = new Map();
    this.start = this.behind([[first]]);
  }

  /**
   * Adds the places of parts in front of the place `next`; returns the first.
   * @param {Piece[]} pieces
   * @param {number} next
   */
  add(pieces, next) {
    let place = next;
    for (const piece of [...pieces].reverse()) {
      if (piece === "any") {
        const loop = this.all.push({ set: ONE.set, next: [] }) - 1;
        place = this.all.push({ set: null, next: [loop, place] }) - 1;
        this.all[loop].next.push(place);
      } else if ("oneOf" in piece) {
        const behind = place;
        const firsts = piece.oneOf.map((branch) => this.add(branch, behind));
        place = this.all.push({ set: null, next: firsts }) - 1;
      } else place = this.all.push({ set: piece.set, next: [place] }) - 1;
    }
    return place;
  }

  /**
   * Adds to `found` where one gets from these places without a byte, themselves included.
   * @param {number[]} places
   * @param {number[]} found
   */
  reach(places, found) {
    for (const place of places) {
      if (this.seen[place] === this.turn) continue;
      this.seen[place] = this.turn;
      this.steps += 1;
      const { set, next } = this.all[place];
      if (set || place === 0) found.push(place);
      else this.reach(next, found);
    }
  }

  /**
   * The state at all of these places.
   * @param {number[][]} places
   * @returns {State}
   */
  behind(places) {
    this.turn += 1;
    /** @type {number[]} */
    const found = [];
    for (const some of places) this.reach(some, found);
    const name = found.sort((a, b) => a - b).join();
    const known = this.states.get(name);
    if (known) return known;
    if (this.states.size >= STATES) {
      this.states.clear();
      this.start = { places: this.start.places, next: [] };
    }
    const state = { places: found, next: [] };
    this.states.set(name, state);
    return state;
  }

  /**
   * @param {State} state
   * @param {number} byte
   */
  step(state, byte) {
    const through = state.places.filter((place) => this.all[place].set?.[byte]);
    const next = this.behind(through.map((place) => this.all[place].next));
    state.next[byte] = next;
    return next;
  }

  /**
   * Whether the pattern is that of the whole text.
   * @param {string} text
   */
  fit(text) {
    let state = this.start;
    for (const byte of bytesOf(text)) {
      state = state.next[byte] ?? this.step(state, byte);
      if (state.places.length === 0) return false;
    }
    return state.places.includes(0);
  }
}

/**
 * Whether a text fits a pattern, as a function of the text.
 * @param {string} pattern
 * @returns {(text: string) => boolean}
 */
export function glob(pattern) {
  const places = new Places(pattern);
  return (text) => places.fit(text);
}
