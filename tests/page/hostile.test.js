// A capture whose every text tries to become markup, a script, or a request.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { go, made, number, open, openAll, place, report, rows, run, sample, selected } from "./harness.js";

test("nothing captured becomes markup, runs or requests anything", async () => {
  const file = report(made("hostile"));
  const { page, check, close } = await open(file);
  const shown = await rows(page);
  assert.ok(shown.length >= 20);
  const elements = () => page.$$eval("#page *, header *, section *", (all) => [...new Set(all.map((one) => one.localName))]);
  await openAll(page);
  for (const row of shown) {
    await go(page, `seq=${row.seq.replaceAll(",", "")}`);
    await page.$$eval("#detail button", (all) => all.filter((one) => one.textContent.startsWith("Show")).forEach((one) => { one.click(); }));
  }
  for (const name of await elements()) assert.ok(!["img", "svg", "iframe", "script", "object", "link", "base", "b", "a"].includes(name), name);
  // Controls and marks that turn a line around are shown as escapes.
  const text = await page.evaluate(() => document.querySelector("main").textContent);
  assert.ok(!/[\u202a-\u202e\u2066-\u2069\u200b\u2028]/u.test(text), "a mark that is not seen is on the page");
  assert.ok(text.includes("\\u{202e}"));
  await check();
  await close();
});

test("the text of hostile names is all there, as text", async () => {
  const { page, check, close } = await open(report(made("hostile")));
  const comms = (await rows(page)).map((row) => row.caller);
  for (const wanted of ["<img src=x onerror=pwned=1>", "</script>"]) {
    assert.ok(comms.some((comm) => comm.startsWith(wanted)), `${wanted}: ${comms}`);
  }
  await check();
  await close();
});

test("a name with a mark in front that is not seen is another name", async () => {
  const { page, check, close } = await open(report(made("hostile")));
  const all = await rows(page);
  const disguised = all.find((row) => row.caller.startsWith("\\u{feff}bash"));
  assert.ok(disguised && !all.some((row) => row.caller.startsWith("bash")), all.map((row) => row.caller).join(" "));
  await go(page, `seq=${number(disguised.seq)}`);
  assert.equal(await page.textContent("#detail pre.text"), "\\u{feff}bash");
  await go(page, "where=comm%20%3D%20bash");
  assert.equal(await selected(page), 0);
  await check();
  await close();
});

test("a text of a megabyte is cut, and shown in full when asked for", async () => {
  const { page, check, close } = await open(report(made("hostile")));
  await page.fill("#where", "argv is not null");
  await page.waitForFunction(() => location.hash.includes("where="));
  const [first] = await rows(page);
  await go(page, `seq=${first.seq}`);
  const value = await page.evaluateHandle(() =>
    [...document.querySelectorAll("#detail dl.fields > div")].find((div) => div.firstChild.textContent === "argv").lastChild,
  );
  assert.ok((await value.textContent()).length < 1_000);
  await (await value.$("button")).click();
  const whole = await value.$eval("textarea", (field) => field.value);
  assert.equal(whole, "<img src=x onerror=pwned=1>\\u{202e}".repeat(36_000));
  await check();
  await close();
});

test("the policy forbids what is not the page's own", async () => {
  const html = readFileSync(report(sample("mpi-pair")), "utf8");
  const changed = path.join(place, "changed.html");
  writeFileSync(changed, html.replace("</main>", "<script>pwned = 1</script><img src='x.png' onerror='pwned = 1'><p style='color:red'></p></main>"));
  const { page, heard, close } = await open(changed);
  assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
  // The browser names what it asks for, and then does not.
  const isForbidden = (line) => /violates the following Content Security Policy directive/.test(line) || line === `request: ${new URL("x.png", page.url())}`;
  assert.ok(heard.length >= 4 && heard.every(isForbidden), heard.join("\n"));
  await close();
});

test("a page that was damaged says so, and keeps its summary", async () => {
  const html = readFileSync(report(sample("mpi-pair")), "utf8");
  const data = /(data-stream="events"[^>]*>)([^<]+)/.exec(html);
  const damages = {
    short: html.replace(data[0], data[1] + data[2].slice(0, -8)),
    other: html.replace(data[0], data[1] + data[2].replace(/^.{40}/, "A".repeat(40))),
    gone: html.replace(/<script[^>]*data-stream="events"[^>]*>[^<]*<\/script>/, ""),
  };
  for (const [name, damaged] of Object.entries(damages)) {
    const file = path.join(place, `damaged-${name}.html`);
    writeFileSync(file, damaged);
    const { page, check, close } = await open(file, { ready: false });
    await page.waitForSelector("#problem p");
    assert.match(await page.textContent("#problem"), /The events cannot be shown: .*The summary above is complete/);
    assert.ok((await page.$$("#sentences p")).length > 0);
    await check();
    await close();
  }
});

test("what cannot be read makes no page", () => {
  const out = path.join(place, "none.html");
  const ran = run("vmtrace", "report", path.join(place, "missing.parquet"), "-o", out);
  assert.equal(ran.status, 2);
  assert.throws(() => readFileSync(out));
});
