"""``CARD.md``: the model card of a run, in the format of the Hugging Face Hub."""

from __future__ import annotations

from typing import Any

from core.report.figures import confusion_labels
from core.report.glossary import display_name, metrics_per_class, verdict
from core.report.json_pointer import to_pointer
from core.report.markdown_links import FILL_IN, MarkdownLinks, escape_markdown, human_placeholder
from core.report.record import Record
from core.report.sentences import evaluation, index
from core.report.summary import all_items

COMPARED = 8
"""Comparisons of groups that the card shows; the record has them all."""
FEATURES = 8
"""Features of the explanation that the card shows."""

COMPARISON_FIELDS = [
    f"/fairness/comparisons/*/{name}"
    for name in ("attribute", "group", "rate", "others", "difference", "found")
]
"""Columns of the table of groups."""

Facts = list[tuple[str, str]]
"""Label and pointer of the rows of a table."""

MODEL: Facts = [
    ("Domain", "/run/domain"),
    ("Task", "/run/task"),
    ("Purpose", "/run/purpose"),
    ("Backbone", "/model/backbone"),
    ("Adapter", "/model/adapter"),
    ("Parameters", "/model/parameters"),
    ("Trainable parameters", "/model/trainable"),
    ("Optimizer", "/run/config/optimizer/option"),
    ("Learning rate", "/run/config/optimizer/lr"),
    ("Epochs", "/training/epochs"),
    ("Steps", "/training/steps"),
    ("Training time", "/training/seconds"),
    ("Precision", "/training/precision"),
    ("Ended because", "/training/stop_reason"),
    ("Seed", "/run/seed"),
    ("Finished", "/run/finished"),
]
OVERSIGHT: Facts = [
    ("Intended use", "/oversight/declaration/intended_use"),
    ("Who is affected", "/oversight/declaration/affected"),
    ("Forbidden uses", "/oversight/declaration/forbidden_uses"),
    ("When a human decides", "/oversight/declaration/human_decides"),
    ("Responsible", "/oversight/declaration/responsible"),
    ("Must be confirmed by a human", "/oversight/declaration/confirm"),
    ("Test rows", "/oversight/counts/rows"),
    ("of them decided by the model", "/oversight/counts/model"),
    ("of them referred, the model is unsure", "/oversight/counts/unsure"),
    ("of them to be confirmed", "/oversight/counts/confirm"),
]
PRIVACY: Facts = [
    ("ε of the weights, given the preprocessing", "/privacy/epsilon"),
    ("δ", "/privacy/delta"),
    ("Attack's AUC", "/privacy/attack/auc"),
]
ENERGY: Facts = [
    ("Whole run", "/energy/joules"),
    ("Share measured by counters", "/energy/measured_share"),
    ("Carbon (CO2e)", "/energy/carbon/grams"),
    ("Grid intensity, g CO2e/kWh", "/energy/carbon/grams_per_kwh"),
    ("Region", "/energy/carbon/region"),
    ("Per prediction", "/energy/per_prediction/joules"),
    ("Latency of one prediction, median ms", "/performance/latency_ms/p50"),
    ("Latency of one prediction, 99th percentile ms", "/performance/latency_ms/p99"),
    ("Peak memory", "/performance/peak_memory_bytes"),
]
EXPLANATION: Facts = [
    ("Method", "/explanation/method"),
    ("Rows explained", "/explanation/rows"),
    ("Deletion, above random", "/explanation/faithfulness/deletion"),
    ("Insertion, above random", "/explanation/faithfulness/insertion"),
    ("Rank correlation with permuted weights", "/explanation/sanity"),
    ("Rank correlation after a small change", "/explanation/stability"),
]
UNCERTAINTY: Facts = [
    ("Method", "/uncertainty/method"),
    ("Coverage on the test set", "/uncertainty/coverage"),
    ("Size of a set", "/uncertainty/size"),
    ("Share referred to a human", "/uncertainty/deferral/deferred"),
    ("Loss on automated cases", "/uncertainty/deferral/risk_decided"),
    ("Loss without referral", "/uncertainty/deferral/cost_without"),
]


def card(record: Record) -> str:
    """Return the card of a sealed record as Markdown with a YAML head.

    Every row of its tables links to the field of ``record.json`` that it shows; what only a human can know stays
    visibly empty. Format: https://huggingface.co/docs/hub/model-cards (model-index as the Hub's evaluation results).
    """
    from core.report.templates import markdown

    links = MarkdownLinks(record)
    text = markdown().get_template("card.md.j2")
    return f"---\n{head(record)}---\n\n" + text.render(
        record=links.content,
        links=links,
        human=human_placeholder,
        text=escape_markdown,
        summary=all_items(record),
        model=_table(links, MODEL),
        oversight=_table(links, OVERSIGHT),
        data=_table(links, _data(record)),
        results=_results(record, links),
        baseline=evaluation.baseline_name(record.baseline.name) if record.baseline else "",
        method=index.sentence(record, "evaluation.method"),
        groups=_groups(links),
        group_fields=", ".join(COMPARISON_FIELDS),
        privacy=_table(links, PRIVACY),
        energy=_table(links, ENERGY),
        explanation=_table(links, EXPLANATION) + _importance(links),
        uncertainty=_sentences(record, links, "uncertainty") + _table(links, UNCERTAINTY),
        limitations=_table(links, _limitations(record)),
    )


def _table(links: MarkdownLinks, facts: Facts) -> list[str]:
    return [row for row in (links.row(label, where) for label, where in facts) if row]


def _sentences(record: Record, links: MarkdownLinks, room: str) -> list[str]:
    """Return headline and detail of a section, each as a row."""
    named = {"Summary": f"{room}.headline", "Detail": f"{room}.detail"}
    rows = [
        links.sentence(label, index.sentence(record, name), to_pointer(room)) for label, name in named.items()
    ]
    return [row for row in rows if row]


def _data(record: Record) -> Facts:
    facts = [("Source", "/data/source"), ("Simulated", "/data/simulated")]
    for name in record.data.rows:
        facts.append((f"Rows, {name}", to_pointer("data", "rows", name)))
        if record.data.units and name in record.data.units:
            facts.append(
                (f"{record.data.unit_name.capitalize()}s, {name}", to_pointer("data", "units", name))
            )
    facts += [(display_name(role), to_pointer("data", "roles", role)) for role in record.data.roles]
    facts += [(f"sha256 of {file}", to_pointer("data", "files", file)) for file in record.data.files]
    facts += [("Changed on reading", to_pointer("data", "notes", n)) for n in range(len(record.data.notes))]
    return facts


def _results(record: Record, links: MarkdownLinks) -> list[str]:
    """Return the rows of the metrics, beside the baseline's where there is one."""
    fields = ["/metrics/*"]
    if record.baseline:
        fields += ["/baseline/metrics/*", "/baseline/difference/*"]
    rows = []
    for metric in shown_metrics(record):
        row = links.cells(display_name(metric), to_pointer("metrics", metric), fields)
        if record.baseline:
            difference = record.baseline.difference.get(metric)
            word = (verdict(metric, difference) if difference else "") or "–"
            cells = row.removesuffix(" |").rpartition(" | ")
            row = f"{cells[0]} | {word} | {cells[2]} |"
        rows.append(row)
    return rows


def _groups(links: MarkdownLinks) -> list[str]:
    """Return the rows of the first comparisons of groups."""
    found = links.at("/fairness/comparisons") or []
    return [
        links.cells(display_name(line["metric"]), to_pointer("fairness", "comparisons", n), COMPARISON_FIELDS)
        for n, line in enumerate(found[:COMPARED])
    ]


def _importance(links: MarkdownLinks) -> list[str]:
    found = links.at("/explanation/importance") or []
    return [
        links.row(f"Mean effect of {feature['name']}", to_pointer("explanation", "importance", n, "mean_abs"))
        for n, feature in enumerate(found[:FEATURES])
    ]


def _limitations(record: Record) -> Facts:
    facts = [
        ("Data check", to_pointer("data", "findings", n, "message"))
        for n, finding in enumerate(record.data.findings)
        if finding.level != "note"
    ]
    return facts + [
        (f"Too few rows to evaluate, {name}", to_pointer("groups", name, "suppressed"))
        for name in record.groups
    ]


def shown_metrics(record: Record) -> list[str]:
    """Return the metrics of the whole test set, without those of single classes."""
    labels = confusion_labels(record)
    by_class = metrics_per_class(record.metrics, labels) if len(labels) > 2 else {}
    single = {metric for metrics in by_class.values() for metric in metrics.values()}
    return [m for m, estimate in record.metrics.items() if m not in single and estimate.value is not None]


def head(record: Record) -> str:
    """Return the card's YAML: the license is left for a human, every metric has its field."""
    import yaml

    content: dict[str, Any] = {
        "library_name": "plinth",
        "tags": tags(record),
        "model-index": [{"name": f"{record.run.domain}-{record.run.task}", "results": [results(record)]}],
    }
    if record.energy:
        carbon = record.energy.carbon
        content["co2_eq_emissions"] = {
            "emissions": carbon.grams,
            "source": carbon.source,
            "training_type": "fine-tuning",
            "geographical_location": carbon.region,
            "hardware_used": record.environment.cpu,
        }
    if not record.metrics:
        del content["model-index"]
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
    return f"license: # {FILL_IN}: the license of the weights\n{text}"


def tags(record: Record) -> list[str]:
    """Return the tags that the card is found by on the Hub."""
    simulated = record.data.simulated or record.run.simulated
    private = bool(record.privacy and record.privacy.epsilon is not None)
    found = ["plinth", record.run.domain, record.run.task, *(["simulated-data"] if simulated else [])]
    return [*found, *(["differential-privacy"] if private else [])]


def results(record: Record) -> dict[str, Any]:
    """Return the run's metrics as the Hub's evaluation results; ``args`` hold each one's field and interval."""
    first = evaluation.headline_metric(record)
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
    """Return the Hub's kind of task that is nearest."""
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
