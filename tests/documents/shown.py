"""What README.md and docs/runbook.md show, followed in a clean system that has the package. `system` is that of tests/package/check,
and `check` is told what holds."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARE = "/usr/share/doc/vmtrace"
BLOCK = re.compile(r"^```\n# (vmtrace [^\n]*)\n(.*?)^```$", re.M | re.S)


def as_nobody(system, where, command):
    """Status and output of a command of an ordinary user."""
    return system.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", f"cd {where} && {command} 2>/dev/null")


def outputs(system, check):
    """Commands with their output, as an ordinary user, where the package has them."""
    shown = 0
    place = "/tmp/case"
    system.run("install", "-d", "-o", "65534", place)
    system.run("cp", f"{SHARE}/samples/runner-secrets/runner-secrets.parquet", place)
    for document, where in (("README.md", SHARE), ("docs/runbook.md", place)):
        for command, output in BLOCK.findall((ROOT / document).read_text()):
            said = as_nobody(system, where, command)[1]
            check(f"{document}: {command}", said == output, said)
            shown += 1
    check("documents show commands", shown >= 14, shown)


def questions(system, check):
    """The questions of README.md, each with a command about a sample."""
    asked = re.findall(r"^(vmtrace [^\n#]* samples/[^\n#]*?) +# ", (ROOT / "README.md").read_text(), re.M)
    for command in asked:
        status, said = as_nobody(system, SHARE, command)
        check(f"README.md: {command}", status == 0 and 1 <= len(said.splitlines()) <= 5, (status, said))
    check("README.md asks five questions", len(asked) == 5, asked)


# What differs between recordings: the kernel's path of /proc begins with the directory that the system is entered through;
# whether mappings were named in time; numbers and units.
VARIES = ((r" /\S+(?=/proc/)", " "), (r", including .*", "."), (r"\d[\d.]*( ?(ms|us|ns|s|[KM]iB|B)\b)?", "N"))


def sentences(summary):
    """Those about accesses, without what differs between recordings."""
    text = "\n".join(line for line in summary.splitlines() if "Runner.Worker" in line)
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return text


def recording(system, check):
    """The recording that README.md begins with gets the sentences that it shows, and goes on as it says."""
    text = (ROOT / "README.md").read_text()
    command = re.search(r"^```\n(vmtrace record -o trace\.parquet [^\n]* runner\.py)\n```$", text, re.M)[1]
    shown = next(output for words, output in BLOCK.findall(text) if words.startswith("vmtrace summary --brief "))
    place = "/tmp/recorded"
    system.run("cp", "-r", f"{SHARE}/samples/runner-secrets", place)
    ran = system.shell(f"cd {place} && {command}")
    check(f"README.md: {command}", ran[0] == 0, ran)
    said = system.shell(f"cd {place} && vmtrace summary --brief trace.parquet")[1]
    check("the recording answers as README.md shows", sentences(said) == sentences(shown), said)
    further = re.findall(r"^(vmtrace (?:report|bundle|export) [^\n#]*?-o (\S+)) +# ", text, re.M)
    for command, made in further:
        ran = system.shell(f"cd {place} && {command} && test -s {made}")
        check(f"README.md: {command}", ran[0] == 0 and "trace.parquet" in command, ran)
    check("README.md goes on with that capture", len(further) == 3, further)
