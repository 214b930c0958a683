// What is selected and shown. All of it is in the fragment of the page's address, so that a link can lead to one event.

/**
 * @typedef {object} State
 * @property {string} where a condition
 * @property {[number, number]|null} time ns since the start, ends included
 * @property {string} process the id of one, as caller or target
 * @property {string} pair ids of caller and target with `>` between; the target may be empty
 * @property {string} flow the number of a flow, from 1
 * @property {string} seq the event that is shown in full
 * @property {string} sort a column, with `-` in front for the largest first
 * @property {[number, number]|null} zoom what the lanes show of the time
 */

/** @type {State} */
export const NOTHING = { where: "", time: null, process: "", pair: "", flow: "", seq: "", sort: "", zoom: null };

/** The parts that select events. */
export const SELECTING = /** @type {const} */ (["where", "time", "process", "pair", "flow"]);

/**
 * @param {string|null} text
 * @returns {[number, number]|null}
 */
function rangeOf(text) {
  const found = /^(-?\d{1,19})\.\.(-?\d{1,19})$/.exec(text ?? "");
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return from <= to ? [from, to] : null;
}

/**
 * The state that a fragment stands for. What cannot be read of it is left out.
 * @param {string} fragment
 * @returns {State}
 */
export function fromFragment(fragment) {
  const words = new URLSearchParams(fragment.replace(/^#/, ""));
  const text = (/** @type {string} */ name) => words.get(name) ?? "";
  const number = (/** @type {string} */ name) => (/^\d{1,20}$/.test(text(name)) ? text(name) : "");
  return {
    where: text("where"),
    time: rangeOf(words.get("time")),
    process: text("process"),
    pair: text("pair"),
    flow: number("flow"),
    seq: number("seq"),
    sort: /^-?[a-z_]+$/.test(text("sort")) ? text("sort") : "",
    zoom: rangeOf(words.get("zoom")),
  };
}

/**
 * @param {State} state
 */
export function toFragment(state) {
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (Array.isArray(value)) words.set(name, `${Math.floor(value[0])}..${Math.ceil(value[1])}`);
    else if (value) words.set(name, value);
  }
  return words.toString();
}

/** The state, and who must know when it changes. */
export class Store {
  constructor() {
    /** @type {State} */
    this.state = fromFragment(location.hash);
    /** @type {((state: State, before: State) => void)[]} */
    this.listeners = [];
    this.timer = 0;
    addEventListener("hashchange", () => this.become(fromFragment(location.hash)));
  }

  /** @param {(state: State, before: State) => void} listener */
  listen(listener) {
    this.listeners.push(listener);
  }

  /** @param {Partial<State>} changes */
  set(changes) {
    const state = { ...this.state, ...changes };
    const fragment = toFragment(state);
    if (fragment === toFragment(this.state)) return;
    this.become(state);
    // Browsers refuse many changes of the address in a short time.
    clearTimeout(this.timer);
    this.timer = setTimeout(() => history.replaceState(null, "", `#${toFragment(this.state)}`), 100);
  }

  /** @param {State} state */
  become(state) {
    const before = this.state;
    this.state = state;
    for (const listener of this.listeners) listener(state, before);
  }

  /** Takes every selection away. */
  clear() {
    this.set({ where: "", time: null, process: "", pair: "", flow: "" });
  }
}
