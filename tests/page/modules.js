// Modules of the page without a browser.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

let folder = "";

/** What a module of the page exports. A copy, which is marked as a module for every version of Node. */
export async function modules(name) {
  if (folder === "") {
    folder = mkdtempSync(path.join(tmpdir(), "vmtrace-modules-"));
    process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
    cpSync(fileURLToPath(new URL("../../src/report/page", import.meta.url)), folder, { recursive: true });
    writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }');
  }
  return import(pathToFileURL(path.join(folder, name)).href);
}
