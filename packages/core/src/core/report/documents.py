"""What a run folder holds for readers: ``report.html``, ``CARD.md`` and ``evidence/``, all written from the record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from core.atomic_io import write_atomically
from core.data.readers.files import sha256
from core.report.card import card
from core.report.evidence import chosen, contents, evidence
from core.report.page import write_page
from core.report.record import Record, read_record
from core.report.verify import count_shown, disagreements

MANIFEST = "evidence/manifest.json"


def write_documents(record: Record, folder: Path, names: Sequence[str] | None = None) -> None:
    """Write the documents of a sealed record into its folder (all, or those named), and a manifest of their hashes.

    A run writes them before ``record.json``, so that a finished run has them all. They are not in the record's
    ``files``: people fill them in. With ``evidence/manifest.json`` edits are noticed.
    """
    tables = {f"evidence/{table.key}.md": table for table in chosen(record.run.domain)}
    hashes = {} if names is None else _hashes(folder)
    for name in expected(record) if names is None else names:
        if name == MANIFEST:
            continue
        if name == "report.html":
            write_page(record, folder)
        elif name in tables:
            write_atomically(folder / name, evidence(record, tables[name]))
        else:
            write_atomically(folder / name, card(record) if name == "CARD.md" else contents(record))
        hashes[name] = sha256(folder / name)
    manifest = {
        "record": {"seal": record.seal},
        "documents": hashes,
        "frameworks": {
            t.key: {"name": t.name, "version": t.version, "dated": t.dated} for t in tables.values()
        },
    }
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def expected(record: Record) -> list[str]:
    """Return the names of the documents that a finished run has."""
    tables = [f"evidence/{table.key}.md" for table in chosen(record.run.domain)]
    return ["report.html", "CARD.md", "evidence/README.md", *tables, MANIFEST]


def restore(folder: Path) -> list[str]:
    """Write the documents that a finished run lacks and return their names; the others stay, whoever edited them."""
    record = read_record(folder)
    lost = [name for name in expected(record) if not (folder / name).is_file()]
    if lost:
        write_documents(record, folder, lost)
    return lost


def rewrite(folder: Path, overwrite: bool = False) -> list[str]:
    """Write the documents of a finished run again from its record and return their names.

    Raises ``ValueError`` listing the documents that somebody edited, unless ``overwrite``; and for a folder without
    a whole record.
    """
    record = read_record(folder)
    changed = edited(folder)
    if changed and not overwrite:
        raise ValueError(
            f"{folder}: {', '.join(changed)} changed since written (filled in by somebody?); keep a copy elsewhere and "
            "give overwrite=true to write them again"
        )
    write_documents(record, folder)
    return expected(record)


def check(folder: Path) -> int:
    """Compare all that the tables of ``CARD.md`` and ``evidence/`` show with the record; return how many values.

    Raises ``ValueError`` listing what disagrees, or when there are no documents.
    """
    record = read_record(folder)
    paths = [
        path for path in (folder / "CARD.md", *sorted((folder / "evidence").glob("*.md"))) if path.is_file()
    ]
    if not paths:
        raise ValueError(f"{folder}: no CARD.md and no evidence/; without check=true they are written")
    original = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    texts = {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in paths}
    faults = [
        f"{name}: {fault}" for name, text in texts.items() for fault in disagreements(text, record, original)
    ]
    if faults:
        more = f"\nand {len(faults) - 20} more" if len(faults) > 20 else ""
        raise ValueError("\n".join(["the documents and the record disagree:", *faults[:20]]) + more)
    return sum(count_shown(text) for text in texts.values())


def edited(folder: Path) -> list[str]:
    """Return the documents in a folder that are not as they were written."""
    hashes = _hashes(folder)
    known = (
        ("report.html", "CARD.md") if hashes else ("CARD.md",)
    )  # older runs wrote only a page, and no manifest
    there = [name for name in known if (folder / name).is_file()]
    there += sorted(f"evidence/{path.name}" for path in (folder / "evidence").glob("*.md"))
    return [name for name in there if hashes.get(name) != sha256(folder / name)]


def _hashes(folder: Path) -> dict[str, str]:
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))["documents"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{manifest}: not a manifest ({error!r}); remove it and do this again") from error
    return dict(found)
