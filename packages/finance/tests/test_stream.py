"""What a monitor reads: lines of any content, files that are rotated, and clocks that are wrong."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import finance
from core.config import build
from core.report.run import Run
from finance.schema import DAY_MS
from finance.simulate.transactions import SCHEMA
from finance.stream.data_clock import AGREE, TOLERANCE_MS, DataClock
from finance.stream.jsonl_stream import (
    MAX_LINE,
    Label,
    Line,
    LineSplitter,
    Transaction,
    files_to_read,
    follow_file,
    head_of,
    parse_line,
    read_rest,
)
from finance.stream.state import State

COLUMNS = ("transaction", "card", "time", "amount", "terminal", "channel")
GOOD: dict[str, Any] = {
    "transaction": "T1",
    "card": "C1",
    "time": "2024-03-01T10:00:00",
    "amount": 12.5,
    "terminal": "M1",
    "channel": "shop",
}
TODAY = 20_000 * DAY_MS


def parsed(content: dict[str, Any]) -> Transaction | Label | None:
    return parse_line(Line(1, json.dumps(content).encode(), 0), SCHEMA, COLUMNS)


def dated(day: float, card: str = "C1", terminal: str | None = "M1", is_date: bool = True) -> Transaction:
    return Transaction(Line(1, b"", 0), None, card, card, terminal, round(day * DAY_MS), is_date, None, {})


# --- the clock of the data


@pytest.mark.parametrize("year", [2035, 2100, 9999])
def test_a_date_in_the_future_is_refused_and_moves_nothing(year: int) -> None:
    clock = DataClock(30 * DAY_MS, latest=19_990 * DAY_MS)
    after, reason = clock.advance(dated((year - 1970) * 365.25), now_ms=TODAY)
    assert after == clock
    assert "days in the future, by the clock of this machine" in reason
    for first in (DataClock(30 * DAY_MS), clock):  # nor the first line of all
        assert first.advance(dated((year - 1970) * 365.25), now_ms=TODAY)[1]


def test_a_jump_is_followed_when_cards_and_terminals_agree() -> None:
    clock = DataClock(30 * DAY_MS, latest=19_000 * DAY_MS)
    for n in range(AGREE * 3):  # a terminal with a wrong clock, whatever card it reads
        clock, reason = clock.advance(dated(19_500, f"C{n}", "M1"), now_ms=TODAY)
        assert "more than max_gap_days=30" in reason
    clock = DataClock(30 * DAY_MS, latest=19_000 * DAY_MS)
    for n in range(AGREE * 3):  # a card that is copied
        clock, reason = clock.advance(dated(19_500, "C1", f"M{n}"), now_ms=TODAY)
        assert reason
    clock = DataClock(30 * DAY_MS, latest=19_000 * DAY_MS)
    reasons = []
    for n in range(AGREE + 1):  # the stream has paused
        clock, reason = clock.advance(dated(19_500 + n, f"C{n}", f"M{n}"), now_ms=TODAY)
        reasons.append(bool(reason))
    assert reasons == [True] * (AGREE - 1) + [False, False]
    assert clock.latest == (19_500 + AGREE) * DAY_MS


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e8), st.booleans()), max_size=30),
    st.integers(0, 400),
)
def test_whatever_is_sent_the_clock_is_never_after_today(days: list[tuple[float, bool]], gap: int) -> None:
    clock = DataClock((1 + gap) * DAY_MS, latest=19_000 * DAY_MS)
    for day, one_terminal in days:
        before = clock.latest
        clock, reason = clock.advance(dated(day, terminal="M1" if one_terminal else None), now_ms=TODAY)
        assert clock.latest is not None
        assert before is not None
        assert before <= clock.latest <= max(before, min(before + (1 + gap) * DAY_MS, TODAY + TOLERANCE_MS))
        if reason:
            assert clock.latest == before
        restored = DataClock.restore(clock.max_gap_ms, str(clock.latest), clock.to_json())
        assert restored == clock


# --- lines


@pytest.mark.parametrize("value", [1e308, -1e305, 1e18, 10**400, True, None, [1], "1e400", "", "31.12.", {}])
def test_what_is_no_time_is_rejected(value: Any) -> None:
    with pytest.raises(ValueError, match="time"):
        parsed(GOOD | {"time": value})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"transaction": "\ud800", "fraud": 1}, "surrogate"),
        (GOOD | {"card": "\ud800"}, "surrogate"),
        (GOOD | {"\ud800": 1}, "surrogate"),
        (GOOD | {"amount": 1e13}, "not an amount"),
        (GOOD | {"amount": -1e308}, "not an amount"),
        (GOOD | {"card": {"a": 1}}, "name or a number"),
    ],
)
def test_a_line_that_would_harm_is_rejected_with_its_reason(content: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parsed(content)


def test_a_number_that_overflows_is_rejected() -> None:
    text = json.dumps(GOOD).replace('"shop"', "1e999").encode()
    with pytest.raises(ValueError, match="'channel' is a number too large"):
        parse_line(Line(1, text, 0), SCHEMA, COLUMNS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.binary(max_size=80)
    | st.fixed_dictionaries({}, optional=dict.fromkeys((*COLUMNS, "fraud"), JSON)).map(
        lambda some: json.dumps(GOOD | some).encode()
    )
)
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"9" * 10_000)
@example(b'{"transaction": "\\ud800", "fraud": 1}')
@settings(max_examples=300, deadline=None)
def test_every_line_is_read_or_rejected_with_a_reason(text: bytes) -> None:
    try:
        found = parse_line(Line(1, text, 0), SCHEMA, COLUMNS)
    except ValueError:
        return
    if isinstance(found, Transaction):
        assert abs(found.time) <= 2**53
        json.dumps(found.row, allow_nan=False).encode()
        assert found.card.encode()


@given(st.lists(st.binary(max_size=12).filter(lambda b: b"\n" not in b), max_size=8), st.integers(1, 9))
def test_lines_are_those_of_the_file_however_it_is_cut(lines: list[bytes], size: int) -> None:
    content = b"".join(line + b"\n" for line in lines) + b"rest"
    splitter = LineSplitter(5, 100)
    found = [
        line for at in range(0, len(content), size) for line in splitter.feed(content[at : at + size])
    ] + splitter.last()
    assert [line.text for line in found] == [*lines, b"rest"]
    assert [line.number for line in found] == list(range(6, 7 + len(lines)))
    ends = [100 + sum(len(one) + 1 for one in lines[: n + 1]) for n in range(len(lines))]
    assert [line.end for line in found] == [*ends, 100 + len(content)]


def test_of_an_endless_line_its_beginning_is_held_and_it_is_rejected() -> None:
    splitter = LineSplitter(0)
    for _ in range(40):
        assert splitter.feed(b"x" * (MAX_LINE // 8)) == []
        assert len(splitter.rest) <= MAX_LINE + MAX_LINE // 8
    (line, after) = splitter.feed(b"\nnext\n")
    assert line.cut
    assert line.end == 40 * (MAX_LINE // 8) + 1
    assert (after.text, after.end) == (b"next", line.end + 5)
    with pytest.raises(ValueError, match="longer than"):
        parse_line(line, SCHEMA, COLUMNS)


# --- files that are rotated


def take(stream: Iterator[list[Line]], count: int) -> list[bytes]:
    found: list[bytes] = []
    deadline = time.monotonic() + 20
    while len(found) < count and time.monotonic() < deadline:
        found += [line.text for line in next(stream)]
    return found


def test_a_file_that_is_rotated_while_it_is_followed_is_read_to_its_end_and_the_new_one_after_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"1\n2\n")
    stream = follow_file(path, LineSplitter(0), "", follow=True, poll=0.01)
    assert take(stream, 2) == [b"1", b"2"]
    with path.open("ab") as writer:  # which goes on for a moment after the move
        path.rename(tmp_path / "s.jsonl.1")
        assert next(stream) == []  # the path is missing
        path.write_bytes(b"4\n5\n")
        writer.write(b"3\n")
    assert take(stream, 3) == [b"3", b"4", b"5"]
    with path.open("ab") as file:
        file.write(b"6\n")
    assert take(stream, 1) == [b"6"]


def test_a_file_that_was_rotated_between_starts_is_finished_first(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"1\n2\n3\n")
    head = head_of(path, 4)
    path.rename(tmp_path / "s.jsonl.2")
    (tmp_path / "s.jsonl.1").write_bytes(b"4\n")
    (tmp_path / "s.alerts").write_bytes(b"no input\n")
    path.write_bytes(b"5\n6\n7\n8\n")
    files = files_to_read(path, 4, head, accept_new=False)
    assert files == [(tmp_path / "s.jsonl.2", 4), (tmp_path / "s.jsonl.1", 0), (path, 0)]
    rest = [line.text for lines in read_rest(files[0][0], LineSplitter(2, 4), head) for line in lines]
    assert rest == [b"3"]
    (tmp_path / "s.jsonl.2").unlink()
    with pytest.raises(ValueError, match="another file than the one that was read up to byte 4"):
        files_to_read(path, 4, head, accept_new=False)
    assert files_to_read(path, 4, head, accept_new=True) == [(path, 0)]


def test_a_file_that_is_written_over_is_not_read_from_its_middle(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"1\n2\n")
    stream = follow_file(path, LineSplitter(0), "", follow=True, poll=0.01)
    assert take(stream, 2) == [b"1", b"2"]
    path.write_bytes(b"other and longer\n")  # copied and cut, then grown again
    with pytest.raises(ValueError, match="became shorter"):
        take(stream, 9)


# --- the whole monitor


@pytest.fixture(scope="module")
def lines() -> list[str]:
    config = finance.train.configure("data.rows=300")
    frame: pd.DataFrame = build(config.data, config.task, 5).frame
    told = frame[[*COLUMNS, "fraud"]].assign(time=frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
    return [json.dumps(row) for row in told.to_dict("records")]


def alerts(path: Path) -> list[tuple[str, float]]:
    return [(a["id"], round(a["score"], 4)) for a in map(json.loads, path.read_text().splitlines())]


def test_poison_is_rejected_counted_and_changes_no_other_score(
    fraud_run: Run,
    lines: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("finance.stream.monitor.PRUNE_EVERY", 20)
    some = lines[:120]
    first = json.loads(some[0])
    poison = [
        json.dumps(
            first | {"transaction": "p1", "card": "P", "terminal": "Q", "time": "2035-01-01T00:00:00"}
        ),
        json.dumps(
            first | {"transaction": "p2", "card": "P", "terminal": "Q", "time": "2100-01-01T00:00:00"}
        ),
        json.dumps(first | {"transaction": "p3", "time": 1e308}),
        json.dumps(first | {"transaction": "p4", "amount": 1e308}),
        json.dumps({"transaction": "\ud800", "fraud": 1}),
        "[" * 100_000,
        '{"a":' * 100_000,
    ]
    mixed = [*some[:40], *poison, *some[40:]]
    clean, dirty = tmp_path / "clean.jsonl", tmp_path / "dirty.jsonl"
    clean.write_text("".join(f"{line}\n" for line in some))
    dirty.write_text("".join(f"{line}\n" for line in mixed) + "[" * 100_000)  # the last one unfinished
    for source in (clean, dirty):
        with caplog.at_level(logging.WARNING):
            counts = finance.monitor(
                f"run={fraud_run.path}",
                f"input={source}",
                f"output={source}.alerts",
                "threshold=0",
                "batch_size=16",
            )
        assert counts["transactions"] == len(some)
    assert counts["rejected"] == len(poison) + 1
    assert "ALARM: 8 of 128 lines (6.2 %) were rejected, more than 5 %" in caplog.text
    assert alerts(Path(f"{dirty}.alerts")) == alerts(Path(f"{clean}.alerts"))
    again = finance.monitor(
        f"run={fraud_run.path}", f"input={dirty}", f"output={dirty}.alerts", "threshold=0", "batch_size=16"
    )
    assert again == counts  # nothing waits for the next start
    for kept in ("alerts", "alerts.state", "alerts.rejects"):
        assert (tmp_path / f"dirty.jsonl.{kept}").stat().st_mode & 0o777 == 0o600


def test_a_monitor_that_accepts_nothing_fails(fraud_run: Run, lines: list[str], tmp_path: Path) -> None:
    source = tmp_path / "s.jsonl"
    renamed = [json.dumps({f"{k}_": v for k, v in json.loads(line).items()}) for line in lines[:30]]
    source.write_text("".join(f"{line}\n" for line in renamed))
    asked = (f"run={fraud_run.path}", f"input={source}", f"output={tmp_path / 'a.jsonl'}")
    with pytest.raises(ValueError, match=r"none of 30 lines was accepted; most often: .*are missing"):
        finance.monitor(*asked)
    assert len((tmp_path / "a.jsonl.rejects").read_text().splitlines()) == 30
    source.write_text("")
    with contextlib.suppress(ValueError):  # an emptied file is another one
        finance.monitor(*asked)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    counts = finance.monitor(asked[0], f"input={empty}", f"output={tmp_path / 'b.jsonl'}")
    assert counts["lines"] == 0  # nothing to accept is no failure


def test_a_rotated_stream_is_scored_as_if_it_were_one_file(
    fraud_run: Run, lines: list[str], tmp_path: Path
) -> None:
    whole, source = tmp_path / "whole.jsonl", tmp_path / "s.jsonl"
    whole.write_text("".join(f"{line}\n" for line in lines[:90]))
    common = (f"run={fraud_run.path}", "threshold=0")
    finance.monitor(*common, f"input={whole}", f"output={tmp_path / 'a.jsonl'}")
    source.write_text("".join(f"{line}\n" for line in lines[:40]))
    asked = (*common, f"input={source}", f"output={tmp_path / 'b.jsonl'}")
    finance.monitor(*asked)
    with source.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines[40:60]))
    source.rename(tmp_path / "s.jsonl.1")
    source.write_text("".join(f"{line}\n" for line in lines[60:90]))
    counts = finance.monitor(*asked)
    assert (counts["transactions"], counts["rejected"]) == (90, 0)
    assert alerts(tmp_path / "b.jsonl") == alerts(tmp_path / "a.jsonl")


def test_ids_are_remembered_up_to_a_limit(tmp_path: Path) -> None:
    state = State(tmp_path / "state", {}, {})
    many = [Transaction(Line(n, b"", 0), f"T{n}", "C", "C", None, n, True, None, {}) for n in range(100)]
    import numpy as np

    with state.atomic():
        state.store(many, np.zeros((100, 1)))
        assert state.usual_time() == 50
        state.prune(0, 0, max_ids=10)
    assert [state.find_transaction(f"T{n}") is not None for n in (89, 90, 99)] == [False, True, True]
    state.close()
