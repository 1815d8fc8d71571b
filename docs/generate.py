"""Write the pages of docs/ that follow from the code: python docs/generate.py [--check].

Options, commands, metrics, the record's fields and the table of renamed keys are read from the classes that
define them, so that no page can lag. ``--check`` writes nothing and exits with 1 if a page would change.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from reference_pages.metrics import metrics_page, metrics_table
from reference_pages.options import (
    commands_page,
    glossary_keys,
    glossary_options,
    options_page,
    register_everything,
    renamed_table,
)
from reference_pages.record import glossary_record, record_page

DOCS = Path(__file__).resolve().parent
PAGES: dict[str, Callable[[], str]] = {
    "reference/options.md": options_page,
    "reference/commands.md": commands_page,
    "reference/metrics.md": metrics_page,
    "reference/record.md": record_page,
}
"""Path below docs/ -> the whole page."""
BLOCKS: dict[str, Callable[[], str]] = {
    "renamed": renamed_table,
    "options": glossary_options,
    "keys": glossary_keys,
    "metrics": metrics_table,
    "record": glossary_record,
}
"""Name -> what stands between ``<!-- generated:name -->`` and ``<!-- end:name -->`` on any other page."""


def filled(text: str) -> str:
    """Return a page with its generated blocks written anew."""
    block = re.compile(r"(<!-- generated:(\w+) -->)\n.*?(<!-- end:\2 -->)", re.DOTALL)
    return block.sub(lambda match: f"{match[1]}\n{BLOCKS[match[2]]()}\n{match[3]}", text)


def pages() -> dict[Path, str]:
    """Return the text of every generated page, and of every page that has generated blocks."""
    register_everything()
    found = {DOCS / path: write() for path, write in PAGES.items()}
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text()
        if path not in found and "<!-- generated:" in text:
            found[path] = filled(text)
    return found


def main() -> int:
    """Write the pages, or check them, and return the exit status."""
    stale = {path: text for path, text in pages().items() if not path.exists() or path.read_text() != text}
    check = "--check" in sys.argv[1:]
    for path, text in stale.items():
        print(f"{'would change' if check else 'written'}: {path.relative_to(DOCS.parent)}")
        if not check:
            path.write_text(text)
    if check and stale:
        print("run python docs/generate.py and commit what it writes", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
