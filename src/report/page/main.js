// The page: unpacks its data, makes its parts, and shows in all of them what is selected.

import { byId, make } from "./elements.js";
import { unpack } from "./unpack.js";
import { Events } from "./events.js";
import { SELECTING, Store } from "./state.js";
import { select } from "./select.js";
import { Overview } from "./overview.js";
import { Lanes } from "./lanes.js";
import { Pairs } from "./pairs.js";
import { Flows } from "./flows.js";
import { Table } from "./table.js";
import { Detail } from "./detail.js";
import { Filter } from "./filter.js";

/** @typedef {import("./state.js").State} State */

/** What this script reads. */
const VERSION = 1;

/** @returns {Promise<Events>} */
async function read() {
  /** @type {import("./events.js").Facts} */
  const facts = JSON.parse(new TextDecoder().decode(await unpack("facts")));
  if (facts.version !== VERSION) throw new Error("the data are of another version");
  return new Events(facts, await unpack("events"));
}

/**
 * What a screen reader calls a button.
 * @param {Element} element
 */
function nameOfButton(element) {
  return element.getAttribute("aria-label") ?? element.textContent;
}

/**
 * Does something after which buttons may have been made anew: the same button has the focus then, or one near it.
 * @param {() => void} act
 */
function keepingFocus(act) {
  const before = document.activeElement;
  const part = before?.closest("#filter, #overview, #lanes, #pairs, #flows, #table, #detail");
  act();
  if (!before || !part || before.isConnected) return;
  const all = /** @type {HTMLElement[]} */ ([...part.querySelectorAll("button, input, [tabindex]")]);
  const same = all.find((element) => nameOfButton(element) === nameOfButton(before));
  (same ?? all[0])?.focus({ preventScroll: true });
}

/**
 * Makes the parts, and shows what is selected in all of them whenever that changes.
 * @param {Events} events
 */
function build(events) {
  // Charts have a size only where they are seen.
  byId("page").hidden = false;
  const store = new Store();
  const overview = new Overview(byId("overview"), events, store);
  const lanes = new Lanes(byId("lanes"), events, store);
  const pairs = new Pairs(byId("pairs"), events, store);
  const flows = new Flows(byId("flows"), events, store);
  const table = new Table(byId("table"), events, store);
  const detail = new Detail(byId("detail"), events, store, flows, () => table.rows);
  const filter = new Filter(events, store);
  let selected = new Uint32Array();
  const showAll = () => {
    let problem = "";
    try {
      selected = /** @type {Uint32Array<ArrayBuffer>} */ (select(store.state, events));
    } catch (error) {
      // What was selected before stays.
      problem = error instanceof Error ? error.message : String(error);
    }
    const isAll = selected.length === events.rows;
    for (const part of [overview, lanes, table]) part.show(selected);
    for (const part of [pairs, flows]) part.show(selected, isAll);
    filter.show(selected, problem);
    detail.show();
  };
  showAll();
  const change = (/** @type {State} */ state, /** @type {State} */ before) => {
    if (SELECTING.some((name) => String(state[name]) !== String(before[name]))) return showAll();
    if (state.sort !== before.sort) table.show(selected);
    if (state.seq !== before.seq) {
      table.follow(false);
      detail.show();
    }
    return lanes.draw();
  };
  store.listen((state, before) => keepingFocus(() => change(state, before)));
  const redraw = () => {
    overview.draw();
    lanes.draw();
  };
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  return detail;
}

async function start() {
  const events = await read();
  const detail = build(events);
  document.documentElement.dataset.ready = "events";
  events.payload = await unpack("payload");
  detail.show();
  document.documentElement.dataset.ready = "all";
}

start().catch((error) => {
  const why = error instanceof Error ? error.message : String(error);
  byId("problem").append(make("p", {}, `The events cannot be shown: ${why}. The summary above is complete.`));
});
