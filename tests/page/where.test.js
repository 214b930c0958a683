// Conditions on the page select what `vmtrace replay --where` selects, and are refused where that refuses them.

import assert from "node:assert/strict";
import test from "node:test";
import { go, made, number, open, report, rows, run, sample } from "./harness.js";

const CONDITIONS = [
  "pid > 0",
  "errno = EPERM",
  "errno == 'EPERM'",
  "errno != EPERM",
  "errno is null",
  "errno is not null and bytes = 0",
  "not errno = EFAULT",
  "not (errno = EFAULT and pid > 0)",
  "bytes >= 1K",
  "bytes>=4K or bytes<10",
  "bytes > 1M",
  "dur_ns > 10us",
  "dur_ns is null",
  "dur_ns < 1ms and dur_ns > 1us",
  "toctou = false",
  "toctou != true",
  "toctou is null",
  "comm ~ p*",
  "comm !~ p*",
  "comm ~ *[0-9]",
  "comm ~ '[!a-m]*'",
  "comm ~ {python3,writer,sh}",
  "comm ~ '*{er,on?}'",
  "exe ~ '/usr/*'",
  "exe ~ '/usr/**'",
  "exe ~ '**/bin/*'",
  "exe ~ '/**/python3*'",
  "exe ~ '/usr/**/*'",
  "exe ~ '[]/-]*'",
  "comm ~ '*[a-z-]'",
  "comm ~ \\p*",
  "comm ~ '?????'",
  "comm ~ '*é*'",
  "exe ~ '*s*r*b*'",
  "comm ~ '{*t*n,w*r,*h}*'",
  "comm ~ '*??>'",
  "comm = bash",
  "comm ~ '?*bash'",
  "comm = '<img src=x onerror=pwned=1>'",
  'comm = "it\'s"',
  "fd_in_path ~ *mem",
  "event = process_vm_readv and direction = in",
  "event ~ 'process_*' AND NOT event ~ *exec",
  "event = process_vm_readv or event = pipe_read or event = vmsplice",
  "(event = splice or event = tee) and bytes > 0",
  "pid = 1 or pid = 2 or not pid = 3",
  "local_iov is not null",
  "remote_iov is null",
  "payload is not null",
  "payload is null",
  "payload_len > 16",
  "ret = -1",
  "ret<0",
  "ret >= -100",
  "data > -1",
  "data = 18446744073709551615",
  "data = 0xffffffffffffffff",
  "start_ns > 1000",
  "mono_ns > 0",
  "ts > 2020-01-01T00:00:00Z",
  "ts > '2026-01-01T00:00:00.123456+01:00'",
  "ts < 2026-11-29T22:00:00z",
  "seq >= 10 and seq<20",
  "seq = 0x10",
  "pipe_in is not null or pipe_out is not null",
  "target_pid is not null and target_comm is not null",
  "uid = 4294967295",
  "lost_count > 0",
  "advice is not null or ptrace_request is not null",
  "ptrace_request = 99",
  "iov_verdict != kernel",
  "not not pid > 0",
];

const REFUSED = [
  "erno = EPERM",
  "pid = 1 and target = 2",
  "pid",
  "pid = ",
  "pid = and",
  "pid = 1 pid = 2",
  "(pid = 1",
  "pid = 1)",
  "pid = one",
  "pid = 1K",
  "bytes = 1T",
  "pid ~ 1",
  "comm < a",
  "comm ~ [a",
  "comm ~ {a",
  "comm ~ a}",
  "comm ~ [b-a]",
  "comm ~ 'a\\'",
  "comm = 'a",
  "§ = 1 or ü = 2",
  "comm = 'ü' or ü = 2",
  "toctou = maybe",
  "toctou > true",
  "payload = x",
  "local_iov = 1",
  "ts > yesterday",
  "ts > 2026-02-30T00:00:00Z",
  "pid is 1",
  "errno = EPREM",
  "event = process_vm_write",
  "ptrace_request = ATTACH",
  "and",
  "not",
  `${"(".repeat(70)}pid = 1`,
  "pid = 18446744073709551616",
  "pid = 0x",
  "pid = --1",
];

/** What the command selects, without gaps, which it always shows. */
function wanted(capture, condition) {
  const ran = run("vmtrace", "replay", "-T", "jsonl", "--where", condition, capture);
  if (ran.status === 2) return { problem: /at character \d+: /.exec(ran.err)?.[0] };
  const events = ran.out.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  return { seqs: events.filter((event) => event.event !== "lost").map((event) => event.seq) };
}

for (const [name, capture] of [
  ["failing-caller", () => sample("failing-caller")],
  ["hostile", () => made("hostile")],
]) {
  test(`conditions select the same events of ${name}`, async () => {
    const file = capture();
    const { page, check, close } = await open(report(file));
    let some = 0;
    for (const condition of CONDITIONS) {
      const { seqs, problem } = wanted(file, condition);
      assert.equal(problem, undefined, condition);
      await go(page, `where=${encodeURIComponent(condition)}`);
      assert.equal(await page.textContent("#where-problem"), "", condition);
      const shown = (await rows(page)).filter((row) => row.event !== "lost");
      assert.deepEqual(shown.map((row) => number(row.seq)), seqs, condition);
      some += seqs.length > 0 ? 1 : 0;
    }
    assert.ok(some > 20, `only ${some} conditions selected anything`);
    await check();
    await close();
  });
}

test("conditions are refused at the same place", async () => {
  const file = sample("failing-caller");
  const { page, check, close } = await open(report(file));
  for (const condition of REFUSED) {
    const { problem } = wanted(file, condition);
    assert.ok(problem, condition);
    await go(page, `where=${encodeURIComponent(condition)}`);
    const shown = await page.textContent("#where-problem");
    assert.ok(shown.startsWith(problem), `${condition}: ${shown} and not ${problem}`);
    assert.equal(await page.getAttribute("#where", "aria-invalid"), "true");
  }
  await go(page, "where=");
  assert.equal(await page.textContent("#where-problem"), "");
  await check();
  await close();
});
