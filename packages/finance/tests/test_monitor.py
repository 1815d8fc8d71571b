"""The monitor as a bank would run it: killed, restarted, with invalid lines; nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import finance
from core.config import build
from core.report.run import Run
from core.serving.load import load
from finance.simulate.transactions import SCHEMA
from finance.windows import window_features

STREAM = ["transaction", "time", "card", "terminal", "amount", "channel", "fraud"]


@pytest.fixture(scope="module")
def run(fraud_run: Run) -> Path:
    return fraud_run.path


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    config = finance.train.configure("data.rows=300")
    return build(config.data, config.task, 5).frame


def lines_of(frame: pd.DataFrame) -> list[str]:
    told = frame[STREAM].assign(time=frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
    return [json.dumps(row) for row in told.to_dict("records")]


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def same(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> None:
    """The same alerts, once each: equal but for the last digits of a score made in batches of other sizes."""
    assert [a["id"] for a in left] == [a["id"] for a in right]
    assert len({a["id"] for a in left}) == len(left)
    np.testing.assert_allclose([a["score"] for a in left], [a["score"] for a in right], atol=1e-5)
    for a, b in zip(left, right, strict=True):
        assert [r["code"] for r in a["reasons"]] == [r["code"] for r in b["reasons"]]


def test_alerts_are_those_of_the_whole_table(run: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    source = write(tmp_path / "stream.jsonl", lines_of(frame))
    counts = finance.monitor(f"run={run}", f"input={source}", f"output={tmp_path / 'alerts.jsonl'}")
    assert counts["transactions"] == len(frame)
    assert counts["rejected"] == 0
    loaded = load(run)
    table = frame[STREAM].join(window_features(frame, SCHEMA))
    scores = loaded.scores(table, history=table)[:, 1]
    threshold = (loaded.thresholds or {})["yes"]
    alerts = read(tmp_path / "alerts.jsonl")
    assert [a["id"] for a in alerts] == list(frame["transaction"][scores >= threshold])
    np.testing.assert_allclose([a["score"] for a in alerts], scores[scores >= threshold], atol=1e-5)
    assert all(a["threshold"] == threshold for a in alerts)
    assert np.mean([bool(a["reasons"]) for a in alerts]) > 0.5  # a weak model may have nothing to name
    assert 0 < len(alerts) < len(frame)


@pytest.mark.parametrize("batch", [1, 37])
def test_batches_change_nothing(run: Path, frame: pd.DataFrame, tmp_path: Path, batch: int) -> None:
    lines = lines_of(frame.iloc[:150])
    lines[40], lines[60] = lines[60], lines[40]  # two that came out of order
    source = write(tmp_path / "stream.jsonl", lines)
    common = (f"run={run}", f"input={source}", "threshold=0")
    finance.monitor(*common, f"output={tmp_path / 'all.jsonl'}")
    finance.monitor(*common, f"output={tmp_path / 'few.jsonl'}", f"batch_size={batch}")
    assert len(read(tmp_path / "all.jsonl")) > 10
    same(read(tmp_path / "few.jsonl"), read(tmp_path / "all.jsonl"))


def test_rubbish_is_kept_with_its_number_and_reason(run: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    good = lines_of(frame.iloc[:60])
    first = json.loads(good[0])
    bad = {
        3: ("{not json", "not JSON"),
        7: ("[1, 2]", "not an object"),
        11: (
            json.dumps({k: v for k, v in first.items() if k != "amount"} | {"transaction": "x1"}),
            "'amount'",
        ),
        15: (json.dumps(first | {"transaction": "x2", "amount": "much"}), "'amount' should be a number"),
        19: (json.dumps(first | {"transaction": "x3", "time": "yesterday"}), "'time' should be a time"),
        23: (json.dumps(first | {"amount": 1.0}), "other content"),
        27: (json.dumps(first | {"transaction": "x4", "fraud": "perhaps"}), "a label is"),
        31: (json.dumps({"transaction": "never", "fraud": 1}), "which is unknown"),
        35: (json.dumps(first | {"transaction": "x5", "amount": float("nan")}), "not JSON"),
        39: (json.dumps(first | {"transaction": "x6", "time": 20_000}), "unlike in earlier lines"),
        41: (json.dumps(first | {"transaction": "x8", "channel": {"a": 1}}), "should be one value"),
        42: (json.dumps(first | {"transaction": "x9", "card": "\ud800"}), "surrogate"),
        43: (json.dumps(first | {"transaction": "x7", "card": None}), "'card' is empty"),
    }
    lines = list(good)
    for at in sorted(bad):
        lines.insert(at - 1, bad[at][0])
    raw = "".join(f"{line}\n" for line in lines).encode() + b"\n\xff\xfe\n"
    source = tmp_path / "stream.jsonl"
    source.write_bytes(raw)
    clean = write(tmp_path / "clean.jsonl", good)
    counts = finance.monitor(f"run={run}", f"input={source}", f"output={tmp_path / 'a.jsonl'}", "threshold=0")
    finance.monitor(f"run={run}", f"input={clean}", f"output={tmp_path / 'b.jsonl'}", "threshold=0")
    rejects = read(tmp_path / "a.jsonl.rejects")
    assert [r["line"] for r in rejects] == [*sorted(bad), len(lines) + 2]
    for reject, (text, said) in zip(rejects, [bad[at] for at in sorted(bad)], strict=False):
        assert said in reject["reason"], reject
        assert reject["text"] == text
    assert counts["transactions"] == len(good)
    assert counts["rejected"] == len(bad) + 1
    same(read(tmp_path / "a.jsonl"), read(tmp_path / "b.jsonl"))


def test_a_label_that_comes_later_counts_and_one_sent_twice_does_not(
    run: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    silent = frame.assign(fraud=None)
    terminal = frame["terminal"].value_counts().index[0]
    named = frame["transaction"][frame["terminal"] == terminal].iloc[:10].to_list()
    lines = []
    for id_, line in zip(frame["transaction"], lines_of(silent), strict=True):
        lines.append(line)
        if id_ in named:  # at once, and said twice; windows wait for the delay all the same
            lines += 2 * [json.dumps({"transaction": id_, "fraud": 1})]
    lines.append(lines[0])
    source = write(tmp_path / "s.jsonl", lines)
    counts = finance.monitor(f"run={run}", f"input={source}", f"output={tmp_path / 'a.jsonl'}", "threshold=0")
    assert (counts["labels"], counts["duplicates"], counts["transactions"]) == (20, 1, len(frame))
    known = pd.Series(["yes" if t in named else None for t in frame["transaction"]], dtype=object)
    whole = write(tmp_path / "t.jsonl", lines_of(silent.assign(fraud=known)))
    unknown = write(tmp_path / "u.jsonl", lines_of(silent))
    for name, at in (("b", whole), ("c", unknown)):
        finance.monitor(f"run={run}", f"input={at}", f"output={tmp_path / f'{name}.jsonl'}", "threshold=0")
    same(read(tmp_path / "a.jsonl"), read(tmp_path / "b.jsonl"))
    scores = [[alert["score"] for alert in read(tmp_path / f"{name}.jsonl")] for name in "bc"]
    assert not np.allclose(*scores, atol=1e-3), "the labels should matter"


def test_history_begins_a_new_state(run: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    lines = lines_of(frame)
    whole, rest = write(tmp_path / "whole.jsonl", lines), write(tmp_path / "rest.jsonl", lines[200:])
    frame.iloc[:200][STREAM].to_csv(tmp_path / "before.csv", index=False)
    finance.monitor(f"run={run}", f"input={whole}", f"output={tmp_path / 'a.jsonl'}", "threshold=0")
    finance.monitor(
        f"run={run}", f"input={rest}", f"output={tmp_path / 'b.jsonl'}", "threshold=0",
        f"history={tmp_path / 'before.csv'}",
    )  # fmt: skip
    same(read(tmp_path / "b.jsonl"), read(tmp_path / "a.jsonl")[200:])


def started(run: Path, source: Path | str, output: Path, *more: str, **how: Any) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "finance.monitor",
        f"run={run}",
        f"input={source}",
        f"output={output}",
        *more,
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        # tests that were themselves started in the background have it ignored, and would hand that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - there are no threads here
        **how,
    )


@pytest.mark.slow
def test_killed_several_times_it_ends_with_the_same_alerts_once_each(
    run: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    lines = lines_of(frame)
    lines.insert(100, "rubbish")
    source, output = write(tmp_path / "stream.jsonl", lines), tmp_path / "alerts.jsonl"
    asked = ("threshold=0", "batch_size=4")
    kills = 0
    for aim in (0.1, 0.4, 0.7):
        process = started(run, source, output, *asked)
        size = aim * 300 * 300  # about 300 bytes an alert
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if output.exists() and output.stat().st_size > size:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.005)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
    assert kills >= 2, "it was too quick to be killed"
    before = output.read_bytes()
    process = started(run, source, output, *asked)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "resuming after line" in err
    straight = tmp_path / "straight.jsonl"
    finance.monitor(f"run={run}", f"input={source}", f"output={straight}", *asked)
    same(read(output), read(straight))
    assert output.read_bytes().startswith(before)
    assert read(Path(f"{output}.rejects")) == read(Path(f"{straight}.rejects"))
    assert len(read(Path(f"{output}.rejects"))) == 1


@pytest.mark.slow
def test_a_file_that_grows_is_followed_and_an_alert_comes_at_once(
    run: Path, frame: pd.DataFrame, tmp_path: Path
) -> None:
    lines = lines_of(frame.iloc[:40])
    source, output = write(tmp_path / "stream.jsonl", lines[:20]), tmp_path / "alerts.jsonl"
    process = started(run, source, output, "threshold=0", "follow=true", "poll=0.05")

    def wait(count: int) -> None:
        deadline = time.monotonic() + 120
        while not output.exists() or len(output.read_text().splitlines()) < count:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    try:
        wait(20)
        with source.open("a") as file:
            file.write(lines[20] + "\n" + lines[21][:30])  # the second is still being written
            file.flush()
            wait(21)
            time.sleep(0.3)
            assert len(read(output)) == 21
            file.write(lines[21][30:] + "\n")
            file.flush()
            wait(22)
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "22 transactions" in out
    assert not read(Path(f"{output}.rejects"))


@pytest.mark.slow
def test_standard_input_sent_again_is_not_taken_twice(run: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    lines, output = lines_of(frame.iloc[:60]), tmp_path / "alerts.jsonl"
    for sent in (lines[:35], lines):
        process = started(run, "-", output, "threshold=0", stdin=subprocess.PIPE)
        out, err = process.communicate("".join(f"{line}\n" for line in sent), timeout=120)
        assert process.returncode == 0, err
    assert "35 duplicates" in out
    assert [a["id"] for a in read(output)] == list(frame["transaction"].iloc[:60])


def test_what_changed_between_starts_is_refused(run: Path, frame: pd.DataFrame, tmp_path: Path) -> None:
    source, output = write(tmp_path / "s.jsonl", lines_of(frame.iloc[:30])), tmp_path / "a.jsonl"
    asked = (f"run={run}", f"output={output}", "threshold=0")
    finance.monitor(*asked, f"input={source}")
    other = write(tmp_path / "other.jsonl", lines_of(frame.iloc[:10]))
    with pytest.raises(ValueError, match="belongs to another input"):
        finance.monitor(*asked, f"input={other}")
    source.write_text(source.read_text()[:500])
    with pytest.raises(ValueError, match="shorter than what was read"):
        finance.monitor(*asked, f"input={source}")
    write(source, lines_of(frame.iloc[:40]))
    output.write_text("")
    with pytest.raises(ValueError, match="shorter than what was written"):
        finance.monitor(*asked, f"input={source}")
    with pytest.raises(ValueError, match="no folder"):
        finance.monitor(f"run={run}", f"input={source}", f"output={tmp_path / 'no' / 'a.jsonl'}")


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['x', '--help']; import finance\n"
        "try: finance.monitor.main()\nexcept SystemExit as e: assert e.code == 0, e.code\n"
        "print('HEAVY', [m for m in ('torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("HEAVY []"), done.stdout[-200:]
    assert "follow=false" in done.stdout
