"""The monitor's loop: take the lines that have come, score them, remember and write, and wait for more."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import from_dict
from core.data.readers.files import resolve_path, sha256
from core.serving.load import load
from core.serving.verbs import SIMULATED
from finance.stream.jsonl_stream import Label, Line, Transaction, follow_file, parse_line, read_stdin
from finance.stream.scorer import FraudScorer
from finance.stream.state import State, digest
from finance.stream.warm_start import warm_start

if TYPE_CHECKING:
    from core.domain import Domain
    from core.serving.load import Loaded
    from finance.schema import TransactionSchema
    from finance.stream.config import MonitorConfig

DAY = 86_400_000
COMPRESSED = (".gz", ".xz", ".zst", ".bz2", ".zip")
FORGET_EVERY = 20_000
"""Payments between two times at which what is too old is dropped."""


@dataclass
class Batch:
    """Lines that are scored together: payments in order of time, with the labels that came before them."""

    payments: list[Transaction] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    rejects: list[tuple[int, str]] = field(default_factory=list)
    """Line numbers, and what is written of them."""
    again: int = 0
    """Payments that were taken before."""
    last: Line | None = None


def run_monitor(config: MonitorConfig, domain: Domain) -> dict[str, int]:
    """Watch until the input ends (or an interrupt, with ``follow``); give the counts of this state.

    Raises ValueError for a run, an input, an output or a state that can't be used.
    """
    loaded = load(config.run, config.device)
    record = loaded.run.record
    if record.run.domain != domain.name or record.run.task != "fraud":
        raise ValueError(
            f"run={config.run}: a run of {record.run.domain}, task {record.run.task}; the monitor needs a fraud model"
        )
    schema = schema_of_run(loaded)
    for path in (Path(config.output), config.beside("rejects"), config.beside("state")):
        if not path.parent.is_dir():
            raise ValueError(f"output={config.output}: there is no folder {path.parent}; make it first")
    source = None if config.input == "-" else resolve_path(config.input, "input")
    if source is not None and source.suffix in COMPRESSED:
        raise ValueError(f"input={source}: it is compressed; give its lines on standard input: ... | input=-")
    identity = {
        "run": sha256(Path(config.run) / "record.json"),
        "input": "-" if source is None else str(source.absolute()),
    }
    files = {"output": Path(config.output), "rejects": config.beside("rejects")}
    state = State(config.beside("state"), identity, files)
    try:
        scorer = FraudScorer(loaded, schema, config.threshold)
        if config.history is not None and not state.fact("history"):
            warm_start(config.history, state, scorer)
        if record.data.simulated:
            print(f"note: {SIMULATED}", file=sys.stderr)
        if state.number("line"):
            print(f"going on after line {state.number('line')}", file=sys.stderr)
        elif schema.id is None:
            print(
                "note: the run names no column of ids (data.id): a line sent twice would be taken twice",
                file=sys.stderr,
            )
        try:
            _follow(config, source, state, scorer)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on", file=sys.stderr)
        counts = {
            name: state.number(name) for name in ("line", "taken", "labels", "again", "rejected", "alerts")
        }
    finally:
        state.close()
    print(
        f"{counts['line']} lines: {counts['taken']} transactions, {counts['labels']} labels, {counts['again']} sent "
        f"again, {counts['reject_entry']} rejected; {counts['alerts']} alerts: {Path(config.output).resolve()}"
    )
    return counts


def schema_of_run(loaded: Loaded) -> TransactionSchema:
    """Find how the run's transactions are laid out."""
    content = loaded.config["data"]
    source = from_dict("data", content)
    task = from_dict("task", loaded.config["task"])
    maker = getattr(source, "ledger", None)
    if maker is None and content["option"] != "simulated":
        raise ValueError(
            f"the run was trained with data={content['option']}, which says nothing of cards and times: train it with "
            "data=transactions to monitor a stream"
        )
    schema: TransactionSchema = (maker or task.schema)()
    return schema


def _follow(config: MonitorConfig, source: Path | None, state: State, scorer: FraudScorer) -> None:
    since = 0
    if source is None:
        arriving = read_stdin(state.number("line"))
    else:
        arriving = follow_file(
            source, state.number("offset"), state.number("line"), config.follow, config.poll
        )
    for lines in arriving:
        for batch in split_into_batches(lines, state, scorer, config.batch):
            _settle(batch, state, scorer)
            since += len(batch.payments)
        if since >= FORGET_EVERY:
            state.forget(state.number("latest") - round(2 * scorer.schema.memory * DAY), scorer.events)
            since = 0


def split_into_batches(
    lines: Sequence[Line], state: State, scorer: FraudScorer, most: int
) -> Iterator[Batch]:
    """Part lines into batches whose scores are those that the lines would have one by one.

    A batch ends where a label comes after a payment, and where a payment is older than the one before it.
    """
    batch = Batch()
    ids: set[str] = set()
    for line in lines:
        said: Transaction | Label | None = None
        wrong = ""
        try:
            said = parse_line(line, scorer.schema, scorer.columns)
        except ValueError as error:
            wrong = str(error)
        late = isinstance(said, Transaction) and batch.payments and said.time < batch.payments[-1].time
        after = isinstance(said, Label) and batch.payments
        if late or after or len(batch.payments) >= most or (isinstance(said, Transaction) and said.id in ids):
            yield batch
            batch, ids = Batch(), set()
        if wrong:
            batch.rejects.append(reject_entry(line, wrong))
        elif isinstance(said, Label):
            if state.known(said.id) is not None:
                batch.labels.append(said)
            else:
                batch.rejects.append(reject_entry(line, f"a label of {said.id!r}, which never came"))
        elif isinstance(said, Transaction):
            known = None if said.id is None else state.known(said.id)
            if known is not None:
                before, what = known
                if what == digest(said):
                    batch.again += 1
                else:
                    batch.rejects.append(
                        reject_entry(
                            line, f"{said.id!r} came in line {before} with other content; that one counts"
                        )
                    )
            else:
                batch.payments.append(said)
                if said.id is not None:
                    ids.add(said.id)
        batch.last = line
    if batch.last is not None:
        yield batch


def reject_entry(line: Line, reason: str) -> tuple[int, str]:
    """Write a line that can't be used, whole, with its number and why."""
    text = line.text.decode("utf-8", errors="backslashreplace")
    return line.number, json.dumps({"line": line.number, "reason": reason, "text": text}, ensure_ascii=False)


def _settle(batch: Batch, state: State, scorer: FraudScorer) -> None:
    """Score a batch and remember it; where it holds a value the model can't read, payment by payment."""
    assert batch.last is not None
    with state.batch():
        state.label(batch.labels)
        rejects, alerts, taken = list(batch.rejects), [], 0
        latest = state.number("latest")
        waiting = [batch.payments] if batch.payments else []
        while waiting:
            payments = waiting.pop(0)
            try:
                features, found = scorer.judge(payments, state)
            except ValueError as error:
                if len(payments) == 1:
                    rejects.append(reject_entry(payments[0].line, str(error)))
                else:
                    waiting = [[payment] for payment in payments]
                continue
            state.remember(payments, features)
            alerts += found
            taken += len(payments)
            latest = max(latest, payments[-1].time)
        state.write("output", alerts)
        state.write("rejects", [text for _, text in sorted(rejects)])
        new = {
            "taken": taken,
            "labels": len(batch.labels),
            "again": batch.again,
            "rejected": len(rejects),
            "alerts": len(alerts),
        }
        position = {"offset": batch.last.end, "line": batch.last.number, "latest": latest}
        state.keep({**{name: state.number(name) + more for name, more in new.items()}, **position})
