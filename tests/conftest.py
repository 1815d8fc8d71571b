"""What every test may ask for: where the real data sets are, and the domains that there are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Give the folder of real data sets; where the variable names one that is missing, that is a failure."""
    given = os.environ.get("PLINTH_DATA")
    if not given:
        pytest.skip("PLINTH_DATA names no folder of real data sets")
    root = Path(given)
    assert root.is_dir(), f"PLINTH_DATA={given} is not a folder"
    return root
