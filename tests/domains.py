"""The domains of this repository, found by their packages."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOMAINS = sorted(p.parent.name for p in ROOT.glob("packages/*/pyproject.toml") if p.parent.name != "core")


def tasks(domain: str) -> list[str]:
    """Name a domain's tasks, from its configuration files."""
    return sorted(p.stem for p in (ROOT / f"packages/{domain}/src/{domain}/conf/task").glob("*.yaml"))
