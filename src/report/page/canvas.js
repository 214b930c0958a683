// What the charts share: their size on the screen, their colours, and their axis of time.

import { seconds } from "./text.js";

/** @typedef {{ pen: CanvasRenderingContext2D, width: number, height: number }} Sheet */

/**
 * A canvas, cleared, with a pixel of its own for each of the screen's.
 * @param {HTMLCanvasElement} canvas
 * @param {number} height
 * @returns {Sheet|null} null where it has no size, as on a page that is not shown
 */
export function sheet(canvas, height) {
  const width = canvas.clientWidth;
  const pen = canvas.getContext("2d");
  if (!pen || width === 0) return null;
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.height = `${height}px`;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  return { pen, width, height };
}

/** Colours as the style sheet has them, by name. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  return (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
}

/**
 * Instants at round times, about `wanted` of them.
 * @param {[number, number]} range
 * @param {number} wanted
 */
function ticks([from, to], wanted) {
  const rough = Math.max(1, (to - from) / Math.max(1, wanted));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ?? 10 * power;
  const all = [];
  for (let at = Math.ceil(from / step) * step; at <= to && all.length < 50; at += step) all.push(at);
  return { all, step };
}

/**
 * Draws the axis of time.
 * @param {Sheet} on
 * @param {[number, number]} range
 * @param {(time: number) => number} x
 * @param {number} y
 */
export function axis({ pen, width }, range, x, y) {
  const colour = colours();
  const { all, step } = ticks(range, width / 130);
  const decimals = Math.min(9, Math.max(0, Math.ceil(-Math.log10(step / 1e9) - 1e-9)));
  pen.fillStyle = colour("muted");
  pen.strokeStyle = colour("line");
  pen.textAlign = "center";
  for (const at of all) {
    const text = seconds(at);
    const cut = decimals === 0 ? text.slice(0, -10) : text.slice(0, text.length - 9 + decimals);
    const half = pen.measureText(cut).width / 2 + 8;
    pen.beginPath();
    pen.moveTo(x(at), y - 9);
    pen.lineTo(x(at), y - 13);
    pen.stroke();
    pen.fillText(`${cut} s`, Math.min(Math.max(x(at), half), width - half), y);
  }
  pen.textAlign = "left";
}

/**
 * A range of time moved or stretched, within another.
 * @param {[number, number]} range
 * @param {[number, number]} whole
 * @param {number} by a part of its length
 * @param {number} factor
 * @returns {[number, number]}
 */
export function moved(range, whole, by, factor) {
  const length = Math.min(Math.max((range[1] - range[0]) * factor, 10), whole[1] - whole[0]);
  const middle = (range[0] + range[1]) / 2 + by * (range[1] - range[0]);
  const from = Math.min(Math.max(middle - length / 2, whole[0]), whole[1] - length);
  return [from, from + length];
}
