// The events: their columns, and what every part of the page needs of each: when, who, whom, how many.

import { Columns, Texts } from "./columns.js";
import { Numbers } from "./numbers.js";
import { short } from "./text.js";

/**
 * What src/report/facts.rs says beside the rows. `summary` is that of `vmtrace summary -T json`, a flow that of
 * `vmtrace flows -T json` with its words.
 * @typedef {object} Facts
 * @property {number} version
 * @property {number} rows
 * @property {string} start_mono_ns
 * @property {string} start_realtime_ns
 * @property {import("./columns.js").Described[]} columns
 * @property {boolean} folded
 * @property {boolean} payload_left_out
 * @property {boolean} without_addresses Redaction took them away: they are 0 in the columns.
 * @property {{ name: string, is_call: boolean, between_files: boolean }[]} events
 * @property {Record<string, string[]>} words
 * @property {Flow[]} flows
 * @property {number} flow_count
 * @property {string[]} flow_notes
 * @property {Summary} summary
 */

/**
 * @typedef {object} End
 * @property {string} kind
 * @property {number|null} seq
 * @property {string|null} event
 * @property {number|null} pid
 * @property {string|null} comm
 */

/**
 * @typedef {object} Flow
 * @property {number} bytes
 * @property {End} source
 * @property {{ pipe: number, stream: number|null, moved_by: End|null }[]} pipes
 * @property {End} sink
 * @property {string} certainty
 * @property {string} source_text
 * @property {string} way_text
 * @property {string} sink_text
 * @property {string} certainty_text
 * @property {string|null} why_text
 */

/** @typedef {{ host?: string, pid: number, process_key: string|null, comm: string|null }} Who */

/**
 * @typedef {object} PairFacts
 * @property {Who} caller
 * @property {Who} [target]
 * @property {number} calls
 * @property {number} failures
 * @property {number} transfers
 * @property {number} bytes_in
 * @property {number} bytes_out
 */

/**
 * @typedef {object} Summary
 * @property {number} rows
 * @property {number} selected
 * @property {PairFacts[]} pairs
 * @property {PairFacts[]} without_target
 */

/**
 * A process, however it came into an event.
 * @typedef {object} Process
 * @property {string} host empty where the capture is of one host
 * @property {number} pid
 * @property {string} key
 * @property {string} id what stands for it in the page's fragment
 * @property {string} comm
 */

/** No process. */
export const NOBODY = -1;

/** The processes of all events. */
class Processes {
  constructor() {
    /** @type {Process[]} */
    this.all = [];
    /** @type {Map<string, number>} */
    this.places = new Map();
  }

  /**
   * The place of a process, which is added if it is new.
   * @param {string} host
   * @param {number} pid
   * @param {string} key
   */
  place(host, pid, key) {
    const onHost = key ? `${pid}@${key}` : String(pid);
    const id = host ? `${encodeURIComponent(host)}:${onHost}` : onHost;
    let place = this.places.get(id);
    if (place === undefined) {
      place = this.all.length;
      this.all.push({ host, pid, key, id, comm: "" });
      this.places.set(id, place);
    }
    return place;
  }
}

/**
 * The place of the process of each row; `NOBODY` where the row names none.
 * @param {Processes} processes
 * @param {Texts} hosts
 * @param {Numbers} pids
 * @param {Texts|null} keys
 * @param {Texts} comms
 * @param {(row: number) => boolean} counts
 */
function placesOf(processes, hosts, pids, keys, comms, counts) {
  const places = new Int32Array(pids.rows).fill(NOBODY);
  // By host.
  /** @type {Map<number, number>[]} */
  const knowns = [];
  for (let row = 0; row < pids.rows; row += 1) {
    if (pids.isNull(row) || !counts(row)) continue;
    const host = hosts.places[row];
    knowns[host] ??= new Map();
    const known = knowns[host];
    const pid = pids.number(row);
    const both = (keys ? keys.places[row] : 0) * 2 ** 32 + (pid >>> 0);
    let place = known.get(both);
    if (place === undefined) {
      place = processes.place(hosts.text(row), pid, keys?.text(row) ?? "");
      known.set(both, place);
    }
    places[row] = place;
    const comm = comms.places[row];
    if (comm !== 0 && comms.words[comm - 1] !== "") processes.all[place].comm = comms.words[comm - 1];
  }
  return places;
}

/** All events of the page. */
export class Events {
  /**
   * @param {Facts} facts
   * @param {Uint8Array} bytes
   */
  constructor(facts, bytes) {
    this.facts = facts;
    this.columns = new Columns(facts.columns, bytes);
    this.rows = this.columns.rows;
    if (this.rows !== facts.rows) throw new Error("rows are missing");
    this.kinds = this.columns.texts("event");
    const specs = this.kinds.words.map((word) => facts.events.find((event) => event.name === word));
    /** By place of the event's name: whether it is a call, goes between files, is a gap. */
    this.isCall = specs.map((spec) => spec?.is_call ?? true);
    this.isBetween = specs.map((spec) => spec?.between_files ?? false);
    this.lostPlace = this.kinds.words.indexOf("lost") + 1;
    this.times = this.timesOf("mono_ns");
    this.ends = facts.folded ? this.timesOf("until_ns") : this.times;
    const processes = new Processes();
    const isEvent = (/** @type {number} */ row) => !this.isLost(row);
    const columns = this.columns;
    const who = (/** @type {string} */ front) =>
      placesOf(
        processes,
        columns.texts("host"),
        columns.numbers(front ? "target_pid" : "pid"),
        columns.texts(front ? "target_key" : "process_key"),
        columns.texts(`${front}comm`),
        isEvent,
      );
    // Names of targets first: a caller's own name counts more.
    this.targets = who("target_");
    this.callers = who("");
    this.known = processes;
    this.processes = processes.all;
    this.weights = facts.folded ? columns.numbers("events") : null;
    /** @type {Uint8Array|null} */
    this.payload = null;
  }

  /**
   * Nanoseconds since the start of the recording.
   * @param {string} column
   */
  timesOf(column) {
    const numbers = this.columns.numbers(column);
    const start = BigInt(this.facts.start_mono_ns);
    const small = Number(start);
    const times = new Float64Array(this.rows);
    for (let row = 0; row < this.rows; row += 1) {
      times[row] = numbers.small ? numbers.small[row] - small : Number(numbers.exact(row) - start);
    }
    return times;
  }

  /**
   * How many events a row stands for.
   * @param {number} row
   */
  weight(row) {
    return this.weights ? this.weights.number(row) : 1;
  }

  /** @param {number} row */
  isLost(row) {
    return this.lostPlace > 0 && this.kinds.places[row] === this.lostPlace;
  }

  /**
   * From the first to the last event, ns since the start of the recording; not empty.
   * @returns {[number, number]}
   */
  get span() {
    let first = Infinity;
    let last = -Infinity;
    for (let row = 0; row < this.rows; row += 1) {
      first = Math.min(first, this.times[row]);
      last = Math.max(last, this.ends[row]);
    }
    return first <= last ? [first, Math.max(last, first + 1)] : [0, 1];
  }

  /**
   * The row with this number, or -1.
   * @param {number} seq
   */
  rowOf(seq) {
    const seqs = this.columns.numbers("seq");
    // Most captures number their rows from 0.
    const guess = seq - seqs.number(0);
    if (guess >= 0 && guess < this.rows && seqs.number(guess) === seq) return guess;
    for (let row = 0; row < this.rows; row += 1) if (seqs.number(row) === seq) return row;
    return -1;
  }

  /**
   * The place of a process by its id; -2, which no row has, where there is none.
   * @param {string} id
   */
  placeOf(id) {
    return this.known.places.get(id) ?? -2;
  }

  /**
   * The place of a process of the summary.
   * @param {Who|undefined} who
   */
  placeOfWho(who) {
    if (!who) return NOBODY;
    const place = this.known.place(who.host ?? "", who.pid, who.process_key ?? "");
    this.processes[place].comm ||= who.comm ?? "";
    return place;
  }

  /**
   * `python3[4211]`; `web1:python3[4211]` where the capture is of several hosts.
   * @param {number} place
   */
  nameOf(place) {
    const process = this.processes[place];
    if (!process) return "-";
    const name = process.comm ? `${short(process.comm, 40)}[${process.pid}]` : `pid ${process.pid}`;
    return process.host ? `${short(process.host, 40)}:${name}` : name;
  }
}
