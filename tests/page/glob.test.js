// Patterns on texts of any length: the work is bounded. What patterns mean is compared with the command's in where.test.js.

import assert from "node:assert/strict";
import test from "node:test";
import { modules } from "./modules.js";

const { glob, Places } = await modules("glob.js");

/** Letters a and b in no order that repeats soon. */
function letters(length) {
  let state = 1;
  return Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state & 64 ? "a" : "b";
  }).join("");
}

test("many stars on a long text take a bounded number of steps", () => {
  const long = "foobarba".repeat(20_000);
  const cases = [
    ["*foo*bar*baz*", long, false],
    ["*foo*bar*baz*", `${long}z`, true],
    ["*a*a*a*a*a*a*a*a*a*a*c", "a".repeat(100_000), false],
    ["{*a,*b}*{*a,*o}*{*a*,b*}d", long, false],
    ["**/foo/**/*o*/**/x", "/foo".repeat(20_000), false],
    // Behind each letter it matters which of the last twelve were an a.
    ["*a????????????c", letters(50_000), false],
    ["*a????????????", `a${letters(50_000).slice(0, 12)}`, true],
    ["*", long, true],
  ];
  for (const [pattern, text, wanted] of cases) {
    const places = new Places(pattern);
    assert.equal(places.fit(text), wanted, pattern);
    assert.ok(places.steps <= (text.length + 1) * places.all.length, `${pattern}: ${places.steps} steps`);
    assert.ok(places.states.size <= 1_000, `${pattern}: ${places.states.size} states`);
  }
});

test("a pattern is that of a whole text, byte by byte", () => {
  const cases = [
    ["a*b*c", ["abc", "a-b-c", "abbcbc"], ["abcd", "ab", "acb", ""]],
    ["*ab*ab", ["abab", "aababxab"], ["ab", "aba"]],
    ["{a*,b}c", ["ac", "abc", "bc", "accc"], ["bbc", "c"]],
    ["{,a}b", ["ab"], ["b"]],
    ["é", ["é"], ["?", "é "]],
    ["??", ["é", "ab", "\n\n"], ["a", "€"]],
    ["[!a-c]x", ["dx", "\nx"], ["ax", "x"]],
    ["\ufeff*", ["\ufeffbash"], ["bash"]],
    ["", [""], ["a"]],
  ];
  for (const [pattern, some, others] of cases) {
    const fits = glob(pattern);
    for (const text of some) assert.ok(fits(text), `${pattern} and ${text}`);
    for (const text of others) assert.ok(!fits(text), `${pattern} and ${text}`);
  }
});
