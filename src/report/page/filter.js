// The line with the condition, and what else is selected.

import { button, byId, make } from "./elements.js";
import { count, seconds } from "./text.js";

/** How long typing pauses before the condition is read, ms. */
const PAUSE = 200;

/** The line. */
export class Filter {
  /**
   * @param {import("./events.js").Events} events
   * @param {import("./state.js").Store} store
   */
  constructor(events, store) {
    this.events = events;
    this.store = store;
    this.input = /** @type {HTMLInputElement} */ (byId("where"));
    this.problem = byId("where-problem");
    this.chips = byId("chips");
    this.status = byId("status");
    let timer = 0;
    this.input.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.take(), PAUSE);
    });
    byId("filter").addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(timer);
      this.take();
    });
    this.typed = "";
    this.all = 0;
    for (let row = 0; row < events.rows; row += 1) if (!events.isLost(row)) this.all += events.weight(row);
  }

  /** Takes the condition as it was typed. */
  take() {
    this.typed = this.input.value;
    this.store.set({ where: this.typed });
  }

  /**
   * @param {Uint32Array} selected
   * @param {string} problem what is wrong with the condition
   */
  show(selected, problem) {
    const { state } = this.store;
    // What is typed meanwhile stays.
    if (state.where !== this.typed) {
      this.typed = state.where;
      this.input.value = state.where;
    }
    this.input.setAttribute("aria-invalid", String(problem !== ""));
    this.problem.textContent = problem;
    this.chips.replaceChildren(...this.selections(state));
    let events = 0;
    for (const row of selected) if (!this.events.isLost(row)) events += this.events.weight(row);
    const rows = this.events.facts.folded ? ` (${count(selected.length, "row")})` : "";
    const status = `${count(events, "event")}${rows} of ${count(this.all, "event")} selected`;
    this.status.textContent = status;
  }

  /** @param {import("./state.js").State} state */
  selections(state) {
    const { events } = this;
    const name = (/** @type {string} */ id) => events.nameOf(events.placeOf(id));
    const all = [];
    const chip = (/** @type {string} */ text, /** @type {Partial<import("./state.js").State>} */ without) =>
      all.push(make("span", { className: "chip" }, text, " ", button("×", () => this.store.set(without), { "aria-label": `Take away: ${text}` })));
    if (state.time) chip(`${seconds(state.time[0])} to ${seconds(state.time[1])} s`, { time: null });
    if (state.process) chip(name(state.process), { process: "" });
    if (state.pair) {
      const [caller, target] = state.pair.split(">");
      chip(target ? `${name(caller)} on ${name(target)}` : `${name(caller)} without a target`, { pair: "" });
    }
    if (state.flow) chip(`flow ${state.flow}`, { flow: "" });
    if (all.length > 0 || state.where) all.push(button("Clear all", () => this.store.clear()));
    return all;
  }
}
