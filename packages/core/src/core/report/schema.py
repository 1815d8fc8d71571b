"""Write the JSON schema of ``record.json``: ``python -m core.report.schema docs/reference/record.schema.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.report.record import Record


def record_schema() -> str:
    """Return the JSON schema of a record of today's schema_version, as text."""
    return json.dumps(Record.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(record_schema(), encoding="utf-8")
