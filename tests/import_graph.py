"""The graph of imports of this repository's modules: at the top, in functions, and for types alike."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path

from domains import ROOT


def modules() -> dict[str, Path]:
    """Return every module of the packages: dotted name -> file."""
    found = {}
    for path in ROOT.glob("packages/*/src/**/*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts[3:]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(there: Mapping[str, Path]) -> dict[str, set[str]]:
    """Return what each module imports of the others, wherever the statement stands."""
    graph: dict[str, set[str]] = {}
    for name, path in there.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= {w if w in there else node.module for w in whole}
        graph[name] = {n for n in named if n in there and n != name}
    return graph


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for following in graph[node]:
            if following not in index:
                visit(following)
                low[node] = min(low[node], low[following])
            elif following in stack:
                low[node] = min(low[node], index[following])
        if low[node] == index[node]:
            component = []
            while True:
                component.append(stack.pop())
                if component[-1] == node:
                    break
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return found
