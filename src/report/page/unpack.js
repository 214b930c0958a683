// The data in the page: blocks of base64 in elements that the browser does not run, compressed with gzip.

/**
 * @param {string} text
 * @returns {Uint8Array}
 */
function fromBase64(text) {
  const native = /** @type {{fromBase64?: (text: string) => Uint8Array}} */ (/** @type {unknown} */ (Uint8Array));
  if (native.fromBase64) return native.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/**
 * The bytes of the stream called `name`, unpacked.
 * @param {string} name
 * @returns {Promise<Uint8Array>}
 */
export async function unpack(name) {
  const parts = [...document.querySelectorAll(`script[data-stream="${name}"]`)];
  const number = (/** @type {string} */ what) => Number(parts[0]?.getAttribute(what));
  const packed = new Uint8Array(number("data-whole"));
  let at = 0;
  for (const part of parts) {
    const bytes = fromBase64(part.textContent ?? "");
    if (bytes.length !== Number(part.getAttribute("data-length"))) throw new Error(`a block of ${name} is incomplete`);
    packed.set(bytes, at);
    at += bytes.length;
  }
  if (at === 0 || at !== packed.length) throw new Error(`blocks of ${name} are missing`);
  return inflate(packed, number("data-unpacked"), name);
}

/**
 * @param {Uint8Array} packed
 * @param {number} length
 * @param {string} name
 */
async function inflate(packed, length, name) {
  const blob = new Blob([/** @type {BlobPart} */ (packed)]);
  const reader = blob.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const out = new Uint8Array(length);
  let at = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    if (at + next.value.length > length) throw new Error(`${name} is longer than it should be`);
    out.set(next.value, at);
    at += next.value.length;
  }
  if (at !== length) throw new Error(`${name} is shorter than it should be`);
  return out;
}
