"""``--help`` is what the golden files say: a changed key, default or meaning is seen in the change that makes it.

``PLINTH_RENEW_GOLDEN=1 pytest tests/test_help.py`` writes them anew.
"""

from __future__ import annotations

import importlib
import os

import pytest
from domains import DOMAINS, ROOT

from core.config import GROUPS, OPTIONS

GOLDEN = ROOT / "tests" / "golden"
VERBS = {domain: ["train"] for domain in DOMAINS} | {
    "healthcare": ["train", "evaluate", "predict", "serve", "card", "compare"],
    "finance": ["train", "monitor"],
    "education": ["train", "feedback"],
    "smarthome": ["train", "control"],
}


@pytest.mark.parametrize(("domain", "verb"), [(d, v) for d in DOMAINS for v in VERBS[d]])
def test_help_is_as_agreed(
    domain: str, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    application = getattr(importlib.import_module(domain), verb)
    monkeypatch.setattr("sys.argv", ["x", "--help"])
    with pytest.raises(SystemExit) as ended:
        application.main()
    assert ended.value.code == 0
    printed = own_options(capsys.readouterr().out, domain)
    golden = GOLDEN / f"help_{domain}_{verb}.txt"
    if os.environ.get("PLINTH_RENEW_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(printed, encoding="utf-8")
    assert printed == golden.read_text(encoding="utf-8"), (
        f"python -m {domain}.{verb} --help differs from {golden.relative_to(ROOT)}: if it should, write it anew with "
        "PLINTH_RENEW_GOLDEN=1"
    )


def own_options(printed: str, domain: str) -> str:
    """Return help without the options that other domains and other tests have registered in this process."""
    foreign = {key for key, cls in OPTIONS.items() if cls.__module__.split(".")[0] not in ("core", domain)}
    lines = []
    for line in printed.splitlines():
        group, equals, names = line.partition("=")
        if equals and group in GROUPS:
            line = f"{group}={'|'.join(name for name in names.split('|') if (group, name) not in foreign)}"
        lines.append(line)
    return "\n".join(lines) + "\n"
