"""The page of the record's fields, from its JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference_pages.markdown_table import NOTE, cell, code, sentence, table

SCHEMA = Path(__file__).resolve().parents[1] / "reference/record.schema.json"
ESTIMATE = "Estimate"
"""The model of a value with its interval, shown as one field."""
NAMES = {"integer": "whole number", "string": "text", "boolean": "true or false"}

Node = dict[str, Any]


@dataclass(frozen=True)
class RecordField:
    """A field of record.json: its path, its type in words, its description."""

    path: str
    type: str
    description: str


@dataclass(frozen=True)
class RecordSection:
    """A section of record.json, with the fields of its nested models."""

    name: str
    description: str
    fields: list[RecordField]


class Schema:
    """A JSON schema of pydantic models."""

    def __init__(self, content: Node) -> None:
        self.properties: dict[str, Node] = content["properties"]
        self.definitions: dict[str, Node] = content.get("$defs", {})

    def sections(self) -> list[RecordSection]:
        """Return the sections of the record in their order."""
        return [
            RecordSection(name, self.description(node), list(self.fields(node, name, ())))
            for name, node in self.properties.items()
        ]

    def fields(self, node: Node, path: str, above: tuple[str, ...]) -> Iterator[RecordField]:
        """Yield the fields of the model that a value holds, alone, in a list or by name."""
        for choice in [*node.get("anyOf", []), *node.get("oneOf", [])]:
            yield from self.fields(choice, path, above)
        suffix, model = self.model(node)
        if not model or model == ESTIMATE or model in above or {"anyOf", "oneOf"} & set(node):
            return
        for key, inner in self.definitions[model]["properties"].items():
            place = f"{path}{suffix}.{key}"
            yield RecordField(place, self.words(inner), self.description(inner))
            yield from self.fields(inner, place, (*above, model))

    def model(self, node: Node) -> tuple[str, str]:
        """Return how a value leads to a model (``[]`` through a list, ``.*`` through names), and the model's name."""
        if "$ref" in node:
            name = str(node["$ref"]).removeprefix("#/$defs/")
            return ("", name) if "properties" in self.definitions[name] else ("", "")
        for key, step in (("items", "[]"), ("additionalProperties", ".*")):
            if isinstance(node.get(key), dict):
                suffix, name = self.model(node[key])
                return step + suffix, name
        choices = [*node.get("anyOf", []), *node.get("oneOf", [])]
        return next((found for part in choices if (found := self.model(part))[1]), ("", ""))

    def description(self, node: Node) -> str:
        """Return a value's description, else that of its model."""
        if "description" in node:
            return str(node["description"])
        return str(self.definitions.get(self.model(node)[1], {}).get("description", ""))

    def words(self, node: Node) -> str:
        """Return a value's type in words."""
        if "$ref" in node:
            name = str(node["$ref"]).removeprefix("#/$defs/")
            return "value, low, high" if name == ESTIMATE else self.words(self.definitions[name])
        for several in {"anyOf", "oneOf"} & set(node):
            return " or ".join(dict.fromkeys(self.words(part) for part in node[several]))
        if "enum" in node:
            return " or ".join(str(value) for value in node["enum"])
        if "const" in node:
            return str(node["const"])
        kind = str(node.get("type", "any"))
        if kind == "array":
            return f"list of {self.words(node['items'])}" if node.get("items") else "list"
        if kind == "object" and isinstance(node.get("additionalProperties"), dict):
            return f"name -> {self.words(node['additionalProperties'])}"
        return NAMES.get(kind, kind)


def record_sections() -> list[RecordSection]:
    """Return the sections of the record."""
    return Schema(json.loads(SCHEMA.read_text())).sections()


def record_page() -> str:
    """Return the page of the fields of record.json."""
    lines = [
        NOTE,
        "# Record\n",
        "`record.json` holds every number of a run; its JSON schema is `docs/reference/record.schema.json`. A path "
        "such as `fairness.comparisons[].difference` leads through lists (`[]`) and names (`.*`). *value, low, high* "
        "is an estimate with its interval, null where it is undefined.",
    ]
    for section in record_sections():
        lines.append(f"\n## {section.name} {{#{section.name}}}\n\n{sentence(section.description)}\n")
        rows = [(code(f.path), cell(f.type), cell(f.description)) for f in section.fields]
        lines += [table(("field", "type", "meaning"), rows)] if rows else []
    return "\n".join(lines).rstrip() + "\n"


def glossary_record() -> str:
    """Return a row for each section of the record."""
    rows = [
        (f"[`{s.name}`](reference/record.md#{s.name})", cell(sentence(s.description)))
        for s in record_sections()
    ]
    return table(("section", "meaning"), rows)
