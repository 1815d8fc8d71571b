"""The folder of real data sets, for tests that need one: without PLINTH_DATA they are skipped, a wrong folder fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

GIVEN = os.environ.get("PLINTH_DATA")
ROOT = Path(GIVEN or "/nowhere")
assert not GIVEN or ROOT.is_dir(), f"PLINTH_DATA={GIVEN} is not a folder"

needs_data = pytest.mark.skipif(not GIVEN, reason="PLINTH_DATA names no folder of real data sets")
