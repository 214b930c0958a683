"""What all measurements share: running things in alternation, checking that recordings are exact, and saying what came of it."""

import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

SUITE = Path(__file__).resolve().parent


@dataclass
class Settings:
    """Where the programs are and how much is measured."""

    programs: Path  # vmtrace, calls, floor, capture, workload
    scratch: Path  # on the disk that is recorded to
    smoke: bool

    @property
    def python(self):
        """A Python with duckdb, pandas and pyarrow, if there is one."""
        venv = os.environ.get("VMTRACE_VENV")
        return f"{venv}/bin/python" if venv else sys.executable

    def program(self, name):
        return str(self.programs / name)

    def few(self, full, smoke):
        """How many of something: `smoke` of them where only the machinery is tried."""
        return smoke if self.smoke else full


class Failed(Exception):
    """A measurement that cannot be believed: there is no document then."""


@dataclass
class Row:
    """One goal, or one value without a goal. `limit` with `most` true is the largest value that meets it."""

    name: str
    value: float | None
    form: str  # how the value is written, such as "{:.2f} × bare"
    how: str
    limit: float | None = None
    most: bool = True
    why: str = ""  # where it is told why the goal is missed
    skipped: str = ""  # why there is no value

    def met(self):
        if self.limit is None or self.value is None:
            return None
        return self.value <= self.limit if self.most else self.value >= self.limit

    def cells(self):
        goal = "–" if self.limit is None else ("≤ " if self.most else "≥ ") + self.form.format(self.limit)
        value = f"not measured: {self.skipped}" if self.value is None else self.form.format(self.value)
        met = {True: "yes", False: f"**no** {self.why}".strip(), None: "–"}[self.met()]
        return [self.name, goal, value, met, self.how]


@dataclass
class Section:
    """What one group of measurements gives: rows for the table of goals, and a text with tables of its own."""

    title: str
    rows: list[Row] = field(default_factory=list)
    text: list[str] = field(default_factory=list)

    def table(self, heads, lines):
        self.text.append(table(heads, lines))


def table(heads, lines):
    """A Markdown table."""
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in [heads, ["---"] * len(heads), *lines])


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def execute(command, what, env=None, **more):
    """Runs a command to its end; its failure is ours."""
    ran = subprocess.run(command, env=os.environ | (env or {}), capture_output=True, text=True, check=False, **more)
    if ran.returncode != 0:
        raise Failed(f"{what}: status {ran.returncode}: {' '.join(map(str, command))}\n{ran.stderr.strip()[-2000:]}")
    return ran


@dataclass
class Sample:
    """One run of `calls`: what it did, and what was recorded of it."""

    made: int
    cpu_ns: int
    elapsed_ns: int
    expected: int = 0  # events that should have been recorded
    recorded: int | None = None  # of these, those that were; None where nothing records
    said: dict = field(default_factory=dict)  # all that `calls` printed

    @property
    def lost(self):
        """Fraction of the events that is not in what was recorded."""
        return None if self.recorded is None or not self.expected else 1 - self.recorded / self.expected


def calls_of(stdout):
    """What `calls`, or the workload, said it did: the last line that is JSON."""
    for line in reversed(stdout.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise Failed(f"the workload did not say what it did: {stdout[-500:]!r}")


def sample_of(stdout, recorded=None, per_call=1):
    said = calls_of(stdout)
    return Sample(said["made"], said["cpu_ns"], said["elapsed_ns"], said["made"] * per_call, recorded, said)


def bare(settings, *words):
    """`calls`, with nobody looking."""
    return sample_of(execute([settings.program("calls"), *map(str, words)], "calls").stdout)


def manifest_of(settings, capture):
    told = execute([settings.program("vmtrace"), "info", "-T", "json", str(capture)], "vmtrace info")
    return json.loads(told.stdout)["manifest"]


def lost_of(book):
    return sum(n for name, n in book.items() if name.startswith("lost_"))


def exact(manifest, done, context):
    """Recorded and lost together are what was done, for each event that the workload counted; and nothing else of its family
    was written. Returns both sums."""
    ledger = {book["event"]: book for book in manifest["ledger"]}
    for event, count in done.items():
        book = ledger.get(event, {})
        written, lost = book.get("written", 0), lost_of(book)
        if written + lost != count:
            raise Failed(f"{context}: {event}: {written} written and {lost} lost are not the {count} that were done")
    strays = [b["event"] for b in ledger.values() if b["written"] and b["event"] not in done and b["event"] not in LIFE]
    if strays:
        raise Failed(f"{context}: events that nobody made: {', '.join(strays)}")
    return sum(ledger[e]["written"] for e in done), sum(lost_of(ledger[e]) for e in done)


# Every process makes these.
LIFE = ("process_exec", "process_fork", "process_exit", "process_snapshot", "lost")


def record(settings, options, command, env=None):
    """Records a command that says what it did, and checks that the capture is exact. Returns the sample and the manifest."""
    capture = settings.scratch / "recorded.parquet"
    words = [settings.program("vmtrace"), "record", "-q", "--force", "-o", str(capture), *options, "--", *map(str, command)]
    said = calls_of(execute(words, "vmtrace record", env).stdout)
    # The workload has tallies by event, `calls` plain counts.
    done = {event: n["calls"] if isinstance(n, dict) else n for event, n in said["calls"].items()}
    manifest = manifest_of(settings, capture)
    written, _ = exact(manifest, done, f"record {' '.join(options)} -- {' '.join(map(str, command[1:]))}")
    said["capture_bytes"] = capture.stat().st_size
    capture.unlink()
    made = said.get("made", sum(done.values()))
    return Sample(made, said["cpu_ns"], said["elapsed_ns"], sum(done.values()), written, said), manifest


def vmtrace_side(settings, options, words, env=None):
    """A side that records `calls` with vmtrace."""
    return lambda: record(settings, options, [settings.program("calls"), *words], env)[0]


def alternate(rounds, sides):
    """Runs each side once a round, beginning with another one each time. Returns samples by side."""
    samples = {name: [] for name in sides}
    names = list(sides)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            samples[name].append(sides[name]())
    return samples


def ratio(samples, side, base, what="cpu_ns"):
    """Median over the rounds of what a call costs on one side, as a multiple of the other."""
    pairs = zip(samples[side], samples[base])
    return statistics.median(getattr(a, what) / a.made / (getattr(b, what) / b.made) for a, b in pairs)


def per_call(samples, side, what="cpu_ns"):
    """Median of ns for one call."""
    return statistics.median(getattr(sample, what) / sample.made for sample in samples[side])


def loss(samples, side):
    """Median of the fraction lost, None where nothing is recorded."""
    lost = [sample.lost for sample in samples[side] if sample.lost is not None]
    return statistics.median(lost) if lost else None


def percent(fraction):
    return "–" if fraction is None else f"{100 * fraction:.1f} %" if fraction else "0"


def cost_table(section, samples, base, label="side"):
    """One line a side: what a call takes of CPU and time, as multiples of `base`."""
    section.table(
        [label, f"CPU time, {base} = 1.00", f"time, {base} = 1.00", "CPU time of a call", "calls a round", "lost"],
        [
            [
                side,
                f"{ratio(samples, side, base):.2f}",
                f"{ratio(samples, side, base, 'elapsed_ns'):.2f}",
                f"{per_call(samples, side):,.0f} ns",
                f"{samples[side][0].made:,}",
                percent(loss(samples, side)),
            ]
            for side in samples
        ],
    )
