"""Studies of sensor models: the errors of the control policy, and simple baselines (schedule, persistence)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.evaluation.bootstrap import estimate, interval_estimate, share_estimate
from core.evaluation.intervals import resampled_weights
from core.evaluation.study import EvaluationContext, Study, StudyResult
from smarthome.scene_policy import OCCUPIED

Array = NDArray[np.float64]


def occupancy(context: EvaluationContext) -> StudyResult:
    """Compute missed and false occupancy, switches a day, and the accuracy of a schedule baseline."""
    target, test = context.target, context.parts["test"]
    occupied = [k for k, name in enumerate(target.classes) if name.strip().lower() in OCCUPIED]
    if len(occupied) != 1:
        return StudyResult(f"The classes {', '.join(target.classes)} do not state occupancy.")
    present, predicted = test.targets == occupied[0], test.labels == occupied[0]
    metrics = {
        "missed_occupancy_rate": share_estimate(
            context, (~predicted).astype(np.float64), present, test.units
        ),
        "false_occupancy_rate": share_estimate(context, predicted.astype(np.float64), ~present, test.units),
        "switches_per_day": estimate(_switches(context, predicted)),
    }
    rows = [{"rule": "model", "accuracy": float(np.mean(present == predicted))}]
    schedule = schedule_baseline(context, occupied[0])
    notes = ["All readings have the same weight; the policy acts on each one."]
    if schedule is not None:
        rows.append(
            {
                "rule": "schedule baseline (hour and weekday or weekend, from training)",
                "accuracy": float(np.mean(schedule == present)),
            }
        )
        metrics["accuracy_schedule_baseline"] = share_estimate(
            context, (schedule == present).astype(np.float64), None, test.units
        )
        notes.append(
            "The schedule baseline predicts the majority of the training set at that hour of a weekday or weekend: "
            "where it is as good as the model, the model may have learned no more than office hours."
        )
    missed, false = metrics["missed_occupancy_rate"].value, metrics["false_occupancy_rate"].value
    return StudyResult(
        f"Occupancy is missed in {100 * (missed or 0):.1f} % of the occupied readings, and predicted in "
        f"{100 * (false or 0):.1f} % of the empty ones.",
        metrics,
        {"Occupancy": rows},
        notes=notes,
    )


def schedule_baseline(context: EvaluationContext, occupied: int) -> NDArray[np.bool_] | None:
    """Return occupancy of the test set by hour and weekday or weekend alone, as in training; None without times."""
    time = context.dataset.roles.time
    if time is None or "train" not in context.frames:
        return None
    train, test = (_hour_of_day_type(context.frames[part][time]) for part in ("train", "test"))
    truth = context.target.truth(context.target.encode(context.frames["train"])) == occupied
    rates = pd.Series(truth.astype(np.float64)).groupby(train).mean()
    return np.asarray(pd.Series(test).map(rates).fillna(float(truth.mean())).to_numpy() > 0.5, np.bool_)


def _hour_of_day_type(times: pd.Series) -> NDArray[np.int64]:
    when = pd.to_datetime(times)
    return np.asarray(when.dt.hour + 24 * (when.dt.dayofweek >= 5), np.int64)


def _switches(context: EvaluationContext, predicted: NDArray[np.bool_]) -> float | None:
    """Return changes of the prediction between consecutive readings of a unit, a day."""
    time, unit = context.dataset.roles.time, context.dataset.roles.unit
    if time is None or unit is None:
        return None
    frame = pd.DataFrame(
        {
            "unit": context.frames["test"][unit].to_numpy(),
            "time": pd.to_datetime(context.frames["test"][time]).to_numpy(),
            "on": predicted,
        }
    ).sort_values(["unit", "time"])
    same = frame["unit"].eq(frame["unit"].shift())
    changes = int((frame["on"].ne(frame["on"].shift()) & same).sum())
    reach = frame.groupby("unit")["time"].agg(["min", "max"])
    days = float((reach["max"] - reach["min"]).dt.total_seconds().sum()) / 86_400
    return changes / days if days else None


def forecast(context: EvaluationContext) -> StudyResult:
    """Compare the forecast with persistence (the value of the last reading), on the same rows."""
    test = context.parts["test"]
    name = persistence_forecast(context.dataset.frame, context.dataset.roles.numeric)
    if name is None:
        return StudyResult("No input is the target's own last value: there is no persistence forecast.")
    last = context.frames["test"][name].to_numpy(np.float64)
    truth = np.asarray(test.targets, np.float64)
    errors = np.column_stack([(test.scores[:, 0] - truth) ** 2, (last - truth) ** 2])
    weights = np.concatenate(list(resampled_weights(len(truth), test.units, context.resamples, context.seed)))
    roots = np.sqrt(weights @ errors / weights.sum(axis=1, keepdims=True))
    ours, theirs = np.sqrt(errors.mean(axis=0))
    metrics = {
        "rmse": interval_estimate(context, float(ours), roots[:, 0]),
        "rmse_persistence": interval_estimate(context, float(theirs), roots[:, 1]),
        "skill_score": interval_estimate(context, float(1 - ours / theirs), 1 - roots[:, 0] / roots[:, 1]),
    }
    return StudyResult(
        f"RMSE {ours:.1f}, {theirs:.1f} for persistence.",
        metrics,
        notes=[
            f"Persistence predicts the present value of {name}; skill score: 1 - RMSE / RMSE of persistence."
        ],
    )


def persistence_forecast(frame: pd.DataFrame, numeric: tuple[str, ...]) -> str | None:
    """Return the input whose next value is predicted: ``Appliances``; None where it is not among the inputs."""
    return "Appliances" if "Appliances" in numeric and "Appliances" in frame else None


def thermal_preference(context: EvaluationContext) -> StudyResult:
    """Compute how often a preference would get the opposite change, a needless one, or the right one."""
    classes, test = list(context.target.classes), context.parts["test"]
    if not {"warmer", "cooler"} <= set(classes):
        return StudyResult(f"The classes {', '.join(classes)} have no preference for warmer or cooler.")
    warm, cool = classes.index("warmer"), classes.index("cooler")
    opposite = ((test.targets == warm) & (test.labels == cool)) | (
        (test.targets == cool) & (test.labels == warm)
    )
    wants_change = (test.targets == warm) | (test.targets == cool)
    changed = (test.labels == warm) | (test.labels == cool)
    metrics = {
        "opposite_change_rate": share_estimate(
            context, opposite.astype(np.float64), wants_change, test.units
        ),
        "needless_change_rate": share_estimate(
            context, changed.astype(np.float64), ~wants_change, test.units
        ),
        "preference_recall": share_estimate(
            context, (test.labels == test.targets).astype(np.float64), wants_change, test.units
        ),
    }
    return StudyResult(
        f"{100 * (metrics['opposite_change_rate'].value or 0):.1f} % of the preferences would get the opposite "
        "change.",
        metrics,
    )


STUDIES: Mapping[str, Mapping[str, Study]] = {
    "binary": {"occupancy": occupancy},
    "multiclass": {"thermal_preference": thermal_preference},
    "regression": {"forecast": forecast},
}
"""Kind of target -> the studies of it."""
