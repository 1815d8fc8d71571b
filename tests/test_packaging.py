"""What a package index and a newcomer read of each package: version, license, commands, types, changelog."""

from __future__ import annotations

import importlib
import tomllib
from functools import reduce
from typing import Any

import pytest
from domains import DOMAINS, ROOT

PACKAGES = ["core", *DOMAINS]


def project(package: str) -> dict[str, Any]:
    content: dict[str, Any] = tomllib.loads((ROOT / f"packages/{package}/pyproject.toml").read_text())[
        "project"
    ]
    return content


@pytest.mark.parametrize("package", PACKAGES)
def test_metadata(package: str) -> None:
    core = importlib.import_module("core").__version__
    content = project(package)
    assert content["name"] == f"plinth-{package}"
    assert content["dynamic"] == ["version"], "the version has one place: __version__"
    assert importlib.import_module(package).__version__ == core
    if package != "core":
        assert content["dependencies"] == [f"plinth-core=={core}"]
    assert content["license"] == "Apache-2.0"
    assert (ROOT / f"packages/{package}/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    for key in ("authors", "classifiers", "description", "keywords", "readme", "urls"):
        assert content[key], f"{package} has no {key}"
    assert (ROOT / f"packages/{package}/src/{package}/py.typed").exists()


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_command_has_a_console_script(domain: str) -> None:
    scripts = project(domain)["scripts"]
    modules = {
        path.stem
        for path in (ROOT / f"packages/{domain}/src/{domain}").glob("*.py")
        if 'if __name__ == "__main__"' in path.read_text()
    }
    assert modules >= {"train", "evaluate", "predict", "serve", "card", "compare"}
    assert set(scripts) == {f"plinth-{domain}-{verb}" for verb in modules}
    for script, entry in scripts.items():
        module, _, path = entry.partition(":")
        found = reduce(getattr, path.split("."), importlib.import_module(module))
        assert callable(found), f"{script} = {entry}"


def test_the_changelog_knows_the_version_and_what_comes_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    version = importlib.import_module("core").__version__
    assert "\n## Unreleased\n" in text
    assert f"\n## {version} - " in text


def test_the_workflow_tests_every_package() -> None:
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert (
        f"package: [{', '.join(['core', 'healthcare', 'finance', 'education', 'driving', 'smarthome'])}]"
        in workflow
    )
    assert sorted(DOMAINS) == sorted(["healthcare", "finance", "education", "driving", "smarthome"])
