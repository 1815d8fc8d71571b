"""The loop of the monitor: read new lines, score them, store and write, and wait for more."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.config import from_dict
from core.data.readers.files import resolve_path, sha256
from core.report.console import print_lines
from core.report.sentences.notices import SIMULATED_MODEL
from core.serving.load import load
from finance.schema import DAY_MS
from finance.stream.data_clock import DataClock
from finance.stream.jsonl_stream import (
    Label,
    Line,
    LineSplitter,
    Transaction,
    files_to_read,
    follow_file,
    parse_line,
    read_rest,
    read_stdin,
)
from finance.stream.scorer import FraudScorer
from finance.stream.state import State, digest
from finance.stream.warm_start import warm_start

if TYPE_CHECKING:
    from core.domain import Domain
    from core.serving.load import LoadedRun
    from finance.schema import TransactionSchema
    from finance.stream.config import MonitorConfig

COMPRESSED = (".gz", ".xz", ".zst", ".bz2", ".zip")
PRUNE_EVERY = 20_000
"""Transactions between two deletions of what is too old."""
MAX_REJECT_RATE = 0.05
"""Fraction of rejected lines above which the monitor gives an alarm."""
ALARM_AFTER = 1000
"""Lines after which the fraction is looked at anew."""
UNREADABLE = (ValueError, TypeError, ArithmeticError)
"""What a line's content may raise: it is rejected, and the monitor goes on."""
COUNTS = ("lines", "transactions", "labels", "duplicates", "rejected", "alerts")
log = logging.getLogger(__name__)


@dataclass
class Batch:
    """Lines that are scored together: transactions in order of time, with the labels that came before them."""

    transactions: list[Transaction] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    rejects: list[tuple[int, str]] = field(default_factory=list)
    """Line numbers, and the entries of the file of rejects."""
    duplicates: int = 0
    """Transactions that are stored already."""
    last: Line | None = None
    clock: DataClock | None = None
    """The clock of the data after the last line."""


@dataclass
class RejectRate:
    """Rejected lines since the start, and since the last alarm."""

    where: Path
    lines: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    _since: tuple[int, int] = (0, 0)

    def add(self, lines: int, rejects: Sequence[str]) -> None:
        """Count lines and the reasons of rejected ones; warn after every ``ALARM_AFTER`` lines."""
        self.lines += lines
        self.rejected += len(rejects)
        self.reasons.update(rejects if len(self.reasons) < 1000 else ())
        if self.lines - self._since[0] >= ALARM_AFTER:
            self._warn(self.lines - self._since[0], self.rejected - self._since[1])
            self._since = (self.lines, self.rejected)

    def end(self, accepted: int) -> None:
        """Warn of the lines since the start; raises ValueError where there were some and none was accepted."""
        if self.rejected and not accepted:
            raise ValueError(
                f"input: none of {self.rejected} lines was accepted; most often: {self._reason()}. They are in "
                f"{self.where}, each with its reason"
            )
        self._warn(self.lines, self.rejected)

    def _warn(self, lines: int, rejected: int) -> None:
        if rejected > MAX_REJECT_RATE * lines:
            log.warning(
                "ALARM: %d of %d lines (%.1f %%) were rejected, more than %g %%; most often: %s. They are in %s",
                *(rejected, lines, 100 * rejected / lines, 100 * MAX_REJECT_RATE, self._reason(), self.where),
            )

    def _reason(self) -> str:
        return self.reasons.most_common(1)[0][0]


def watch(config: MonitorConfig, folder: Path, domain: Domain) -> dict[str, int]:
    """Run the command ``monitor``; return the counts."""
    return run_monitor(config, domain)


def print_counts(counts: dict[str, int]) -> None:
    """Print what a monitor has counted."""
    print_lines(
        f"{counts['lines']} lines: {counts['transactions']} transactions, {counts['labels']} labels, "
        f"{counts['duplicates']} duplicates, {counts['rejected']} rejected; {counts['alerts']} alerts"
    )


def run_monitor(config: MonitorConfig, domain: Domain) -> dict[str, int]:
    """Monitor until the input ends (or an interrupt, with ``follow``); return the counts of this state.

    Raises ValueError for a run, an input, an output or a state that can't be used.
    """
    loaded = load(config.run, config.device)
    record = loaded.run.record
    if record.run.domain != domain.name or record.run.task != "fraud":
        raise ValueError(
            f"run={config.run}: a run of {record.run.domain}, task {record.run.task}; the monitor needs a fraud model"
        )
    schema = schema_of_run(loaded)
    for path in (Path(config.output), config.rejects_path, config.state_path):
        if not path.parent.is_dir():
            raise ValueError(f"output={config.output}: there is no folder {path.parent}; create it first")
    source = None if config.input == "-" else resolve_path(config.input, "input")
    if source is not None and source.suffix in COMPRESSED:
        raise ValueError(f"input={source}: it is compressed; pipe its lines to standard input: ... | input=-")
    identity = {
        "run": sha256(Path(config.run) / "record.json"),
        "input": "-" if source is None else str(source.absolute()),
    }
    files = {"output": Path(config.output), "rejects": config.rejects_path}
    state = State(config.state_path, identity, files)
    try:
        scorer = FraudScorer(loaded, schema, config.threshold)
        if config.history is not None and not state.get_metadata("history"):
            warm_start(config.history, state, scorer)
        if record.data.simulated:
            log.warning(SIMULATED_MODEL)
        if state.get_count("lines"):
            log.info("resuming after line %d", state.get_count("lines"))
        elif schema.id is None:
            log.warning("the run has no column of ids (data.id): duplicates of a line can't be told")
        before = {name: state.get_count(name) for name in COUNTS}
        rate = RejectRate(config.rejects_path)
        try:
            _follow(config, source, state, scorer, rate)
        except KeyboardInterrupt:
            log.info("interrupted; the same command resumes")
        counts = {name: state.get_count(name) for name in COUNTS}
        rate.end(sum(counts[name] - before[name] for name in ("transactions", "labels", "duplicates")))
        return counts
    finally:
        state.close()


def schema_of_run(loaded: LoadedRun) -> TransactionSchema:
    """Return the schema of the transactions that a run was trained on."""
    content = loaded.config["data"]
    source = from_dict("data", content)
    if content["option"] == "simulated":
        source = from_dict("task", loaded.config["task"])
    if not hasattr(source, "schema"):
        raise ValueError(
            f"the run was trained with data={content['option']}, which has no columns of cards and times: train it "
            "with data=transactions to monitor a stream"
        )
    schema: TransactionSchema = source.schema()
    column = loaded.contract.columns.get(schema.time)
    return schema if column is None else replace(schema, date_order=column.order)


def _follow(
    config: MonitorConfig, source: Path | None, state: State, scorer: FraudScorer, rate: RejectRate
) -> None:
    since_pruning = 0
    for lines in _stream(config, source, state):
        for batch in split_into_batches(lines, state, scorer, config.batch_size, config.max_gap_days):
            read = state.get_count("lines")
            rejects = _process(batch, state, scorer)
            rate.add(state.get_count("lines") - read, rejects)
            since_pruning += len(batch.transactions)
        present = state.usual_time() if since_pruning >= PRUNE_EVERY else None
        if present is not None:
            state.prune(present - 2 * scorer.lookback_ms, scorer.max_events, config.max_ids)
            since_pruning = 0


def _stream(config: MonitorConfig, source: Path | None, state: State) -> Iterator[list[Line]]:
    number = state.get_count("lines")
    if source is None:
        yield from read_stdin(number)
        return
    head = state.get_metadata("head")
    files = files_to_read(source, state.get_count("offset"), head, config.accept_new_file)
    splitter = LineSplitter(number, files[0][1])
    for former, _ in files[:-1]:
        yield from read_rest(former, splitter, head)
        splitter, head = LineSplitter(splitter.number), ""
    yield from follow_file(source, splitter, head if files[-1][1] else "", config.follow, config.poll)


def split_into_batches(
    lines: Sequence[Line], state: State, scorer: FraudScorer, batch_size: int, max_gap_days: float
) -> Iterator[Batch]:
    """Yield batches of lines whose scores are those that the lines would have one by one.

    A batch ends where a label follows a transaction, and where a transaction is older than the one before it.
    """
    batch = Batch()
    ids: set[str] = set()
    max_gap = round(max_gap_days * DAY_MS)
    clock = DataClock.restore(max_gap, state.get_metadata("latest"), state.get_metadata("ahead"))
    for line in lines:
        parsed: Transaction | Label | None = None
        reason = ""
        try:
            parsed = parse_line(line, scorer.schema, scorer.columns)
        except UNREADABLE as error:
            reason = str(error)
        after = clock
        if isinstance(parsed, Transaction):
            after, reason = clock.advance(parsed)
        if reason:
            parsed = None
        waiting = batch.transactions
        late = isinstance(parsed, Transaction) and waiting and parsed.time < waiting[-1].time
        label_after = isinstance(parsed, Label) and waiting
        repeated = isinstance(parsed, Transaction) and parsed.id in ids
        if late or label_after or repeated or len(waiting) >= batch_size:
            yield batch
            batch, ids = Batch(), set()
        if reason:
            batch.rejects.append(reject_entry(line, reason))
        elif isinstance(parsed, Label):
            if state.find_transaction(parsed.id) is not None:
                batch.labels.append(parsed)
            else:
                batch.rejects.append(reject_entry(line, f"a label of {parsed.id!r}, which is unknown"))
        elif isinstance(parsed, Transaction):
            stored = None if parsed.id is None else state.find_transaction(parsed.id)
            if stored is None:
                batch.transactions.append(parsed)
                if parsed.id is not None:
                    ids.add(parsed.id)
            elif stored[1] == digest(parsed):
                batch.duplicates += 1
            else:
                batch.rejects.append(
                    reject_entry(
                        line, f"{parsed.id!r} was in line {stored[0]} with other content, which counts"
                    )
                )
        clock = after
        batch.last, batch.clock = line, clock
    if batch.last is not None:
        yield batch


def reject_entry(line: Line, reason: str) -> tuple[int, str]:
    """Return the number of a rejected line, and its whole text with the reason as JSON."""
    text = line.text.decode("utf-8", errors="backslashreplace")
    return line.number, json.dumps({"line": line.number, "reason": reason, "text": text}, ensure_ascii=False)


def _process(batch: Batch, state: State, scorer: FraudScorer) -> list[str]:
    """Score and store a batch; where it holds a value that the model can't read, one transaction at a time.

    Return the reasons of rejected lines.
    """
    assert batch.last is not None
    assert batch.clock is not None
    with state.atomic():
        state.apply_labels(batch.labels)
        rejects, alerts, accepted = list(batch.rejects), [], 0
        waiting = [batch.transactions] if batch.transactions else []
        while waiting:
            transactions = waiting.pop(0)
            try:
                features, raised = scorer.score(transactions, state)
            except UNREADABLE as error:
                if len(transactions) == 1:
                    rejects.append(reject_entry(transactions[0].line, str(error)))
                else:
                    waiting = [[transaction] for transaction in transactions]
                continue
            state.store(transactions, features)
            alerts += raised
            accepted += len(transactions)
        state.enqueue("output", alerts)
        state.enqueue("rejects", [text for _, text in sorted(rejects)])
        new = {
            "transactions": accepted,
            "labels": len(batch.labels),
            "duplicates": batch.duplicates,
            "rejected": len(rejects),
            "alerts": len(alerts),
        }
        position: dict[str, str | int] = {
            "offset": batch.last.end,
            "lines": batch.last.number,
            "head": batch.last.head,
            "latest": "" if batch.clock.latest is None else batch.clock.latest,
            "ahead": batch.clock.to_json(),
        }
        state.set_metadata({**{name: state.get_count(name) + more for name, more in new.items()}, **position})
    return [json.loads(text)["reason"] for _, text in rejects]
