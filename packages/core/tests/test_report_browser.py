"""The page in a browser: the summary on the first screen, nothing wider than it, and on paper."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fakes.report import whole

from core.report.page import write_page

BROWSER = next((b for b in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if b), None)
MEASURE = """<!doctype html>
<iframe src="report.html" style="width:{width}px;height:{height}px;border:0"></iframe><pre></pre>
<script>addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument, items = [...page.querySelectorAll(".summary li")];
  document.querySelector("pre").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    items: items.length,
    bottom: Math.max(...items.map(a => a.getBoundingClientRect().bottom)),
    cut: items.filter(a => a.scrollWidth > a.clientWidth).length,
    small: [...page.querySelectorAll("p, td, dd, li")].filter(e => parseFloat(getComputedStyle(e).fontSize) < 11).length
  }})
}})</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def browse(folder: Path, *arguments: str) -> str:
    """Run the browser without a window in a profile of its own."""
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
    ]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_summary_stands_on_the_first_screen(width: int, height: int, tmp_path: Path) -> None:
    write_page(whole(), tmp_path)
    (tmp_path / "measure.html").write_text(MEASURE.format(width=width, height=height))
    dom = browse(
        tmp_path, "--allow-file-access-from-files", "--virtual-time-budget=5000", "--dump-dom",
        f"file://{tmp_path}/measure.html",
    )  # fmt: skip
    found = re.search(r"<pre>(\{.*?\})</pre>", dom)
    assert found, dom[-500:]
    measured = json.loads(found[1])
    assert measured["items"] == 6
    assert measured["bottom"] <= height, "the summary needs scrolling"
    assert measured["width"] <= width, "the page is wider than the screen"
    assert measured["cut"] == 0
    assert measured["small"] == 0


@pytest.mark.slow
def test_it_prints(tmp_path: Path) -> None:
    write_page(whole(), tmp_path)
    target = tmp_path / "page.pdf"
    browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={target}", f"file://{tmp_path}/report.html")
    content = target.read_bytes()
    assert content.startswith(b"%PDF")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 30
