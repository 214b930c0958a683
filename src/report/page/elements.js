// Elements of the page. Text gets in as text alone: nothing here reads markup.

/**
 * An element with properties, attributes (`aria-…`, `data-…`, `role`, `for`, `colspan`, `scope`) and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (/^(aria-|data-|role$|for$|colspan$|scope$)/.test(name)) element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children);
  return element;
}

/**
 * The element of the page with this id, which the page has.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element ${id}`);
  return found;
}

/**
 * A button that does something.
 * @param {string} text
 * @param {(event: Event) => void} act
 * @param {Record<string, unknown>} [properties]
 */
export function button(text, act, properties = {}) {
  return make("button", { type: "button", onclick: act, ...properties }, text);
}

/**
 * A row of a table; the first cell is its heading.
 * @param {(Node|string)[]} cells
 * @param {boolean[]} [numbers] which of them are numbers
 */
export function tableRow(cells, numbers = []) {
  const all = cells.map((cell, at) => {
    const properties = { className: numbers[at] ? "number" : "" };
    return at === 0 ? make("th", { ...properties, scope: "row" }, cell) : make("td", properties, cell);
  });
  return make("tr", {}, ...all);
}

/**
 * A table with a caption and headings.
 * @param {string} caption
 * @param {string[]} headings
 * @param {(Node|string)[][]} rows
 * @param {boolean[]} [numbers]
 */
export function table(caption, headings, rows, numbers = []) {
  const head = headings.map((text, at) => make("th", { scope: "col", className: numbers[at] ? "number" : "" }, text));
  return make(
    "table",
    {},
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows.map((row) => tableRow(row, numbers))),
  );
}
