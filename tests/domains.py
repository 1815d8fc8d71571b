"""The domains of this repository, found by their packages."""

from __future__ import annotations

import importlib
from pathlib import Path

from core.config import OPTIONS

ROOT = Path(__file__).resolve().parents[1]
DOMAINS = sorted(p.parent.name for p in ROOT.glob("packages/*/pyproject.toml") if p.parent.name != "core")


def tasks(domain: str) -> list[str]:
    """Return the names of a domain's tasks, as they are registered."""
    for module in importlib.import_module(domain).DOMAIN.modules:
        importlib.import_module(module)
    return sorted(
        name
        for (group, name), cls in OPTIONS.items()
        if group == "task" and cls.__module__.split(".")[0] == domain
    )
