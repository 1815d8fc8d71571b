"""``serve``: over HTTP the same predictions as ``predict``, limits, errors that say what is wrong, counts and a log."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import uvicorn
from PIL import Image

from core.data.types import ColumnRoles
from core.oversight.decision_rule import ADVICE, UNSURE, DecisionRule
from core.oversight.section import DeclarationSection
from core.serving.http import application, bound, serve
from core.serving.service import Service
from core.serving.unlike_training import ColumnComparison


class Loaded:
    """A run that predicts without a network: the prediction is the column ``x``, unsure below 0.5."""

    def __init__(self, folder: Path, image: str | None = None) -> None:
        (folder / "record.json").write_text("{}")
        declaration = DeclarationSection(
            intended_use="a test",
            affected=["nobody"],
            forbidden_uses=["all others"],
            human_decides=["always"],
            responsible="someone",
        )
        record = SimpleNamespace(
            seal="abc",
            data=SimpleNamespace(simulated=True),
            run=SimpleNamespace(domain="d", task="t", finished="2026"),
            oversight=SimpleNamespace(declaration=declaration),
        )
        self.run = SimpleNamespace(path=folder, record=record)
        self.decision_rule = DecisionRule("binary", ("no", "yes"), acts=False)
        self.roles = ColumnRoles(target=("y",), numeric=("x",), image=image)
        self.target = SimpleNamespace(kind="binary", classes=("no", "yes"), dense=False)
        self.groups = SimpleNamespace(groupings={"sex": None})
        self.seen: list[pd.DataFrame] = []

    def unlike_training(self, frame: pd.DataFrame) -> tuple[list[ColumnComparison], list[str]]:
        outside = (frame["x"] > 1).to_numpy()
        compared = ColumnComparison("x", len(frame), 0, outside=int(outside.sum()), low=0.0, high=1.0)
        return [compared], ["x is large" if odd else "" for odd in outside]

    def predict(self, frame: pd.DataFrame, batch_size: int) -> pd.DataFrame:
        if "x" not in frame:
            raise ValueError("column x: not in the table; the run reads x")
        if (frame["x"] == 13).any():
            raise RuntimeError("a secret of the inside")
        self.seen.append(frame)
        x = frame["x"].to_numpy(np.float64)
        decision = np.where(x < 0.5, UNSURE, ADVICE)
        return pd.DataFrame({"prediction": x, "decision": decision, "score": np.where(x > 1, np.nan, x)})


@contextmanager
def running(service: Service, most_bytes: int = 10_000) -> Iterator[str]:
    with bound("127.0.0.1", 0) as listening:
        server = uvicorn.Server(
            uvicorn.Config(application(service, most_bytes), log_level="error", lifespan="off")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def ask(url: str, body: Any = None, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind} if data is not None else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_rows_are_predicted_counted_and_logged_without_their_contents(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path)
    service = Service(loaded, log=tmp_path / "log.jsonl")  # type: ignore[arg-type]
    with running(service) as url:
        assert ask(f"{url}/health") == (200, {"status": "ok"})
        status, found = ask(f"{url}/predict", {"rows": [{"x": 0.2}, {"x": 0.9, "sex": "f"}, {"x": 2}]})
        assert status == 200
        assert [row["decision"] for row in found["predictions"]] == [UNSURE, ADVICE, ADVICE]
        assert [row["score"] for row in found["predictions"]] == [0.2, 0.9, None], "NaN is no JSON"
        assert found["counts"] == {"rows": 3, "model": 2, "unsure": 1, "confirm": 0}
        assert "simulated" in found["notes"][0]
        about = ask(f"{url}/about")[1]
        assert about["simulated"] is True
        assert about["declaration"]["responsible"] == "someone"
        assert len(about["run"]["record_sha256"]) == 64
        counted = ask(f"{url}/counts")[1]
    assert (counted["requests"], counted["rows"], counted["unsure"]) == (1, 3, 1)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(lines) == 1
    assert lines[0]["unsure"] == 1
    assert "inputs" not in lines[0]
    assert "0.9" not in json.dumps({k: v for k, v in lines[0].items() if k != "seconds"})


def test_inputs_are_logged_only_when_asked_for(tmp_path: Path) -> None:
    service = Service(Loaded(tmp_path), log=tmp_path / "log.jsonl", log_inputs=True)  # type: ignore[arg-type]
    service.predict(b'{"rows": [{"x": 1}]}')
    service.predict(b'{"rows": [{"x": 0}]}')
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["inputs"] for line in lines] == [[{"x": 1}], [{"x": 0}]], "the log is appended to"


def test_errors_are_json_that_says_what_is_wrong(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path)
    service = Service(loaded, most_rows=2)  # type: ignore[arg-type]
    with running(service, most_bytes=2000) as url:
        for body, status, words in (
            (b"{", 422, "no JSON"),
            (b"\xff\xfe", 422, "no JSON"),
            ({"row": []}, 422, '"rows"'),
            ({"rows": []}, 422, "1 to 2"),
            ({"rows": [{"x": 1}] * 3}, 422, "3 rows"),
            ({"rows": [{"x": 1}, 5]}, 422, "row 2"),
            ({"rows": [{"y": 1}]}, 422, "column x"),
            ({"rows": [{"x": "a" * 3000}]}, 413, "2,000 bytes"),
            ({"rows": [{"x": 13}]}, 500, "fault"),
        ):
            found = ask(f"{url}/predict", body)
            assert found[0] == status, (body, found)
            assert words in found[1]["error"]
            assert "secret" not in found[1]["error"]
        assert ask(f"{url}/predict", {"rows": [{"x": 1}]}, "text/plain")[0] == 415
        assert ask(f"{url}/predict")[0] == 405
        status, found = ask(f"{url}/nothing")
        assert (status, "POST /predict" in found["error"]) == (404, True)
        assert ask(f"{url}/counts")[1]["refused"] == 7
        assert ask(f"{url}/predict", {"rows": [{"x": 1}]})[0] == 200, "it serves on after faults"


def test_images_come_as_bytes_and_never_as_a_path(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path, image="picture")
    service = Service(loaded)  # type: ignore[arg-type]
    file = tmp_path / "secret.png"
    Image.new("L", (4, 4)).save(file)
    with pytest.raises(ValueError, match="paths are not read"):
        service.predict(json.dumps({"rows": [{"x": 1, "picture": str(file) + "!"}]}).encode())
    with pytest.raises(ValueError, match="base64"):
        service.predict(json.dumps({"rows": [{"x": 1, "picture": 5}]}).encode())
    sent = base64.b64encode(file.read_bytes()).decode()
    service.predict(json.dumps({"rows": [{"x": 1, "picture": sent}]}).encode())
    assert Image.open(io.BytesIO(loaded.seen[0]["picture"].iloc[0])).size == (4, 4)


def test_a_run_without_rules_is_not_served(tmp_path: Path) -> None:
    loaded = Loaded(tmp_path)
    loaded.decision_rule = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match="train it again"):
        Service(loaded)  # type: ignore[arg-type]


def test_a_port_that_is_taken_and_a_missing_library_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ValueError, match=f"port={port}"):
            bound("127.0.0.1", port)
    import sys

    from core.serving.config import ServeConfig

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ValueError, match=r"plinth-core\[serve\]"):
        serve(ServeConfig(run=str(tmp_path)), None)  # type: ignore[arg-type]
