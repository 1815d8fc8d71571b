"""``CARD.md``: the model card of a run, in the format of the Hugging Face Hub."""

from __future__ import annotations

from typing import Any

from core.report.summary import summary_items, headline_metric, baseline_name, responsible, speed
from core.report.markdown_links import MARKED, MarkdownLinks, escape_markdown, human_placeholder
from core.report.json_pointer import to_pointer
from core.report.record import Record
from core.report.formatting import display_name, metrics_per_class

COMPARED = 8
"""Comparisons of groups that the card shows; the record has them all."""


def card(record: Record) -> str:
    """Write the card of a sealed record as Markdown with a YAML head.

    Every figure is a link to its field of ``record.json``; what only a human can know stays visibly empty. Format:
    https://huggingface.co/docs/hub/model-cards (model-index as the Hub's evaluation results).
    """
    from core.report.templates import markdown

    cited = MarkdownLinks(record)
    text = markdown().get_template("card.md.j2")
    return f"---\n{head(record)}---\n\n" + text.render(
        record=record,
        c=cited,
        at=to_pointer,
        human=human_placeholder,
        text=escape_markdown,
        named=lambda name: escape_markdown(display_name(name)),
        answers=[*summary_items(record), responsible(record), speed(record)],
        metrics=shown_metrics(record),
        baseline=baseline_name(record.baseline.name) if record.baseline else "",
        compared=(record.fairness or {}).get("comparisons", [])[:COMPARED],
        suppressed={name: t["suppressed"] for name, t in record.groups.items() if t.get("suppressed")},
        warnings=[n for n, f in enumerate(record.data.findings) if f.level != "info"],
    )


def shown_metrics(record: Record) -> list[str]:
    """Name the metrics of the whole test part, without those of single classes."""
    labels = record.curves.get("confusion", {}).get("labels", [])
    by_class = metrics_per_class(record.metrics, labels) if len(labels) > 2 else {}
    single = {metric for figures in by_class.values() for metric in figures.values()}
    return [m for m, figure in record.metrics.items() if m not in single and figure.value is not None]


def head(record: Record) -> str:
    """Write the card's YAML: the license is left for a human, every metric names its field."""
    import yaml

    content: dict[str, Any] = {
        "library_name": "plinth",
        "tags": tags(record),
        "model-index": [{"name": f"{record.run.domain}-{record.run.task}", "results": [results(record)]}],
    }
    carbon = (record.energy or {}).get("carbon")
    if carbon:
        content["co2_eq_emissions"] = {
            "emissions": carbon["grams"],
            "source": carbon["source"],
            "training_type": "fine-tuning",
            "geographical_location": carbon["region"],
            "hardware_used": record.environment.cpu,
        }
    if not record.metrics:
        del content["model-index"]
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    return f"license: # {MARKED}: the license of the weights\n{text}"


def tags(record: Record) -> list[str]:
    """Name what the card is found by."""
    simulated = record.data.simulated or record.run.simulated
    private = bool(record.privacy and record.privacy.get("epsilon") is not None)
    found = ["plinth", record.run.domain, record.run.task, *(["simulated-data"] if simulated else [])]
    return [*found, *(["differential-privacy"] if private else [])]


def results(record: Record) -> dict[str, Any]:
    """Give the run's metrics as the Hub's evaluation results; ``args`` name each one's field and interval."""
    first = headline_metric(record)
    names = sorted(shown_metrics(record), key=lambda name: name != first)
    return {
        "task": {"type": _task(record), "name": record.run.task},
        "dataset": {
            "type": "simulated" if record.data.simulated else "own",
            "name": record.data.source,
            "split": "test",
        },
        "metrics": [
            {
                "type": name,
                "name": display_name(name),
                "value": record.metrics[name].value,
                "args": {
                    "field": to_pointer("metrics", name, "value"),
                    "low": record.metrics[name].low,
                    "high": record.metrics[name].high,
                },
            }
            for name in names
        ],
    }


def _task(record: Record) -> str:
    """Name the Hub's kind of task that is nearest."""
    roles = record.data.roles
    if "mask_classes" in roles:
        return "image-segmentation"
    if "image" in roles:
        return "image-classification"
    if "slots" in roles:
        return "token-classification"
    if "text" in roles and not roles.get("numeric"):
        return "text-classification"
    return "tabular-regression" if "rmse" in record.metrics else "tabular-classification"
