"""The documentation: the site builds without a warning or a network, tutorials run, generated pages are current."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import generate
import notebooks
import pytest
from domains import DOMAINS, ROOT
from reference_pages.options import keys as option_keys
from reference_pages.options import register_everything

DOCS = ROOT / "docs"


class Loads(HTMLParser):
    """Collects what a page makes a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.addresses.append(given.get("src") or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "icon", "preconnect"):
            self.addresses.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the built site; a socket opened while it is built fails the test."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.chdir(ROOT)

        def connect(*_: object) -> None:
            raise AssertionError("building the site must not need a network")

        patch.setattr(socket.socket, "connect", connect)
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
        config.plugins.on_startup(command="build", dirty=False)
        build(config)  # in strict mode any warning ends it
        config.plugins.on_shutdown()
    return folder


def test_the_site_builds_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        parser = Loads()
        parser.feed(page.read_text(encoding="utf-8"))
        outside = [a for a in parser.addresses if re.match(r"(\w+:)?//", a)]
        assert outside == [], page.relative_to(site)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style.name


def test_the_reference_documents_classes_and_functions(site: Path) -> None:
    text = (site / "reference/python/index.html").read_text(encoding="utf-8")
    for name in ("core.load", "core.config.register", "core.config.build", "core.domain.Task"):
        assert f'id="{name}"' in text


def test_generated_pages_are_current() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in generate.pages().items()
        if not path.exists() or path.read_text() != text
    ]
    assert stale == [], "run python docs/generate.py"


def test_every_domain_has_a_tutorial_and_its_notebook() -> None:
    assert [path.stem for path in notebooks.PAGES] == DOMAINS
    for path in notebooks.PAGES:
        cells = notebooks.cells(path.read_text())
        assert notebooks.page_of(cells) == path.read_text(), f"{path.name}: run python docs/notebooks.py"
        assert path.with_suffix(".ipynb").read_text() == notebooks.notebook_of(cells)


def labels(output: str) -> list[str]:
    """Return what stands before the first number or gap of each line: words that do not depend on the machine."""
    return [re.split(r"\s{2,}|[\d−.:/]", line.strip())[0] for line in output.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("path", notebooks.PAGES, ids=lambda path: path.stem)
def test_a_tutorial_runs_and_prints_what_its_page_shows(path: Path, tmp_path: Path) -> None:
    written = notebooks.cells(path.read_text())
    code = [cell for cell in written if cell.code]
    assert len(code) >= 4
    assert any("input=" in cell.source or ".predict(" in cell.source for cell in code), "it has to predict"
    for shown, ran in zip(written, notebooks.run(written, tmp_path), strict=True):
        assert labels(ran.output) == labels(shown.output), shown.source


def test_readme_is_short_and_its_links_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.count("\n") < 150
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert len(links) > 5
    missing = [link for link in links if not (ROOT / link).exists()]
    assert missing == []
    for package in ("core", *DOMAINS):
        page = ROOT / f"packages/{package}/README.md"
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page}: {link}"


PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("packages/*/README.md")),
    *(path for path in sorted(DOCS.rglob("*.md")) if path.name not in ("upgrading.md", "record.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_names_only_options_and_keys_that_exist(page: Path) -> None:
    from core.config import GROUPS, OPTIONS

    register_everything()
    registered = "".join(p.read_text() for p in (page, DOCS / "how-to/add-a-data-source.md"))
    named = set(re.findall(r"@register\(\"(\w+)\", \"(\w+)\"", registered))  # by the code of these pages
    keys: dict[str, set[str]] = {group: set() for group in GROUPS}
    for (group, _), option in OPTIONS.items():
        for key in option_keys(option):
            keys[group] |= {".".join(key.path.split(".")[:n]) for n in range(1, key.path.count(".") + 2)}
    groups = "|".join(GROUPS)
    blocks = re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), re.DOTALL)
    python = [
        text for block in blocks if block.startswith("```python") for text in re.findall(r'"[^"\n]*"', block)
    ]
    code = "\n".join([*python, *(block for block in blocks if not block.startswith("```python"))])
    wrong = []
    for group, key in re.findall(rf"(?<![\w./])({groups})\.([\w.]+)=", code):
        mapping = key.split(".")[0]  # +data.bin_edges.age=[40,65] sets an entry of a mapping
        wrong += [f"{group}.{key}"] if not {key, mapping} & keys[group] else []
    for group, name in re.findall(rf"(?<![\w.])({groups})=([a-z]\w*)", code):
        file = ROOT / f"conf/{group}/{name}.yaml"
        wrong += [f"{group}={name}"] if (group, name) not in {*OPTIONS, *named} and not file.exists() else []
    for group, key in re.findall(rf"`({groups})\.(\w+)`", page.read_text()):
        wrong += [f"{group}.{key}"] if key not in keys[group] and key not in ("py", "json") else []
    assert wrong == []


def test_the_code_of_the_pages_on_adding_something_runs(tmp_path: Path) -> None:
    """In a process of its own, since what is registered stays registered."""
    script = []
    for page in ("data-source", "backbone", "target", "task"):
        text = (DOCS / f"how-to/add-a-{page}.md").read_text()
        block = re.compile(r"^```python(?: title=\"(\w+\.py)\")?\n(.*?)^```", re.DOTALL | re.MULTILINE)
        for title, source in block.findall(text):
            if title:
                (tmp_path / title).write_text(source)
            else:
                small = '"training.epochs=1", "training.progress=none", "evaluation.resamples=50", "baseline=none"'
                script.append(re.sub(r"train\((.*)\)\n", rf'train(\1, {small}, folder="{page}")\n', source))
    (tmp_path / "script.py").write_text("\n".join(script))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for page in ("data-source", "backbone", "target", "task"):
        assert (tmp_path / page / "record.json").exists()
