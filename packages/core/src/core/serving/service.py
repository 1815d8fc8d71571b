"""One finished run as a service without HTTP: rows in, predictions and who decides them out; counts and a log."""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.data.masks import to_png
from core.data.readers.files import sha256
from core.oversight.decision_rule import count_decisions
from core.report.record import plain
from core.report.sentences.notices import SIMULATED_MODEL
from core.report.sentences.oversight import rule_in_words
from core.serving.load import LoadedRun

if TYPE_CHECKING:
    import pandas as pd

Json = Any
ROWS = '{"rows": [{column: value, ...}, ...]}'


@dataclass
class Service:
    """A loaded run that predicts one request at a time."""

    loaded: LoadedRun
    most_rows: int = 1000
    batch_size: int = 256
    log: Path | None = None
    log_inputs: bool = False
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    counted: dict[str, int] = field(
        default_factory=lambda: {
            "requests": 0,
            "refused": 0,
            "rows": 0,
            "model": 0,
            "unsure": 0,
            "confirm": 0,
        }
    )
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.loaded.decision_rule is None:
            raise ValueError(
                f"run={self.loaded.run.path}: has no rules of oversight, so nothing says which predictions a human "
                "decides; train it again to serve it"
            )
        if self.log is not None and not self.log.parent.is_dir():
            raise ValueError(f"log={self.log}: there is no folder {self.log.parent}; create it first")

    def predict(self, body: bytes) -> dict[str, Json]:
        """Predict the rows of a request's JSON: ``predictions`` (see ``LoadedRun.predict``), ``counts`` and notes.

        ``drift`` counts by column what training had not; ``unlike_training`` of each prediction says it in words.
        Images come in base64, never as a path; masks leave as PNG in base64. Raises ValueError that says what is wrong.
        """
        try:
            with self._lock:  # one model, one thread: torch gains nothing from several
                return self._predict(self._rows(body))
        except ValueError:
            with self._lock:
                self.counted["refused"] += 1
            raise

    def _predict(self, rows: list[dict[str, Json]]) -> dict[str, Json]:
        begun = time.perf_counter()
        frame = self._frame(rows)
        found = self.loaded.predict(frame, self.batch_size)
        compared, unlike = self.loaded.unlike_training(frame)
        found["unlike_training"] = unlike
        if self.loaded.target.dense:
            found["prediction"] = [base64.b64encode(to_png(mask)).decode() for mask in found["prediction"]]
        now = count_decisions(found["decision"].to_numpy(np.str_)).model_dump()
        self.counted["requests"] += 1
        for key, count in now.items():
            self.counted[key] += count
        self._write(rows, now, time.perf_counter() - begun)
        notes = [SIMULATED_MODEL] if self.loaded.run.record.data.simulated else []
        notes += [one.sentence() for one in compared if one.differs]
        return {
            "predictions": plain(found.to_dict("records")),
            "counts": now,
            "drift": [plain(asdict(one)) for one in compared],
            "notes": notes,
        }

    def _rows(self, body: bytes) -> list[dict[str, Json]]:
        try:
            content = json.loads(body)
        except ValueError as error:  # also of bytes that are no UTF-8
            raise ValueError(f"the body is no JSON ({error}); send {ROWS}") from error
        if not isinstance(content, dict) or set(content) != {"rows"} or not isinstance(content["rows"], list):
            raise ValueError(f"the body should be {ROWS}")
        rows: list[Json] = content["rows"]
        if not 1 <= len(rows) <= self.most_rows:
            raise ValueError(f"{len(rows)} rows: send 1 to {self.most_rows} at a time (rows= of serve)")
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict) or not row:
                raise ValueError(f"row {number} should be an object of columns and values, such as {ROWS}")
        return rows

    def _frame(self, rows: list[dict[str, Json]]) -> pd.DataFrame:
        import pandas as pd

        frame = pd.DataFrame(rows, index=range(1, len(rows) + 1))
        roles = self.loaded.roles
        if roles.image is not None and roles.image in frame:
            images = [_decoded(value, row, roles.image) for row, value in frame[roles.image].items()]
            frame[roles.image] = pd.Series(images, index=frame.index, dtype=object)
        if roles.signal is not None and roles.signal in frame:
            for row, value in frame[roles.signal].items():
                if not isinstance(value, list):
                    raise ValueError(f"column {roles.signal!r}, row {row}: a signal is a list of numbers")
        return frame

    def _write(self, rows: list[dict[str, Json]], now: dict[str, int], seconds: float) -> None:
        if self.log is None:
            return
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "run": self.loaded.run.record.seal,
            **now,
            "seconds": round(seconds, 4),
            **({"inputs": rows} if self.log_inputs else {}),
        }
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def about(self) -> dict[str, Json]:
        """Return which run this is, what it is for and who decides."""
        record = self.loaded.run.record
        assert record.oversight is not None
        assert self.loaded.decision_rule is not None
        return {
            "run": {
                "folder": self.loaded.run.path.resolve().name,
                "record_sha256": sha256(self.loaded.run.path / "record.json"),
                "domain": record.run.domain,
                "task": record.run.task,
                "finished": record.run.finished,
            },
            "simulated": record.data.simulated,
            "reads": list(self.loaded.roles.inputs()),
            "groups": list(self.loaded.groups.groupings),
            "gives": {"kind": self.loaded.target.kind, "classes": list(self.loaded.target.classes)},
            "declaration": record.oversight.declaration.model_dump(),
            "rule": rule_in_words(self.loaded.decision_rule.section()),
            "limits": {"rows": self.most_rows},
        }

    def counts(self) -> dict[str, Json]:
        """Return the counts since the start: requests served and refused, rows, and who decides them."""
        with self._lock:
            return {"since": self.started, **self.counted}


def _decoded(value: Json, row: object, column: str) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"column {column!r}, row {row}: an image is a text, the file's bytes in base64")
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(
            f"column {column!r}, row {row}: no base64 ({error}); paths are not read over HTTP"
        ) from error
