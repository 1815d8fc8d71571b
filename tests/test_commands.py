"""The commands as a user meets them: what goes wrong is said once, with exit status 2, and nothing is half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from healthcare import DOMAIN

QUICK = (
    "training.epochs=1",
    "training.progress=none",
    "evaluation.resamples=50",
    "evaluation.resamples_slow=20",
    "baseline=none",
)
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    from core.cli import commands

    verbs = {
        "train": commands.train(DOMAIN),
        "evaluate": commands.evaluate(DOMAIN),
        "predict": commands.predict(DOMAIN),
    }
    monkeypatch.chdir(tmp_path)

    def run(verb: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"healthcare.{verb}", *arguments])
        with pytest.raises(SystemExit) as stopped:
            verbs[verb].main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return run


def ward(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lactate = rng.normal(2, 1, rows).round(2)
    return pd.DataFrame(
        {
            "patient": [f"p{n // 2}" for n in range(rows)],
            "sex": rng.choice(["f", "m"], rows),
            "age": rng.integers(20, 90, rows),
            "lactate": lactate,
            "pulse": rng.normal(80, 10, rows).round(1),
            "outcome": np.where(lactate + rng.normal(0, 1, rows) > 2.5, "died", "lived"),
        }
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import healthcare

    base = tmp_path_factory.mktemp("finished")
    ward().to_csv(base / "ward.csv", index=False)
    own = (
        "data=table",
        f"data.path={base / 'ward.csv'}",
        "data.target=[outcome]",
        "data.sensitive=[sex,age]",
    )
    healthcare.train(*own, "data.unit=patient", *QUICK, folder=base / "run")
    return base


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trainin.epochs=3"], "trainin"),
        (["training.epochs=many"], "many"),
        (["training.epochs=0"], "training.epochs=0"),
        (["task=surgery"], "records"),
        (["data=table", "data.path=nowhere.csv", "data.target=[x]"], "nowhere.csv"),
        (["data=table", "data.path=ward.csv", "data.target=[outcom]"], "outcome"),
        (["data=table", "data.path=ward.csv", "data.target=[outcome]", "data.sensitive=[race]"], "race"),
        (["data=table", "data.path=ward.csv"], "data.target"),
        (["data=table", "data.path=letters.csv", "data.target=[outcome]", "data.numeric=[pulse]"], "fast"),
        (["data=table", "data.path=unlabelled.csv", "data.target=[outcome]"], "outcome"),
        (["data=table", "data.path=infinite.csv", "data.target=[outcome]"], "pulse"),
        (["data=table", "data.path=constant.csv", "data.target=[outcome]"], "outcome"),
        (["data=table", "data.path=answer.csv", "data.target=[outcome]"], "answer"),
        (["data=table", "data.path=parts.csv", "data.target=[outcome]", "data.split_column=part"], "test"),
        (["data=table", "data.path=torn.csv.gz", "data.target=[outcome]"], "torn.csv.gz"),
        (["task=images", "data=image_folder", "data.path=pictures"], "broken.png"),
        (["backbone=cnn1d"], "signal"),
        (["privacy=dp", "privacy.epsilon=0"], "privacy.epsilon"),
        (["privacy=dp", "privacy.delta=0.1"], "privacy.delta"),
        (["device=cuda:7"], "device"),
        (["backbone=timm", "task=images", "backbone.name=resnot18"], "resnot18"),
    ],
)
def test_mistakes_are_named(arguments: list[str], said: str, command: Command, tmp_path: Path) -> None:
    frame = ward()
    frame.to_csv("ward.csv", index=False)
    frame.astype({"pulse": object}).assign(pulse=lambda f: f["pulse"].mask(f.index == 6, "fast")).to_csv(
        "letters.csv", index=False
    )
    frame.assign(outcome=frame["outcome"].mask(frame.index == 4)).to_csv("unlabelled.csv", index=False)
    frame.assign(pulse=frame["pulse"].mask(frame.index == 5, np.inf)).to_csv("infinite.csv", index=False)
    frame.assign(outcome="lived").to_csv("constant.csv", index=False)
    frame.assign(answer=(frame["outcome"] == "died") * 1).to_csv("answer.csv", index=False)
    frame.assign(part="train").to_csv("parts.csv", index=False)
    Path("torn.csv.gz").write_bytes(b"\x1f\x8b\x08\x00torn")
    rng = np.random.default_rng(1)
    for label in ("naevus", "melanoma"):
        folder = Path("pictures", label)
        folder.mkdir(parents=True)
        for n in range(12):
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{n}.png")
    Path("pictures/naevus/broken.png").write_bytes(b"not a picture")

    code, out, err = command("train", *arguments, *QUICK[1:], "hydra.run.dir=run")
    assert code == 2, out + err
    assert err.startswith("error: "), err
    assert err.count("error:") == 1
    assert said in err
    assert "Traceback" not in out + err
    assert not Path("run").exists(), sorted(Path("run").iterdir())


def test_finished_run_is_reported_and_other_settings_are_refused(finished: Path, command: Command) -> None:
    path = finished / "run"
    own = (
        "data=table",
        f"data.path={finished / 'ward.csv'}",
        "data.target=[outcome]",
        "data.sensitive=[sex,age]",
    )
    before = {p.name: p.stat().st_mtime_ns for p in path.iterdir()}
    code, out, _ = command("train", *own, "data.unit=patient", *QUICK, f"hydra.run.dir={path}")
    assert code == 0
    assert "finished" in out
    assert out.strip().splitlines()[-1] == str(path)
    assert before == {p.name: p.stat().st_mtime_ns for p in path.iterdir()}
    code, _, err = command(
        "train", *own, "data.unit=patient", *QUICK, "optimizer.lr=0.1", f"hydra.run.dir={path}"
    )
    assert code == 2
    assert "optimizer.lr: 0.001, now 0.1" in err


def test_predict_takes_raw_rows(finished: Path, command: Command) -> None:
    raw = ward(30).drop(columns=["outcome", "patient"])
    raw.loc[3, "lactate"] = np.nan
    raw.to_json("new.jsonl", orient="records", lines=True)
    code, out, err = command("predict", f"run={finished / 'run'}", "input=new.jsonl", "output=said.csv")
    assert code == 0, err
    assert "30 predictions" in out
    said = pd.read_csv("said.csv")
    assert set(said["prediction"]) <= {"died", "lived"}
    np.testing.assert_allclose(said["score:died"] + said["score:lived"], 1.0)
    assert list(said["age"]) == list(raw["age"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["input=nothing.csv"], "nothing.csv"),
        (["input=short.csv"], "lactate"),
        (["input=letters.csv"], "fast"),
        (["input=new.csv", "output=said.xlsx"], "said.xlsx"),
        (["input=new.csv", "output=no/such/said.csv"], "no/such"),
        (["run=elsewhere", "input=new.csv"], "elsewhere"),
    ],
)
def test_predict_names_mistakes(arguments: list[str], said: str, finished: Path, command: Command) -> None:
    raw = ward(10)
    raw.to_csv("new.csv", index=False)
    raw.drop(columns="lactate").to_csv("short.csv", index=False)
    raw.astype({"pulse": object}).assign(pulse=lambda f: f["pulse"].mask(f.index == 2, "fast")).to_csv(
        "letters.csv", index=False
    )
    before = {p.name for p in Path().iterdir()}
    given = (
        arguments if any(a.startswith("run=") for a in arguments) else [f"run={finished / 'run'}", *arguments]
    )
    code, out, err = command("predict", *given)
    assert code == 2, out
    assert said in err
    assert before == {p.name for p in Path().iterdir() if p.name != "runs"}


def test_evaluate_judges_new_rows_and_refuses_the_training_file(finished: Path, command: Command) -> None:
    ward(120).sample(frac=1, random_state=1).to_csv("next_year.csv", index=False)
    code, _, err = command(
        "evaluate", f"run={finished / 'run'}", "data=table", "data.path=next_year.csv", "hydra.run.dir=judged"
    )
    assert code == 0, err
    judged = json.loads(Path("judged/evaluation.json").read_text())
    assert judged["data"]["rows"] == 120
    assert 0 <= judged["metrics"]["auroc"]["low"] <= judged["metrics"]["auroc"]["value"]
    record = json.loads((finished / "run/record.json").read_text())
    assert judged["thresholds"]["values"] == record["thresholds"]["values"]
    code, _, err = command(
        "evaluate", f"run={finished / 'run'}", "data=table", f"data.path={finished / 'ward.csv'}"
    )
    assert code == 2
    assert "trained on this file" in err


@pytest.mark.parametrize("name", ["model.safetensors", "encoder.json", "record.json", "predictions.parquet"])
def test_altered_file_is_refused(name: str, finished: Path, command: Command, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished / "run", copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    ward(10).to_csv("new.csv", index=False)
    code, _, err = command("predict", f"run={copy}", "input=new.csv")
    assert code == 2
    assert name in err


def test_other_schema_version_is_refused(finished: Path, command: Command, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished / "run", copy)
    record = json.loads((copy / "record.json").read_text())
    record["schema_version"] = 999
    (copy / "record.json").write_text(json.dumps(record))
    ward(10).to_csv("new.csv", index=False)
    code, _, err = command("predict", f"run={copy}", "input=new.csv")
    assert code == 2
    assert "999" in err


def start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "healthcare.train", "data.rows=600", "training.epochs=60", "threads=1"]
    quick = [
        "training.checkpoint_every_steps=10",
        "training.precision=fp32",
        *QUICK[1:],
        f"hydra.run.dir={folder}",
    ]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [*command, *quick, *overrides], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )


def wait_for_checkpoint(process: subprocess.Popen[str], folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob("checkpoints/step-*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.05)


@pytest.mark.slow
def test_killed_and_restarted_ends_with_the_same_weights(tmp_path: Path) -> None:
    straight = start(tmp_path / "straight")
    killed = start(tmp_path / "killed")
    wait_for_checkpoint(killed, tmp_path / "killed")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed/record.json").exists(), "it was too quick to be killed"
    again = start(tmp_path / "killed")
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    assert "resuming in" in err
    _, err = straight.communicate(timeout=300)
    assert straight.returncode == 0, err
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("straight", "killed")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_interrupt_keeps_a_checkpoint_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder)
    wait_for_checkpoint(process, folder)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "Traceback" not in err
    assert f"hydra.run.dir={folder}" in err, err
    assert list(folder.glob("checkpoints/step-*.safetensors"))
    assert not (folder / "record.json").exists()


def test_predict_says_who_decides_and_serving_says_the_same(finished: Path, command: Command) -> None:
    from core.serving.load import load
    from core.serving.service import Service

    new = finished / "new.csv"
    ward(60).drop(columns="outcome").to_csv(new, index=False)
    status, out, _ = command("predict", f"run={finished / 'run'}", f"input={new}", "output=out.csv")
    assert status == 0
    table = pd.read_csv("out.csv")
    human = int(table["decision"].str.startswith("human").sum())
    assert f"{human} of 60 go to a human" in out
    assert {"model advises", "human: unsure"} >= set(table["decision"])
    assert table["set"].isin(["died", "lived", "lived;died", "died;lived"]).all()
    rows = json.loads(pd.read_csv(new).to_json(orient="records"))
    served = Service(load(finished / "run")).predict(json.dumps({"rows": rows}).encode())
    assert [row["decision"] for row in served["predictions"]] == table["decision"].tolist()
    assert [row["set"] for row in served["predictions"]] == table["set"].tolist()
    assert served["counts"]["unsure"] + served["counts"]["confirm"] == human


def test_evaluate_reports_coverage_and_who_decides_on_new_rows(finished: Path, command: Command) -> None:
    new = finished / "judged.csv"
    ward(150).iloc[50:].to_csv(new, index=False)
    status, out, err = command(
        "evaluate", f"run={finished / 'run'}", "data=table", f"data.path={new}", "hydra.run.dir=judged"
    )
    assert status == 0, err
    assert "Sets of 90 % cover" in out
    found = json.loads(Path("judged/evaluation.json").read_text())
    assert found["oversight"]["counts"]["rows"] == 100
    assert found["uncertainty"]["guarantee"]["nominal"] == 0.9
    kept = json.loads((finished / "run" / "record.json").read_text())
    assert found["uncertainty"]["rows"] == 100
    assert "quantiles" not in found["uncertainty"], "quantiles are the run's: nothing is calibrated anew"
    assert kept["uncertainty"]["quantiles"]["by_class"]


def test_what_does_not_suit_is_refused_before_training(command: Command) -> None:
    status, _, err = command("train", "data.rows=200", "oversight.confirm=[maybe]", *QUICK)
    assert status == 2
    assert "oversight.confirm" in err
    assert "no, yes" in err


def test_without_oversight_the_record_says_that_nobody_checks(tmp_path: Path) -> None:
    import healthcare
    from core.report.sentences import oversight

    run = healthcare.train(
        "data.rows=300", "oversight=none", "explanation=none", *QUICK, folder=tmp_path / "run"
    )
    assert run.record.uncertainty is None
    assert run.record.oversight is not None
    assert "Nobody checks" in oversight.detail(run.record.oversight)
    assert run.record.oversight.counts.unsure == 0


def test_serve_answers_over_http_until_interrupted(finished: Path, tmp_path: Path) -> None:
    import urllib.request

    log = tmp_path / "log.jsonl"
    asked = [sys.executable, "-m", "healthcare.serve", f"run={finished / 'run'}", "port=0", f"log={log}"]
    server = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        assert "http://127.0.0.1:" in first, first or server.communicate()[1]
        url = first.split("at ")[1].split(" ")[0]
        row = {"patient": "p1", "sex": "f", "age": 70, "lactate": 3.1, "pulse": 80.0}
        request = urllib.request.Request(
            f"{url}/predict", json.dumps({"rows": [row]}).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.loads(answer.read())
        assert found["predictions"][0]["prediction"] in ("died", "lived")
        with urllib.request.urlopen(f"{url}/about", timeout=30) as answer:
            about = json.loads(answer.read())
        assert about["declaration"]["responsible"] == "the treating clinician"
        assert about["simulated"] is False
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
        assert "1 rows of 1 requests predicted" in out, err
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    assert json.loads(log.read_text())["rows"] == 1
