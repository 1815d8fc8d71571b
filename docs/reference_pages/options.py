"""The pages of options, keys and commands, and what the glossary says of them."""

from __future__ import annotations

import dataclasses
import importlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.cli.application import ROOMS, Application
from core.config import GROUPS, MISSING, OPTIONS, RunConfig
from core.config import deprecated as old
from core.config.run import DEFAULTS
from reference_pages.markdown_table import NOTE, cell, code, first_line, table

PACKAGES = Path(__file__).resolve().parents[2] / "packages"
DOMAINS = sorted(p.parent.name for p in PACKAGES.glob("*/pyproject.toml") if p.parent.name != "core")
VERBS = ("train", "evaluate", "predict", "serve", "card", "compare")


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


def options() -> dict[tuple[str, str], type]:
    """Return the options of core and of the domains; a process may have registered others, such as a test's."""
    return {key: option for key, option in sorted(OPTIONS.items()) if home(option) in ("core", *DOMAINS)}


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
            yield Key(prefix + field.name, typed_as(default), str(field.metadata.get("help", "")))


def typed_as(value: Any) -> str:
    """Return a default as one types it on the command line."""
    if value is dataclasses.MISSING or value == MISSING:
        return "required"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ",".join(typed_as(item) for item in value) + "]"
    return str(value)


def home(option: type) -> str:
    """Return the package that an option comes with."""
    return option.__module__.split(".")[0]


def key_table(option: type, group: str = "") -> str:
    """Return the table of an option's keys, or a sentence where it has none."""
    prefix = f"{group}." if group else ""
    rows = [(code(prefix + key.path), code(key.default), cell(key.help)) for key in keys(option)]
    return table(("key", "default", "meaning"), rows) if rows else "It has no keys."


def options_page() -> str:
    """Return the page of every group, its options and their keys."""
    chosen = {group: name for entry in DEFAULTS if isinstance(entry, dict) for group, name in entry.items()}
    groups = [
        (f"[`{g}`](#{g})", cell(text), code(chosen[g]) if g in chosen else "the domain's")
        for g, text in GROUPS.items()
    ]
    lines = [
        NOTE,
        "# Options and keys\n",
        "A run chooses one option of each group (`group=option`) and sets its keys (`group.key=value`), on the "
        "command line or in a YAML file. `python -m <domain>.train --help` lists the same for the choices made so "
        "far.\n",
        table(("group", "what it decides", "default"), groups),
        "\n## Keys of no group\n",
        key_table(RunConfig),
    ]
    ordered = sorted(options().items(), key=lambda item: (home(item[1]) != "core", item[0]))
    for group, text in GROUPS.items():
        lines.append(f"\n## {group} {{#{group}}}\n\n{text[:1].upper()}{text[1:]}.")
        for (of, name), option in ordered:
            if of == group:
                where = "" if home(option) == "core" else f" ({home(option)})"
                lines.append(f"\n### `{group}={name}`{where} {{#{group}-{name}}}\n\n{first_line(option)}\n")
                lines.append(key_table(option, group))
    return "\n".join(lines).rstrip() + "\n"


def applications(domain: str) -> list[Application]:
    """Return the commands that a domain's package offers, those of all domains first."""
    package = importlib.import_module(domain)
    offered = [found for found in vars(package).values() if isinstance(found, Application)]
    return sorted(offered, key=lambda a: (VERBS.index(a.verb) if a.verb in VERBS else len(VERBS), a.verb))


def commands_page() -> str:
    """Return the page of every command and its keys."""
    lines = [
        NOTE,
        "# Commands\n",
        "Every command runs as a module (`python -m healthcare.train`), as a console script "
        "(`plinth-healthcare-train`) and as a function (`healthcare.train(...)`), with the same overrides. A mistake "
        "that you can mend ends with one message and exit status 2; `PLINTH_TRACEBACK=1` shows where it came from.\n",
    ]
    for app in applications(DOMAINS[0]):
        if app.verb in VERBS:
            summary = app.summary.removesuffix(f": {app.domain.title}.").removesuffix(".")
            lines += [f"## {app.verb}\n", f"`python -m <domain>.{app.verb}`. {summary}.\n", command_keys(app)]
    for domain in DOMAINS:
        for app in applications(domain):
            if app.verb not in VERBS:
                lines += [f"## {app.verb} ({domain})\n", f"`python -m {domain}.{app.verb}`. {app.summary}\n"]
                lines.append(command_keys(app))
    return "\n".join(lines).rstrip() + "\n"


def command_keys(app: Application) -> str:
    """Return the table of a command's own keys, and where those of its groups are."""
    text = key_table(app.schema)
    if app.groups:
        text += "\n\nGroups: " + ", ".join(f"[`{g}`](options.md#{g})" for g in app.groups) + "."
    return text + "\n"


def renamed_table() -> str:
    """Return what was renamed since the version before."""
    rows = [(f"{was}=", f"{now}=") for was, now in old.RENAMED_GROUPS.items()]
    rows += [(f"{g}={was}", f"{g}={now}") for (g, was), now in old.RENAMED_OPTIONS.items()]
    rows += [(f"task={was}", f"task={now}") for (_, was), now in old.RENAMED_TASKS.items()]
    rows += list(old.RENAMED_KEYS.items())
    rows += [(f"{key}={was}", f"{key}={now}") for (key, was), now in old.RENAMED_VALUES.items()]
    return table(("0.1", "0.2"), [(code(was), code(now) or "removed") for was, now in rows])


def glossary_keys() -> str:
    """Return a row for each name of a key: where it occurs and what it means."""
    places: dict[str, list[str]] = defaultdict(list)
    meanings: dict[str, list[str]] = defaultdict(list)
    found = [(f"{g}.{key.path}", key) for (g, _), o in options().items() for key in keys(o)]
    found += [(key.path, key) for key in keys(RunConfig)]
    for domain in DOMAINS:
        for app in applications(domain):
            found += [(f"{app.verb} {key.path}", key) for key in keys(app.schema) if app.verb != "train"]
    for path, key in found:
        name = key.path.split(".")[-1]
        places[name] += [path] if path not in places[name] else []
        meanings[name] += [key.help] if key.help and key.help not in meanings[name] else []
    rows = [
        (code(name), ", ".join(code(path) for path in places[name]), cell("; or: ".join(meanings[name])))
        for name in sorted(places)
    ]
    return table(("key", "where", "meaning"), rows)


def glossary_options() -> str:
    """Return a row for each option of each group."""
    rows = [
        (f"[`{group}={name}`](reference/options.md#{group}-{name})", cell(first_line(option)))
        for (group, name), option in options().items()
    ]
    return table(("option", "meaning"), rows)
