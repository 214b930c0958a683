#!/usr/bin/env python3
"""The manifest of docs/containers.md; with --steps-here the steps of docs/ci.md on this system, where the clean Debian of
tests/package/check, which does them otherwise, cannot be entered.

    check.py VMTRACE [--steps-here]

--steps-here needs root and a system that can record. The last line is `documents: N passed, N failed`; exits 1 if anything
failed.
"""

import os
import re
import sys
from pathlib import Path

import kubernetes_validate
import yaml
from ci import Machine, ci

ROOT = Path(__file__).resolve().parents[2]
passed = failed = 0


def check(what, holds, found=""):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what}: {found}", file=sys.stderr)


def manifest():
    """The manifest for Kubernetes is one, and has the settings of the service."""
    documents = list(yaml.safe_load_all((ROOT / "packaging/kubernetes/vmtrace-flight.yaml").read_text()))
    for document in documents:
        try:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
            error = None
        except kubernetes_validate.ValidationError as raised:
            error = raised
        check(f"{document['kind']} of the manifest", error is None, error)
    settings = next(document["data"] for document in documents if document["kind"] == "ConfigMap")
    conf = dict(re.findall(r'^([A-Z]+)="(.*)"$', (ROOT / "packaging/flight.conf").read_text(), re.M))
    check("the manifest's settings are those of flight.conf", settings == conf, settings)
    container = next(document for document in documents if document["kind"] == "DaemonSet")["spec"]["template"]["spec"]["containers"][0]
    unit = (ROOT / "packaging/vmtrace-flight.service").read_text()
    added = " ".join(f"CAP_{name}" for name in container["securityContext"]["capabilities"]["add"])
    check("the manifest's capabilities are those of the unit", f"CapabilityBoundingSet={added}\n" in unit, added)
    version = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    check("the manifest's image has this version", container["image"].endswith(f":{version}"), container["image"])


def main():
    vmtrace = Path(sys.argv[1]).resolve()
    manifest()
    if "--steps-here" in sys.argv:
        ci(Machine("/", f"{vmtrace.parent}:{os.environ['PATH']}"), check)
    print(f"documents: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
