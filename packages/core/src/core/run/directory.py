"""The folder of a run while it is carried out: begun, resumed, finished."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.atomic_io import write_atomically
from core.config import RunConfig, differences, from_dict, from_yaml, to_dict, to_yaml
from core.config.deprecated import upgraded_config
from core.domain import Domain
from core.fairness.config import validate_run as validate_fairness
from core.privacy.config import validate_run as validate_privacy
from core.privacy.rng_key import destroy_key
from core.report.documents import restore
from core.report.run import Run
from core.training.config import MAY_CHANGE_ON_RESUME

log = logging.getLogger(__name__)


class RunDirectory:
    """Where one run is kept. Refuses, before anything is read, a folder that holds a run of other settings."""

    def __init__(self, path: Path, config: RunConfig, domain: Domain) -> None:
        validate_privacy(
            config.privacy,
            training=config.training,
            target=config.target,
            encoder=config.encoder,
            adapter=config.adapter,
        )
        validate_fairness(config)
        self.path = path
        self.domain = domain
        self.content: dict[str, Any] = {"domain": domain.name, **to_dict(config)}
        self.started = datetime.now(UTC)
        self._fresh = False
        self._compare()

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def finished(self) -> bool:
        """Whether the run's record is written, which is the last thing a run does."""
        return (self.path / "record.json").exists()

    def reopen(self) -> Run:
        """Return the finished run, checked, and write documents of it that are missing."""
        destroy_key(self.checkpoints)  # a kill between the record and its removal left it
        missing = restore(self.path)
        if missing:
            log.info("written again from record.json: %s", ", ".join(missing))
        log.info("this run is finished; nothing was trained (another hydra.run.dir starts a new one)")
        return Run(self.path)

    def begin(self) -> None:
        """Create the folder and keep the settings in it; a run that is resumed keeps its first ones."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        kept = self.path / "config.yaml"
        if kept.exists():
            log.info("resuming in %s", self.path)
        else:
            self._fresh = True
            write_atomically(kept, to_yaml(self.content))

    def abandon(self) -> None:
        """Remove what ``begin`` created, if there is no checkpoint since: a run that fails at once leaves nothing."""
        if self._fresh and not any(self.checkpoints.glob("step-*")):
            destroy_key(self.checkpoints)
            for name in ("config.yaml", "precision.json"):
                (self.path / name).unlink(missing_ok=True)
            self.checkpoints.rmdir()
        remove_if_empty(self.path)

    def _compare(self) -> None:
        kept = self.path / "config.yaml"
        if not kept.exists():
            return
        changed = differences(
            _identity(upgraded_config(from_yaml(kept.read_text()))), _identity(self.content)
        )
        if changed:
            raise ValueError(
                f"{self.path} holds a run of other settings ({'; '.join(changed)}): use those to resume it, "
                "or choose another hydra.run.dir"
            )


def remove_if_empty(path: Path) -> None:
    """Remove an empty folder."""
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()


def _identity(content: dict[str, Any]) -> dict[str, Any]:
    training = {k: v for k, v in content["training"].items() if k not in MAY_CHANGE_ON_RESUME}
    energy = {
        "budget_wh": content.get("energy", {}).get("budget_wh", 0.0)
    }  # the rest only says how it is counted
    fairness = {
        key: value
        for key, value in content.get("fairness", {"option": "audit"}).items()
        if key
        not in ("confidence", "intersections", "reference_run")  # they only say how groups are compared
    }
    kept = content.get("oversight", {"option": "standard"})
    oversight = {
        "option": kept["option"],
        **vars(from_dict("oversight", kept)),
    }  # an older run had the defaults
    return {**content, "training": training, "energy": energy, "fairness": fairness, "oversight": oversight}
