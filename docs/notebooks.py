"""Run the tutorials, put their outputs into the pages and write each as a notebook: python docs/notebooks.py [--check].

The page ``docs/tutorials/<field>.md`` is the source: its ``python`` blocks are the cells, and the ``text`` block after
one is its output, which only this program writes. ``--check`` runs nothing and exits with 1 if a notebook is not that
of its page.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

TUTORIALS = Path(__file__).resolve().parent / "tutorials"
PAGES = sorted(path for path in TUTORIALS.glob("*.md") if path.stem != "index")
BLOCK = re.compile(
    r"^```python\n(.*?)^```\n(?:\n```text title=\"Output\"\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Cell:
    """A part of a tutorial: prose, or code with what it printed."""

    source: str
    code: bool = False
    output: str = ""


def cells(page: str) -> list[Cell]:
    """Return a page's cells in their order."""
    found: list[Cell] = []
    start = 0
    for block in BLOCK.finditer(page):
        found += [Cell(page[start : block.start()].strip())] if page[start : block.start()].strip() else []
        found.append(Cell(block[1].strip(), True, block[2] or ""))
        start = block.end()
    return [*found, Cell(page[start:].strip())] if page[start:].strip() else found


def page_of(found: Sequence[Cell]) -> str:
    """Return the page of cells."""
    parts = []
    for cell in found:
        if not cell.code:
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        if cell.output:
            parts.append(f'```text title="Output"\n{cell.output.rstrip()}\n```')
    return "\n\n".join(parts) + "\n"


def notebook_of(found: Sequence[Cell]) -> str:
    """Return the notebook (nbformat 4.5) of cells."""
    written: list[dict[str, Any]] = []
    for number, cell in enumerate(found):
        made: dict[str, Any] = {
            "cell_type": "code" if cell.code else "markdown",
            "id": f"cell-{number}",
            "metadata": {},
            "source": cell.source.splitlines(keepends=True),
        }
        if cell.code:
            text = {"name": "stdout", "output_type": "stream", "text": cell.output.splitlines(keepends=True)}
            made |= {"execution_count": None, "outputs": [text] if cell.output else []}
        written.append(made)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": written,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def run(found: Sequence[Cell], folder: Path) -> list[Cell]:
    """Run the code of cells in ``folder``, one after another in one namespace, and return them with their output."""
    names: dict[str, Any] = {"__name__": "__main__"}
    done = []
    with working_in(folder):
        for cell in found:
            printed = io.StringIO()
            if cell.code:
                with contextlib.redirect_stdout(printed):
                    execute(cell.source, names)
            text = re.sub(r"[ \t]+$", "", printed.getvalue(), flags=re.MULTILINE)
            done.append(replace(cell, output=text.replace(f"{folder}{os.sep}", "")))
    return done


def execute(source: str, names: dict[str, Any]) -> None:
    """Run source and print its last expression's value, as a notebook does."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<tutorial>", "exec"), names)  # the repository's own pages
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), "<tutorial>", "eval"), names)
        if value is not None:
            print(value)


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Change into a folder, with a terminal of 80 columns."""
    before, columns = Path.cwd(), os.environ.get("COLUMNS")
    os.chdir(folder)
    os.environ["COLUMNS"] = "80"
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("COLUMNS") if columns is None else os.environ.update(COLUMNS=columns)


def main() -> int:
    """Run the pages and write them and their notebooks, or check the notebooks; return the exit status."""
    stale = []
    named = [a for a in sys.argv[1:] if not a.startswith("-")]
    for path in PAGES:
        if named and path.stem not in named:
            continue
        found = cells(path.read_text())
        notebook = path.with_suffix(".ipynb")
        if "--check" in sys.argv[1:]:
            if not notebook.exists() or notebook.read_text() != notebook_of(found):
                stale.append(notebook.name)
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = run(found, Path(folder).resolve())
        path.write_text(page_of(found))
        notebook.write_text(notebook_of(found))
        print(f"ran {path.name}")
    if stale:
        print(f"{', '.join(stale)}: run python docs/notebooks.py and commit what it writes", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
