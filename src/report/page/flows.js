// Flows of bytes through pipes, in the words of `vmtrace flows`. Following one selects its calls.

import { button, make, table } from "./elements.js";
import { callsOf } from "./select.js";
import { count, size } from "./text.js";

/** Flows that are listed at first, and by each press of the button. */
const LISTED_FLOWS = 50;

/** The list. */
export class Flows {
  /**
   * @param {HTMLElement} place
   * @param {import("./events.js").Events} events
   * @param {import("./state.js").Store} store
   */
  constructor(place, events, store) {
    this.events = events;
    this.store = store;
    this.flows = events.facts.flows.map((flow, at) => ({ flow, number: at + 1, calls: callsOf(flow) }));
    this.most = LISTED_FLOWS;
    this.list = make("div", { className: "scroll" });
    this.note = make("p", { className: "muted" });
    this.more = button("Show more flows", () => {
      this.most += LISTED_FLOWS;
      this.show(this.selected, this.isAll);
    });
    place.append(this.list, this.note, this.more);
    /** @type {Uint32Array} */
    this.selected = new Uint32Array();
    this.isAll = true;
  }

  /**
   * The flows that an event is a part of.
   * @param {number} seq
   */
  of(seq) {
    return this.flows.filter((flow) => flow.calls.has(seq));
  }

  /**
   * Lists the flows of the selected events.
   * @param {Uint32Array} selected
   * @param {boolean} isAll
   */
  show(selected, isAll) {
    this.selected = selected;
    this.isAll = isAll;
    const wanted = this.wanted();
    const chosen = this.store.state.flow;
    const rows = wanted.slice(0, this.most).map(({ flow, number }) => [
      this.follow(String(number), String(number) === chosen),
      size(flow.bytes),
      flow.source_text,
      flow.way_text.replace(/^ → /, ""),
      flow.sink_text,
      this.certainty(flow),
    ]);
    const headings = ["Flow", "Bytes", "From", "Through", "To", "Certainty"];
    const made = rows.length > 0 ? [table("Where bytes came from, and where they went", headings, rows)] : [];
    this.list.replaceChildren(...made);
    this.more.hidden = wanted.length <= this.most;
    this.note.textContent = [...this.events.facts.flow_notes, this.describe(wanted.length, rows.length)].join(" ");
  }

  wanted() {
    if (this.isAll) return this.flows;
    if (this.events.facts.folded) return this.store.state.flow ? this.flows.filter(({ number }) => String(number) === this.store.state.flow) : [];
    const seqs = this.events.columns.numbers("seq");
    const selected = new Set();
    for (const row of this.selected) selected.add(seqs.number(row));
    return this.flows.filter(({ calls }) => [...calls].some((seq) => selected.has(seq)));
  }

  /**
   * @param {number} wanted
   * @param {number} listed
   */
  describe(wanted, listed) {
    const { flow_count: all, folded } = this.events.facts;
    if (all === 0) return "No bytes went through pipes that recorded calls have used, or on from a memory.";
    if (!this.isAll && folded) return "The rows of this page stand for several events, so a selection does not show which flows it has.";
    if (wanted === 0) return "No flow has a selected event.";
    return wanted > listed ? `${count(wanted - listed, "more flow")} not shown.` : "";
  }

  /**
   * @param {string} number
   * @param {boolean} isChosen
   */
  follow(number, isChosen) {
    return button(isChosen ? `${number}: leave` : `${number}: follow`, () => this.store.set({ flow: isChosen ? "" : number }), {
      "aria-pressed": isChosen,
      "aria-label": isChosen ? `Leave flow ${number}` : `Follow flow ${number}: select its calls`,
    });
  }

  /** @param {import("./events.js").Flow} flow */
  certainty(flow) {
    return flow.why_text ? `${flow.certainty_text}. ${flow.why_text}.` : flow.certainty_text;
  }
}
