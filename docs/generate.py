"""Write the pages of docs/ that follow from the code: python docs/generate.py [--check].

Options, commands, metrics, the record's fields and the table of renamed keys are read from the classes that
define them, so that no page can lag. ``--check`` writes nothing and exits with 1 if a page would change.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from core.cli.application import ROOMS, Application
from core.config import GROUPS, MISSING, OPTIONS, RunConfig
from core.config import deprecated as old
from core.config.run import DEFAULTS
from core.domain import Task
from core.report.glossary import LOWER, UNDIRECTED, display_name, metric_gloss
from core.targets.types import _TYPES, MetricSettings, Target, target_type

DOCS = Path(__file__).resolve().parent
DOMAINS = sorted(
    p.parent.name for p in DOCS.parent.glob("packages/*/pyproject.toml") if p.parent.name != "core"
)
NOTE = "<!-- Written by docs/generate.py from the code: change it there. -->\n"


@dataclasses.dataclass(frozen=True)
class Key:
    """A key of the configuration: ``path`` within its option, its default as Hydra reads it, its help."""

    path: str
    default: str
    help: str


def register_everything() -> None:
    """Import the modules that register the options of core and of every domain."""
    for room in ROOMS:
        importlib.import_module(f"core.{room}.config")
    for domain in DOMAINS:
        for module in importlib.import_module(domain).DOMAIN.modules:
            importlib.import_module(module)


def keys(option: type, prefix: str = "") -> Iterator[Key]:
    """Yield the keys of an option, those of nested dataclasses by their full path."""
    for field in dataclasses.fields(option):
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        if field.name == "defaults" or (field.name in GROUPS and default == MISSING):
            continue  # a command's schema: groups have tables of their own
        if dataclasses.is_dataclass(default):
            yield from keys(type(default), f"{prefix}{field.name}.")
        else:
            yield Key(prefix + field.name, shown(default), str(field.metadata.get("help", "")))


def shown(value: Any) -> str:
    """Return a default as one types it on the command line."""
    if value is dataclasses.MISSING or value == MISSING:
        return "required"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ",".join(shown(item) for item in value) + "]"
    return str(value)


def cell(text: str) -> str:
    """Return text as one cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()


def code(text: str) -> str:
    """Return text as code in a cell of a Markdown table."""
    return f"`{cell(text).replace('&lt;', '<')}`" if text else ""


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def first_line(documented: object) -> str:
    """Return the first paragraph of a docstring on one line."""
    return re.sub(r"\s+", " ", (inspect.getdoc(documented) or "").split("\n\n")[0])


def options_page() -> str:
    """Return the page of every group, its options and their keys."""
    chosen = {group: name for entry in DEFAULTS if isinstance(entry, dict) for group, name in entry.items()}
    parts = [
        NOTE,
        "# Options and keys\n",
        "A run chooses one option of each group (`group=option`) and sets its keys (`group.key=value`), on the command "
        "line or in a YAML file. `python -m <domain>.train --help` lists the same for the choices made so far.\n",
        table(
            ("group", "what it decides", "default"),
            [
                (f"[`{g}`](#{g})", cell(text), code(chosen.get(g, "the domain's")))
                for g, text in GROUPS.items()
            ],
        ),
        "\n## Keys of no group\n",
        key_table(list(keys(RunConfig)), ""),
    ]
    for group, text in GROUPS.items():
        parts.append(f"\n## {group} {{#{group}}}\n\n{text[:1].upper()}{text[1:]}.")
        for (of, name), option in sorted(
            OPTIONS.items(), key=lambda item: (home(item[1]) != "core", item[0])
        ):
            if of != group:
                continue
            where = "" if home(option) == "core" else f" ({home(option)})"
            parts.append(f"\n### `{group}={name}`{where} {{#{group}-{name}}}\n\n{first_line(option)}\n")
            parts.append(key_table(list(keys(option)), group))
    return "\n".join(parts).rstrip() + "\n"


def key_table(found: list[Key], group: str) -> str:
    """Return the table of an option's keys, or a sentence where it has none."""
    prefix = f"{group}." if group else ""
    rows = [(code(prefix + key.path), code(key.default), cell(key.help)) for key in found]
    return table(("key", "default", "meaning"), rows) if rows else "It has no keys."


def home(option: type) -> str:
    """Return the package that an option comes with."""
    return option.__module__.split(".")[0]


def applications(domain: str) -> list[Application]:
    """Return the applications that a domain's package offers, ``train`` first."""
    package = importlib.import_module(domain)
    found = [getattr(package, name) for name in package.__all__]
    verbs = ["train", "evaluate", "predict", "serve", "card", "compare"]
    offered = [entry for entry in found if isinstance(entry, Application)]
    return sorted(offered, key=lambda a: verbs.index(a.verb) if a.verb in verbs else len(verbs))


def commands_page() -> str:
    """Return the page of every command and its keys."""
    parts = [
        NOTE,
        "# Commands\n",
        "Every command runs as a module (`python -m healthcare.train`), as a console script "
        "(`plinth-healthcare-train`) and as a function (`healthcare.train(...)`), with the same overrides. A message and "
        "exit status 2 tell a mistake that you can mend; `PLINTH_TRACEBACK=1` shows where it came from.\n",
    ]
    shared = {app.verb for app in applications(DOMAINS[0])}
    for domain in DOMAINS[1:]:
        shared &= {app.verb for app in applications(domain)}
    for app in applications(DOMAINS[0]):
        if app.verb in shared:
            summary = app.summary.removesuffix(f": {app.domain.title}.").removesuffix(".")
            parts += [f"## {app.verb}\n", f"`python -m <domain>.{app.verb}`. {summary}.\n", command_keys(app)]
    for domain in DOMAINS:
        for app in applications(domain):
            if app.verb not in shared:
                parts += [f"## {app.verb} ({domain})\n", f"`python -m {domain}.{app.verb}`. {app.summary}\n"]
                parts.append(command_keys(app))
    return "\n".join(parts).rstrip() + "\n"


def command_keys(app: Application) -> str:
    """Return the table of a command's own keys, and where those of its groups are."""
    text = key_table(list(keys(app.schema)), "")
    if app.groups:
        groups = ", ".join(f"[`{group}`](options.md#{group})" for group in app.groups)
        text += f"\n\nGroups: {groups}."
    return text + "\n"


def upgrading_table() -> str:
    """Return what was renamed since the version before, as a table."""
    rows = [(code(f"{was}="), code(f"{now}=")) for was, now in old.RENAMED_GROUPS.items()]
    rows += [(code(f"{g}={was}"), code(f"{g}={now}")) for (g, was), now in old.RENAMED_OPTIONS.items()]
    rows += [
        (code(f"task={was}") + f" ({d})", code(f"task={now}")) for (d, was), now in old.RENAMED_TASKS.items()
    ]
    rows += [(code(was), code(now) if now else "removed") for was, now in old.RENAMED_KEYS.items()]
    rows += [(code(f"{key}={was}"), code(f"{key}={now}")) for (key, was), now in old.RENAMED_VALUES.items()]
    return table(("0.1", "0.2"), rows)


def glossary_keys() -> str:
    """Return a row for each name of a key: where it occurs and what it means."""
    places: dict[str, list[str]] = defaultdict(list)
    meanings: dict[str, list[str]] = defaultdict(list)
    for (group, _), option in sorted(OPTIONS.items()):
        for key in keys(option):
            path, name = f"{group}.{key.path}", key.path.split(".")[-1]
            if path not in places[name]:
                places[name].append(path)
            if key.help and key.help not in meanings[name]:
                meanings[name].append(key.help)
    for key in keys(RunConfig):
        places[key.path].append(key.path)
        meanings[key.path].append(key.help)
    rows = [
        (code(name), ", ".join(code(path) for path in places[name]), cell("; or: ".join(meanings[name])))
        for name in sorted(places)
    ]
    return table(("key", "where", "meaning"), rows)


def glossary_options() -> str:
    """Return a row for each option of each group."""
    rows = [
        (f"[`{group}={name}`](reference/options.md#{group}-{name})", cell(first_line(option)))
        for (group, name), option in sorted(OPTIONS.items())
    ]
    return table(("option", "meaning"), rows)


@dataclasses.dataclass
class MetricRow:
    """A metric's key, what it means, and the kinds of target or tasks that report it."""

    key: str
    meaning: str
    better: str
    where: list[str]


def factory_words(function: object) -> str:
    """Return the first sentence on a metric or study: of the function, or of the one that returned it."""
    path, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    outer = getattr(importlib.import_module(module), path.split(".")[0], function) if module else function
    words = (first_line(function) or first_line(outer)).split(". ")[0].split(";")[0]
    return re.sub(r"^(Return|Compute) (the )?(metric:?|study of|study:?)?\s*", "", words).rstrip(".")


def kinds() -> list[type[Target]]:
    """Return the class of every kind of target, in the order of their names."""
    for path in sorted((DOCS.parent / "packages/core/src/core/targets").glob("*.py")):
        importlib.import_module(f"core.targets.{path.stem}")
    return [target_type(kind) for kind in sorted(_TYPES)]


def example(kind: type[Target]) -> Target:
    """Return a target of a kind whose classes are placeholders, to be asked for its metrics."""
    needed = {
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    classes = ("no", "yes") if kind.kind == "binary" else ("<class>",)
    return kind(
        **{name: classes if name in ("classes", "slots") else "<column>" for name in needed | {"classes"}}
    )


def metric_rows() -> list[MetricRow]:
    """Return every metric of the kinds of target, then those of tasks."""
    found: dict[str, MetricRow] = {}

    def add(key: str, function: object | None, where: str) -> None:
        words = metric_gloss(key) or metric_gloss(key.partition("_<class>")[0])
        if not words and function is not None:
            words = factory_words(function)
        better = (
            "1"
            if key == "calibration_slope"
            else "0"
            if key in UNDIRECTED
            else "lower"
            if key in LOWER
            else "higher"
        )
        row = found.setdefault(key, MetricRow(key, words, better, []))
        row.where += [where] if where not in row.where else []

    for kind in kinds():
        target = example(kind)
        for key, metric in target.metrics().items():
            add(key, metric, kind.kind)
        for statistic in kind.statistics(target.classes, MetricSettings()):
            for key in statistic.names:
                add(key, None, kind.kind)
    for name, task in tasks().items():
        for kind in kinds():
            for key, metric in task.metrics(kind.kind).items():
                add(key, metric, name)
    return list(found.values())


def tasks() -> dict[str, Task]:
    """Return every task by its name and domain."""
    return {
        f"{name} ({home(option)})": option()
        for (group, name), option in sorted(OPTIONS.items())
        if group == "task" and issubclass(option, Task)
    }


def metrics_table() -> str:
    """Return the table of all metrics."""
    rows = [
        (
            code(row.key),
            cell(display_name(row.key)),
            row.better,
            cell(row.meaning),
            cell(", ".join(row.where)),
        )
        for row in sorted(metric_rows(), key=lambda row: row.key)
    ]
    return table(("metric", "name", "better", "meaning", "reported for"), rows)


def metrics_page() -> str:
    """Return the page of metrics and studies."""
    parts = [
        NOTE,
        "# Metrics\n",
        "Every metric is computed on the test set and has an interval (`record.json`, section `metrics`). `<class>` stands for the name "
        "of a class.\n",
        metrics_table(),
        "\n## Studies\n",
        "What a task evaluates beyond metrics of its predictions (section `studies` of the record; `evaluation.studies=false` leaves them out).\n",
    ]
    for name, task in tasks().items():
        studies: dict[str, object] = {}
        for kind in kinds():
            studies |= task.studies(kind.kind)
        rows = [(code(key), cell(factory_words(study))) for key, study in studies.items()]
        parts += [f"\n### {name}\n", table(("study", "what"), rows)] if rows else []
    return "\n".join(parts).rstrip() + "\n"


@dataclasses.dataclass(frozen=True)
class RecordField:
    """A field of record.json: its path, its type in words, its description."""

    path: str
    type: str
    description: str


def record_sections() -> dict[str, tuple[str, list[RecordField]]]:
    """Return each section of the record: its description and its fields, those of nested models below their own."""
    schema = json.loads((DOCS / "reference/record.schema.json").read_text())
    definitions: dict[str, Any] = schema.get("$defs", {})

    def model(node: dict[str, Any]) -> str:
        """Return the name of the model that a value (or each of its values) is, or an empty string."""
        if "$ref" in node:
            name = str(node["$ref"]).removeprefix("#/$defs/")
            return name if "properties" in definitions[name] else ""
        inner = [*node.get("anyOf", []), *(node[k] for k in ("items", "additionalProperties") if k in node)]
        return next((found for part in inner if isinstance(part, dict) and (found := model(part))), "")

    def words(node: dict[str, Any]) -> str:
        """Return a JSON type in words."""
        if "$ref" in node:
            name = str(node["$ref"]).removeprefix("#/$defs/")
            return "value, low, high" if name == "Estimate" else words(definitions[name])
        if "anyOf" in node:
            return " or ".join(dict.fromkeys(words(part) for part in node["anyOf"]))
        if "enum" in node:
            return " or ".join(str(value) for value in node["enum"])
        if "const" in node:
            return str(node["const"])
        kind = {"integer": "whole number", "string": "text", "boolean": "yes/no"}.get(
            node.get("type", ""), node.get("type")
        )
        if kind == "array":
            return f"list of {words(node['items'])}" if node.get("items") else "list"
        if kind == "object" and isinstance(node.get("additionalProperties"), dict):
            return f"name -> {words(node['additionalProperties'])}"
        return str(kind or "any")

    def fields(name: str, prefix: str, above: tuple[str, ...]) -> Iterator[RecordField]:
        for key, node in definitions[name]["properties"].items():
            inner = model(node)
            array = "[]" if "items" in str(node)[:300] and "array" in words_of(node) else ""
            path = f"{prefix}{key}{array}"
            described = node.get("description") or (
                definitions[inner].get("description", "") if inner else ""
            )
            yield RecordField(path, words(node), described)
            if inner and inner != "Estimate" and inner not in above:
                yield from fields(inner, f"{path}{'.*' if mapped(node) else ''}.", (*above, inner))

    def words_of(node: dict[str, Any]) -> str:
        return node.get("type", "") + "".join(part.get("type", "") for part in node.get("anyOf", []))

    def mapped(node: dict[str, Any]) -> bool:
        parts = [node, *node.get("anyOf", [])]
        return any(isinstance(part.get("additionalProperties"), dict) for part in parts)

    found: dict[str, tuple[str, list[RecordField]]] = {}
    for key, node in schema["properties"].items():
        name = model(node)
        described = node.get("description") or (definitions[name].get("description", "") if name else "")
        inner = name and name != "Estimate"
        found[key] = (
            described or words(node),
            list(fields(name, f"{key}{'.*' if mapped(node) else ''}.", (name,))) if inner else [],
        )
    return found


def record_page() -> str:
    """Return the page of the fields of record.json."""
    parts = [
        NOTE,
        "# Record\n",
        "`record.json` holds every number of a run. Its JSON schema is [record.schema.json](record.schema.json). A path such as "
        "`fairness.comparisons[].difference` leads through lists (`[]`) and mappings (`*`). *value, low, high* is a metric with "
        "its interval, null where it is undefined.\n",
    ]
    for name, (described, entries) in record_sections().items():
        parts.append(f"\n## {name} {{#{name}}}\n\n{sentence(described)}\n")
        rows = [(code(entry.path), cell(entry.type), cell(entry.description)) for entry in entries]
        parts += [table(("field", "type", "meaning"), rows)] if rows else []
    return "\n".join(parts).rstrip() + "\n"


def sentence(text: str) -> str:
    """Return a description with a capital and a full stop."""
    text = re.sub(r"\s+", " ", text).replace("``", "`").strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".") if text else ""


def glossary_record() -> str:
    """Return a row for each section of the record."""
    rows = [
        (f"[`{name}`](reference/record.md#{name})", cell(sentence(text)))
        for name, (text, _) in record_sections().items()
    ]
    return table(("section", "meaning"), rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "renamed": upgrading_table,
    "keys": glossary_keys,
    "options": glossary_options,
    "metrics": metrics_table,
    "record": glossary_record,
}
"""Name of a block -> what stands between its marks, ``<!-- generated:name -->`` and ``<!-- end:name -->``, of any page."""
PAGES: dict[str, Callable[[], str]] = {
    "reference/options.md": options_page,
    "reference/commands.md": commands_page,
    "reference/metrics.md": metrics_page,
    "reference/record.md": record_page,
}
"""Path below docs/ -> the whole page."""


def filled(text: str) -> str:
    """Return a page with its generated blocks written anew."""

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}\n{BLOCKS[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- generated:(\w+) -->)\n.*?(<!-- end:\2 -->)", block, text, flags=re.DOTALL)


def pages() -> dict[Path, str]:
    """Return every generated page's text, and every page that has generated blocks."""
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
