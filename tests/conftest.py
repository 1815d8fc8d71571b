"""What every test may ask for: where the real data sets are, and the domains that there are."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Give the folder of real data sets; where the variable names one that is missing, that is a failure."""
    from real_data import GIVEN, ROOT  # here: a wrong folder fails the tests that need it

    if not GIVEN:
        pytest.skip("PLINTH_DATA names no folder of real data sets")
    return ROOT
