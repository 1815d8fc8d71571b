"""How fast ``--help`` is: modules imported, and processor time over that of importing hydra."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping

from core.regression.measurement import Check, Measurement

PAIRS, MORE_PAIRS = 3, 4
MODULES = "modules that --help imports beyond hydra's"
TIME = "time of --help over hydra's import"
HELP = """
import contextlib, importlib, io, json, sys, time
sys.argv = ["x", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    getattr(importlib.import_module({domain!r}), {verb!r}).main()
print(json.dumps([len(sys.modules), time.process_time(), "torch" in sys.modules]))
"""
REFERENCE = """
import json, sys, time
import hydra, omegaconf
print(json.dumps([len(sys.modules), time.process_time(), False]))
"""


def measure_startup(domain: str, limits: Mapping[str, float], verb: str = "train") -> Measurement:
    """Return the cost of ``python -m DOMAIN.VERB --help`` as a measurement of its own."""
    code = HELP.format(domain=domain, verb=verb)
    _started(code)  # compiles what is new, so that no call pays for it
    ratios: list[float] = []
    modules, torch_imported = _pairs(code, PAIRS, ratios)
    limit = limits.get(TIME)
    if limit is not None and statistics.median(ratios) > limit:
        _pairs(code, MORE_PAIRS, ratios)
    reason = "--help waits for torch: something on its way imports it"
    return Measurement(
        0,
        {MODULES: float(modules), TIME: statistics.median(ratios)},
        checks=[Check("torch imported by --help", float(torch_imported), 0.0, False, reason)],
    )


def _pairs(code: str, pairs: int, ratios: list[float]) -> tuple[int, bool]:
    for _ in range(pairs):
        reference, _, reference_seconds = _started(REFERENCE)
        modules, torch_imported, seconds = _started(code)
        ratios.append(seconds / reference_seconds)
    return modules - reference, torch_imported


def _started(code: str) -> tuple[int, bool, float]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        raise ValueError(f"--help fails: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    modules, seconds, torch_imported = json.loads(done.stdout.strip().splitlines()[-1])
    return int(modules), bool(torch_imported), float(seconds)
