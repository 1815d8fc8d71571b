"""What the tests of finance share."""

from __future__ import annotations

import pytest

import finance
from core.report.run import Run


@pytest.fixture(scope="session")
def fraud_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a run of task=fraud with its studies, trained once."""
    run: Run = finance.train(
        "data.rows=2000",
        "training.epochs=6",
        "threads=1",
        "training.progress=none",
        "baseline=none",
        "evaluation.resamples=50",
        "evaluation.resamples_slow=20",
        folder=tmp_path_factory.mktemp("fraud") / "run",
    )
    return run
