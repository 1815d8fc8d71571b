"""Studies of sensed scenes: what acting on them would cost in comfort and in waste, and what a plain rule does."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.evaluation.intervals import interval, resampled_weights
from core.evaluation.study import StudyResult, EvaluationContext, Study
from smarthome.scene_policy import PRESENT
from smarthome.studies.intervals import share

Array = NDArray[np.float64]


def presence(context: EvaluationContext) -> StudyResult:
    """Count readings in which a plan would leave someone in the dark, and those in which it would light for no one."""
    target, test = context.target, context.parts["test"]
    there = [k for k, name in enumerate(target.classes) if name.strip().lower() in PRESENT]
    if len(there) != 1:
        return StudyResult(f"The classes {', '.join(target.classes)} do not say who is there.")
    present, decided = test.targets == there[0], test.labels == there[0]
    figures = {
        "left_in_the_dark": share(context, (~decided).astype(np.float64), present, test.units),
        "lit_for_no_one": share(context, decided.astype(np.float64), ~present, test.units),
        "switchings_per_day": {"value": _switchings(context, decided), "low": None, "high": None},
    }
    rows = [{"rule": "this model", "accuracy": float(np.mean(present == decided))}]
    clock = by_the_clock(context, there[0])
    notes = ["Readings count alike; a plan acts on each one."]
    if clock is not None:
        rows.append(
            {
                "rule": "the clock alone (hour and weekday, from training)",
                "accuracy": float(np.mean(clock == present)),
            }
        )
        figures["accuracy_of_the_clock"] = share(
            context, (clock == present).astype(np.float64), None, test.units
        )
        notes.append(
            "The clock's rule says what the training part did most at that hour of a working day or weekend: where it "
            "is as good as the model, the model may have learnt no more than office hours."
        )
    dark, waste = figures["left_in_the_dark"]["value"], figures["lit_for_no_one"]["value"]
    return StudyResult(
        f"Someone is there and the plan says no one in {100 * (dark or 0):.1f} % of such readings; "
        f"{100 * (waste or 0):.1f} % of the empty ones are lit.",
        figures,
        {"Presence": rows},
        notes=notes,
    )


def by_the_clock(context: EvaluationContext, there: int) -> NDArray[np.bool_] | None:
    """Decide the test part by hour and kind of day alone, as training was at that time; None without a clock."""
    time = context.dataset.roles.time
    if time is None or "train" not in context.frames:
        return None
    train, test = (_slot(context.frames[part][time]) for part in ("train", "test"))
    truth = context.target.truth(context.target.encode(context.frames["train"])) == there
    rates = pd.Series(truth.astype(np.float64)).groupby(train).mean()
    return np.asarray(pd.Series(test).map(rates).fillna(float(truth.mean())).to_numpy() > 0.5, np.bool_)


def _slot(times: pd.Series) -> NDArray[np.int64]:
    when = pd.to_datetime(times)
    return np.asarray(when.dt.hour + 24 * (when.dt.dayofweek >= 5), np.int64)


def _switchings(context: EvaluationContext, decided: NDArray[np.bool_]) -> float | None:
    """Count changes of the decision from reading to reading of a unit, a day."""
    time, unit = context.dataset.roles.time, context.dataset.roles.unit
    if time is None or unit is None:
        return None
    frame = pd.DataFrame(
        {
            "unit": context.frames["test"][unit].to_numpy(),
            "time": pd.to_datetime(context.frames["test"][time]).to_numpy(),
            "on": decided,
        }
    ).sort_values(["unit", "time"])
    same = frame["unit"].eq(frame["unit"].shift())
    changes = int((frame["on"].ne(frame["on"].shift()) & same).sum())
    reach = frame.groupby("unit")["time"].agg(["min", "max"])
    days = float((reach["max"] - reach["min"]).dt.total_seconds().sum()) / 86_400
    return changes / days if days else None


def forecast(context: EvaluationContext) -> StudyResult:
    """Compare the forecast with the value that the last reading had (persistence), on the same rows."""
    test = context.parts["test"]
    name = persistent(context.dataset.frame, context.dataset.roles.numeric)
    if name is None:
        return StudyResult(
            "No input is the answer's own last value, so there is no persistence to compare with."
        )
    last = context.frames["test"][name].to_numpy(np.float64)
    truth = np.asarray(test.targets, np.float64)
    errors = np.column_stack([(test.scores[:, 0] - truth) ** 2, (last - truth) ** 2])
    weights = np.concatenate(list(resampled_weights(len(truth), test.units, context.resamples, context.seed)))
    roots = np.sqrt(weights @ errors / weights.sum(axis=1, keepdims=True))
    ours, theirs = np.sqrt(errors.mean(axis=0))
    figures = {
        "rmse": interval(float(ours), roots[:, 0], context.confidence),
        "rmse_persistence": interval(float(theirs), roots[:, 1], context.confidence),
        "gain": interval(float(1 - ours / theirs), 1 - roots[:, 0] / roots[:, 1], context.confidence),
    }
    return StudyResult(
        f"RMSE {ours:.1f} against {theirs:.1f} for 'as it is now'.",
        figures,
        notes=[f"Persistence gives the present value of {name}."],
    )


def persistent(frame: pd.DataFrame, numeric: tuple[str, ...]) -> str | None:
    """Name the input whose next value the answer is: ``Appliances`` where the answer is ``next``."""
    return "Appliances" if "Appliances" in numeric and "Appliances" in frame else None


def comfort(context: EvaluationContext) -> StudyResult:
    """Count votes for warmer that would be cooled and votes for cooler that would be warmed."""
    classes, test = list(context.target.classes), context.parts["test"]
    if not {"warmer", "cooler"} <= set(classes):
        return StudyResult(f"The classes {', '.join(classes)} hold no wish for warmer or cooler.")
    warm, cool = classes.index("warmer"), classes.index("cooler")
    wrong = ((test.targets == warm) & (test.labels == cool)) | (
        (test.targets == cool) & (test.labels == warm)
    )
    asked = (test.targets == warm) | (test.targets == cool)
    moved = (test.labels == warm) | (test.labels == cool)
    figures = {
        "wrong_way": share(context, wrong.astype(np.float64), asked, test.units),
        "moved_for_the_content": share(context, moved.astype(np.float64), ~asked, test.units),
        "wishes_met": share(context, (test.labels == test.targets).astype(np.float64), asked, test.units),
    }
    return StudyResult(
        f"{100 * (figures['wrong_way']['value'] or 0):.1f} % of the wishes would be answered the wrong way.",
        figures,
    )


STUDIES: Mapping[str, Mapping[str, Study]] = {
    "binary": {"presence": presence},
    "multiclass": {"comfort": comfort},
    "regression": {"forecast": forecast},
}
"""Kind of target -> the studies of it."""
