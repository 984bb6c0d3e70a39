"""Runs in the fuzzer's environment: libFuzzer over one target, our protocols instrumented. Started by ``tests.fuzz.run``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["protocols"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()
