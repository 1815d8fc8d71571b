"""The field's words: no former name is left in code, keys, help, page or docs (the table of old names excepted)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from domains import ROOT

from core.config.deprecated import RENAMED_KEYS, RENAMED_OPTIONS

SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))
TEMPLATES = sorted(path for path in ROOT.glob("packages/*/src/**/*") if path.suffix in (".j2", ".css"))
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
EXCEPTED = {"deprecated.py", "CHANGELOG.md", "upgrading.md"}
"""Files that hold old names on purpose, beside ``core/report/upgrade/``."""

MODULES = """
core/app core/guard core/help core/folder core/pipeline core/steps core/checks
run/steps/once run/steps/head_start run/steps/attack run/steps/audit
run/steps/oversee run/steps/perform run/steps/account
evaluation/answered evaluation/figures evaluation/standard evaluation/means evaluation/ranks evaluation/places
evaluation/shapes evaluation/pixels evaluation/outliers evaluation/challenger
data/identity data/leaks data/overlap data/columns data/values data/words data/parts
data/encoders/pairs data/encoders/examples data/encoders/stores
targets/reading targets/restoring targets/crossing targets/chain targets/detect
backbones/stem backbones/leaves backbones/once backbones/computed backbones/modes backbones/seeding backbones/checks
backbones/shipped backbones/inputs
training/private training/private_run training/run training/budget training/files training/launch
fairness/strata fairness/notions fairness/robust fairness/weights fairness/decision fairness/running fairness/baseline
explanation/cases explanation/question explanation/trial explanation/entries explanation/assign explanation/ranks
privacy/secret privacy/examples privacy/canaries privacy/reference
privacy/rules/forms privacy/rules/settle privacy/rules/products
report/marks report/cited report/drawings report/pointers report/answers report/wording report/details
finance/stream/beginning finance/stream/reading finance/stream/watch
driving/foreign driving/declared driving/strips driving/pictures
smarthome/outside smarthome/sensed education/grading/altered education/grading/gaming education/grading/settings
healthcare/beats driving/scene
""".split()  # noqa: SIM905 - a list of so many paths reads better as lines

DEFINITIONS = """
guarded RunFolder computed_once HeadFirst head_first head_start of_all answered MeanEncoder Ranking briers at_places
boosted_pixels Profile Made Chosen take_unfinished _Deal deal _neediest shrink_less ComputedNet Flags Pieces Side
FirstToken Offsets Topics CodePath WidePath answer_layer StartsFixed KnowsItsPast StartsFromRows started_from
read_before same_tokens load_into PrivateUpdate PlainUpdate Probe Stop Judge MayBeMissing LearningObjective Interrupts
Stopped Parallel pieces changing_tensors under Lines Bar says Strata Notion GroupRobust CellWeights NothingDone beside
Cases stirred removed Question ask whole Trial tried Extent affordable few settle Subject Entries assigned
take_secret forget_secret Outer Settlement watching mark_rows Tracked FollowRows no_promise without_noise Spend
plainly named told said human escaped wrong setting option saved restored speak_for papers verbs callable_module
Held Findings studied Judged Designed Prepared Impact Unread Truths Pixels look tendency limit enough Covered
Ledger Alerting unwritten by_the_clock persistent
""".split()  # noqa: SIM905

KEYS = """
head_epochs head_rate once_gib evaluate_every_looks balanced balanced_power ffn wide_words weights_none colours
normalisation configurations_tried one_pass notion mondrian_units mask_rows resamples_single image_fit image_source
companions bag_words bag_chars bag_prompt compare_topics units_apart
""".split()  # noqa: SIM905

PROSE = [
    r"\bfrom noise\b",
    r"\bplain noise\b",
    r"\bhead first\b",
    r"\bhead alone\b",
    r"\bspoilt\b",
    r"\bgive or take\b",
    r"\bown coin\b",
    r"\btoss of a coin\b",
    r"\bhow ill the truth fits\b",
    r"\bnonconform(?!ity)",
    r"\bWhat is taken for what\b",
    r"\bDo the probabilities hold\b",
    r"\bIs acting on it worth it\b",
    r"\bModel less (challenger|baseline)\b",
    r"\bServed worst\b",
    r"\bchallengers?\b",
    r"\bno promise\b",
    r"\bgoes? on (in|from|with|where)\b",
    r"\bgoing on in\b",
    r"\bgone on with\b",
    r"\btaken up again\b",
    r"\bcolours?\b",
    r"\bnormalis(e|ed|ing|ation)\b",
    r"\blooks? at (the )?validation\b",
    r"\bmemory of the gradient",
    r"\bfloor of the denominator\b",
    r"\bshare of the last step that is kept\b",
    r"\b(is|are) drawn by chance, on its own\b",
    r"\bpictures?\b",
]
VERBS = re.compile(r"^(Give|Gives|Say|Says|Tell|Tells|Make again)\b")


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Return the lines of a file; of a module those with words for people: comments, docstrings, other texts."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if path.suffix == ".py" and not re.search(r"[\"'#]|^\s+[A-Za-z]", line):
            continue
        yield number, line


def test_no_module_has_a_former_name() -> None:
    there = {str(path.relative_to(ROOT)).partition("/src/")[2].removesuffix(".py") for path in SOURCES}
    old = [name for name in MODULES if any(module.endswith("/" + name) or module == name for module in there)]
    assert old == []
    assert len(there) > 250, "the sources were not found"


def test_no_definition_has_a_former_name() -> None:
    left = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in DEFINITIONS
    ]
    assert left == []


def test_docstrings_begin_with_the_field_s_verbs() -> None:
    left = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                first = (ast.get_docstring(node) or "").partition("\n")[0]
                if VERBS.match(first):
                    left.append(f"{path.relative_to(ROOT)}: {first}")
    assert left == []


@pytest.mark.parametrize("pattern", PROSE)
def test_no_text_uses_a_former_word(pattern: str) -> None:
    rule = re.compile(pattern)
    left = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:90]}"
        for path in (*SOURCES, *TEMPLATES, *PAGES)
        if path.name not in EXCEPTED and path.parent.name != "upgrade" and path.is_file()
        for number, line in texts(path)
        if rule.search(line) and "derive_seed(" not in line and "i drew a" not in line  # what a pupil writes
    ]
    assert left == []


def test_no_key_has_a_former_name() -> None:
    used = re.compile(
        r"\b("
        + "|".join([re.escape(key) for key in RENAMED_KEYS] + [rf"\w+\.{key}" for key in KEYS])
        + r")\b(?!\.)"
    )
    options = re.compile(
        r"\b(" + "|".join(f"{group}={re.escape(old)}" for group, old in RENAMED_OPTIONS) + r")\b(?![\w.-])"
    )
    files = [*SOURCES, *TEMPLATES, *PAGES, *sorted(ROOT.glob("conf/**/*.yaml"))]
    files.remove(ROOT / "docs/reference/record.md")  # fields of the record, not keys: privacy.audit is one
    left = [
        f"{path.relative_to(ROOT)}:{number}: {found.group()}"
        for path in files
        if path.name not in EXCEPTED and path.parent.name != "upgrade" and path.is_file()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for rule in (used, options)
        if (found := rule.search(line)) and "self." not in found.group()
    ]
    assert left == []
