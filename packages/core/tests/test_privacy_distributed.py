"""Two processes, each with its share of the same Poisson batches, end as one process does: noise is added once.

Run as a script it is one of the two: ``python test_privacy_distributed.py FOLDER`` forks both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fakes.privacy import gradient_of, private, settings
from safetensors.torch import load_file, save_file

from core.training.config import AdamWConfig
from core.training.loop import fit
from core.training.parallel import ALONE, ProcessGroup

STEPS = 8
CASES = {
    "adaptive": {"dp_clipping": "adaptive", "dp_l2_clip_norm": 0.5, "dp_audit_canaries": 64},
    "empty_shares": {"dp_batch_size": 1.5},
}


def train(folder: Path, case: str, parallel: ProcessGroup, key: int | None = 5) -> dict[str, torch.Tensor]:
    config = settings(AdamWConfig(lr=0.01), steps=STEPS, dp_noise_seed=key, **CASES[case])
    setup = private(config, folder, parallel=parallel)
    fit(setup.step, setup.batches, seed=setup.seed, parallel=parallel)
    clip, spent = (
        gradient_of(setup).clipper.rule.clip_norm,
        setup.guarantee.plan.privacy_spent(setup.step.step),
    )
    audit = gradient_of(setup).whitebox
    scores = torch.zeros(1) if audit is None else torch.from_numpy(audit.scores)
    kept = {"clip": torch.tensor(clip), "spent": torch.tensor(spent.epsilon), "scores": scores}
    return {**{name: tensor.clone() for name, tensor in setup.step.model.state_dict().items()}, **kept}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("two")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, __file__, str(path)], env=environment, check=True, timeout=300)
    return path


@pytest.mark.parametrize("case", list(CASES))
def test_two_processes_equal_one(folder: Path, tmp_path: Path, case: str) -> None:
    alone = train(tmp_path, case, ALONE)
    for rank in (0, 1):
        found = load_file(folder / f"{case}{rank}.safetensors")
        for name, tensor in alone.items():
            torch.testing.assert_close(
                found[name], tensor, rtol=1e-4, atol=1e-5, msg=f"{name} of rank {rank}"
            )


def test_the_key_is_one_and_the_main_process_alone_writes_it(folder: Path) -> None:
    a, b = (load_file(folder / f"key{rank}.safetensors") for rank in (0, 1))
    for name, tensor in a.items():
        assert torch.equal(tensor, b[name]), name
    assert (folder / "kept0" / "rng_key").exists()
    assert not (folder / "kept1").exists()


def process(folder: Path, rank: int) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    parallel = ProcessGroup(rank, 2)
    for case in CASES:
        save_file(train(folder, case, parallel), folder / f"{case}{rank}.safetensors")
    kept = folder / f"kept{rank}"
    save_file(train(kept, "empty_shares", parallel, key=None), folder / f"key{rank}.safetensors")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    private(
        settings(AdamWConfig(), dp_audit_canaries=64), where
    )  # loads what torch loads late, once for both children
    children = []
    for number in (0, 1):
        child = os.fork()
        if child == 0:
            process(where, number)
            os._exit(0)
        children.append(child)
    sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
