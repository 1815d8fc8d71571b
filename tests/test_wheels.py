"""Each domain runs from its own wheel and core's, in an empty environment outside the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from domains import DOMAINS, ROOT


def uv(*arguments: str, env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_wheel_alone(domain: str, tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PLINTH_DATA", "VIRTUAL_ENV")}
    wheels = tmp_path / "wheels"
    for package in ("core", domain):
        uv("build", "--wheel", "--quiet", "-o", str(wheels), str(ROOT / "packages" / package), env=env)
    home = tmp_path / "empty"
    uv("venv", "--quiet", "--python", sys.executable, str(home), env=env)
    python = home / "bin" / "python"
    found = sorted(str(p) for p in wheels.glob("*.whl"))
    assert len(found) == 2, found
    pins = ("-c", str(ROOT / "constraints.txt"))
    uv("pip", "install", "--quiet", "--python", str(python), *pins, *found, env=env)

    work = tmp_path / "elsewhere"
    work.mkdir()
    overrides = ["data.rows=300", "training.epochs=1", "evaluation.resamples=50", "baseline=none"]
    command = [str(python), "-m", f"{domain}.train", *overrides, "hydra.run.dir=run"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((work / "run/record.json").read_text())["data"]["simulated"] is True
    assert done.stdout.strip().splitlines()[-1].endswith("run"), done.stdout

    shipped = (
        "from core.backbones import cnn_small, text_small; from core.backbones.pretrained import load_pretrained;"
        "from core.data.encoders.tokens import bundled_tokenizer;"
        "load_pretrained(cnn_small.Trunk(), 'cnn_small', 'pretrained');"
        "load_pretrained(text_small.Trunk(), 'text_small', 'pretrained'); "
        "print(bundled_tokenizer('text_small').get_vocab_size())"
    )
    found_there = subprocess.run(
        [str(python), "-c", shipped], cwd=work, capture_output=True, text=True, env=env, check=False
    )
    assert found_there.returncode == 0, found_there.stderr
    assert int(found_there.stdout) >= 8000

    listing = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    names = subprocess.run(
        [str(python), "-c", listing], cwd=work, capture_output=True, text=True, check=True
    ).stdout
    ours = {name for name in names.split() if name.startswith("plinth")}
    assert ours == {"plinth-core", f"plinth-{domain}"}
