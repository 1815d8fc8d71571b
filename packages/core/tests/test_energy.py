"""The meter: what it adds up, what it reads, what it says it can't."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.energy import sources
from core.energy.carbon import Grid
from core.energy.config import MeasuredEnergy, NoEnergy
from core.energy.meter import EnergyUsage, Meter
from core.energy.section import EnergyForecast, EnergySource
from core.energy.training_energy import SAMPLE, WARM_UP, TrainingEnergy
from core.report.formatting import format_duration, format_si
from core.report.sentences.energy import source_method
from core.training.types import StepEvent


class Work:
    """A source whose joules the test sets."""

    component, method, measured, relative_uncertainty = "processor", "a test", False, 0.5

    def __init__(self) -> None:
        self.done = 0.0
        self.parameters: dict[str, float | str] = {}

    def joules(self) -> float:
        return self.done


def test_twice_the_work_is_twice_the_energy_and_phases_add_up() -> None:
    work = Work()
    meter = Meter([work])
    with meter.phase("one"):
        work.done += 10
    with meter.phase("two"):
        work.done += 20
    assert meter.phases["two"].total == 2 * meter.phases["one"].total
    assert meter.used.total == work.done
    with meter.phase("one"):
        work.done += 5
    assert meter.phases["one"].total == 15


def test_what_is_inside_counts_once() -> None:
    work = Work()
    meter = Meter([work])
    with meter.phase("outer"):
        work.done += 1
        with meter.phase("inner"):
            work.done += 10
            with meter.phase("innermost"):
                work.done += 100
        work.done += 2
    assert {name: reading.total for name, reading in meter.phases.items()} == {
        "innermost": 100,
        "inner": 10,
        "outer": 3,
    }
    assert meter.phases["outer"].seconds >= 0


def test_a_phase_that_fails_is_counted_and_its_neighbours_are_not_disturbed() -> None:
    work = Work()
    meter = Meter([work])

    def failing() -> None:
        with meter.phase("failing"):
            work.done += 4
            raise RuntimeError("on purpose")

    with meter.phase("outer"):
        with pytest.raises(RuntimeError, match="on purpose"):
            failing()
        work.done += 1
    assert (meter.phases["failing"].total, meter.phases["outer"].total) == (4, 1)


def test_processor_time_of_children_counts_once() -> None:
    before = sources.processor_seconds()
    burn = "import time; s = time.process_time()\nwhile time.process_time() - s < 0.3: pass"
    subprocess.run([sys.executable, "-S", "-c", burn], check=True)
    assert 0.28 <= sources.processor_seconds() - before < 3  # children are counted in hundredths


def test_the_model_is_processor_time_at_a_stated_power(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 4.0])
    monkeypatch.setattr(sources, "processor_seconds", lambda: next(seconds))
    model = sources.ProcessorModel(10.0)
    assert model.joules() == pytest.approx(3 * 10 / float(model.parameters["threads_per_core"]))
    assert "10 W per core, as given" in method_of(model)


def method_of(source: sources.Source) -> str:
    """Return the sentence of a source's method, as the page shows it."""
    return source_method(
        EnergySource(
            component=source.component,
            method=source.method,
            parameters=source.parameters,
            measured=source.measured,
            relative_uncertainty=source.relative_uncertainty,
            joules=0.0,
        )
    )


def counters(root: Path, package: int, dram: int) -> None:
    for number, (name, value) in enumerate({"package-0": package, "dram": dram, "core": 7}.items()):
        domain = root / f"intel-rapl:{number}"
        domain.mkdir(exist_ok=True)
        (domain / "name").write_text(name + "\n")
        (domain / "energy_uj").write_text(str(value))
        (domain / "max_energy_range_uj").write_text("1000000")


def test_counters_are_shared_by_processor_time_and_wrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, busy = iter([0.0, 1.0, 1.0]), iter([100.0, 104.0, 104.0])
    monkeypatch.setattr(sources, "processor_seconds", lambda: next(own))
    monkeypatch.setattr(sources, "_busy_seconds", lambda: next(busy))
    counters(tmp_path, 900_000, 100_000)
    rapl = sources.Rapl(sources.rapl_domains(tmp_path))
    counters(tmp_path, 100_000, 300_000)  # the package's counter wrapped: 0.2 J; memory 0.2 J
    assert rapl.joules() == pytest.approx(0.4 / 4)
    assert rapl.joules() == pytest.approx(0.4 / 4), "nothing more was used"
    assert "dram, package-0" in method_of(rapl)


def test_without_a_readable_package_counter_there_is_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sources.rapl_domains(tmp_path) == []
    monkeypatch.setattr(sources, "rapl_domains", list)
    kinds = [type(source) for source in sources.detect_sources(None)]
    assert kinds[:2] == [sources.ProcessorModel, sources.MemoryModel]


def test_carbon_is_energy_times_the_grid_and_the_building() -> None:
    grid = Grid.of(MeasuredEnergy(region="DE", pue=1.5))
    assert (grid.region, grid.year, grid.grams_per_kwh) == ("Germany", 2023, 381)
    assert grid.emissions(3.6e6) == pytest.approx(381 * 1.5)
    with pytest.raises(ValueError, match=r"energy\.region='XX'.*world, AR.*energy\.grid_intensity"):
        MeasuredEnergy(region="XX")
    own = Grid.of(MeasuredEnergy(region="our roof", grid_intensity=20.0))
    assert (own.grams_per_kwh, own.source) == (20.0, "energy.grid_intensity")


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"pue": 0.9}, "pue"), ({"budget_wh": -1.0}, "budget_wh"), ({"watts_per_core": -1.0}, "watts_per_core")],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, float], key: str) -> None:
    with pytest.raises(ValueError, match=rf"energy\.{key}="):
        MeasuredEnergy(**settings)
    with pytest.raises(ValueError, match="energy=none measures nothing"):
        NoEnergy(budget_wh=1.0)


def watched(work: Work, budget: float = 0.0) -> tuple[TrainingEnergy, list[EnergyForecast]]:
    forecasts: list[EnergyForecast] = []
    grid = Grid.of(MeasuredEnergy())
    return TrainingEnergy(Meter([work]), 100, budget, grid, forecasts.append), forecasts


def test_the_forecast_extends_the_first_steps_after_the_warm_up() -> None:
    work = Work()
    energy, forecasts = watched(work)
    for step in range(1, 101):
        work.done += 50 if step <= WARM_UP else 2
        energy.on_step(StepEvent(step, None, None, 0.1))
    assert len(forecasts) == 1
    assert forecasts[0].after_step == WARM_UP + SAMPLE
    assert forecasts[0].joules == pytest.approx(work.done)
    assert energy.findings()["energy_forecast"] == forecasts[0]


def test_a_budget_ends_training_and_counts_what_was_used_before_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("core.energy.training_energy.CHECK_EVERY", 0.0)
    work = Work()
    energy, _ = watched(work, budget=1.0)
    work.done = 3000
    assert energy.should_stop() is None
    later, _ = watched(Work(), budget=1.0)
    later.load_state_dict(energy.state_dict())
    assert later.before == EnergyUsage(
        later.before.seconds, later.before.processor_seconds, {"processor": 3000.0}
    )
    assert later.should_stop() is None
    work.done = 3601
    assert energy.should_stop() == "energy_budget"


def test_quantities_are_written_with_prefixes() -> None:
    assert [format_si(v, "Wh") for v in (0.0, 2.5e-6, 0.0254, 1.5, 120.0, 45_000.0)] == [
        "0 Wh",
        "2.5 µWh",
        "25.4 mWh",
        "1.5 Wh",
        "120 Wh",
        "45 kWh",
    ]
    assert [format_duration(s) for s in (1.25, 600.0, 9000.0)] == ["1.25 s", "10 min", "2.5 h"]


JOULES = st.integers(0, 10**6)
USAGES = st.builds(
    EnergyUsage, JOULES, JOULES, st.fixed_dictionaries({}, optional={"gpu": JOULES, "memory": JOULES})
)


@given(USAGES, USAGES)
def test_what_was_added_can_be_taken_off_again(one: EnergyUsage, other: EnergyUsage) -> None:
    both = one + other
    assert both.total == one.total + other.total
    left = both - other
    assert (left.seconds, left.processor_seconds, left.total) == (
        one.seconds,
        one.processor_seconds,
        one.total,
    )


@given(st.lists(st.tuples(st.sampled_from(["in", "out"]), st.sampled_from("abc"), JOULES), max_size=12))
def test_phases_add_up_however_they_are_nested(events: list[tuple[str, str, int]]) -> None:
    work = Work()
    meter = Meter([work])
    with ExitStack() as whole:
        whole.enter_context(meter.phase("whole"))
        nested: list[ExitStack] = []
        for event, name, joules in events:
            work.done += joules
            if event == "in":
                nested.append(whole.enter_context(ExitStack()))
                nested[-1].enter_context(meter.phase(name))
            elif nested:
                nested.pop().close()
        while nested:
            nested.pop().close()
    assert sum(phase.total for phase in meter.phases.values()) == work.done == meter.used.total
