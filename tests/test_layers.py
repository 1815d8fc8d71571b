"""Domains never import each other, and the import contracts hold."""

from __future__ import annotations

import ast

from domains import DOMAINS, ROOT
from import_graph import circles, imports, modules


def test_domains_do_not_know_each_other() -> None:
    seen = 0
    for domain in DOMAINS:
        for path in (ROOT / f"packages/{domain}/src").rglob("*.py"):
            seen += 1
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                strangers = {n.split(".")[0] for n in names} & (set(DOMAINS) - {domain})
                assert not strangers, f"{path}: imports {strangers}"
    assert seen > 5


def test_no_import_goes_in_a_circle() -> None:
    there = modules()
    graph = imports(there)
    assert len(graph) > 400
    assert circles(graph) == []


def test_circles_are_seen() -> None:
    assert circles({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == [["a", "b", "c"]]
    assert circles({"a": ["b"], "b": [], "c": ["a", "b"]}) == []


def test_loop_is_short() -> None:
    lines = (ROOT / "packages/core/src/core/training/loop.py").read_text().splitlines()
    assert len(lines) < 120


def test_no_registry_host_and_no_lock_file() -> None:
    assert not list(ROOT.glob("uv.lock"))
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text
    assert text.count("==") > 50
