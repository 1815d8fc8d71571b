"""Sentences about the energy and carbon of a run: the record's ``energy``."""

from __future__ import annotations

from core.energy.meter import JOULES_PER_WH
from core.energy.section import EnergySection, EnergySource
from core.report.formatting import format_duration, format_percent, format_si


def headline(section: EnergySection) -> str:
    """Return the energy of the whole run."""
    return format_si(section.joules / JOULES_PER_WH, "Wh")


def detail(section: EnergySection) -> str:
    """Return how it was read, its carbon, the energy of a prediction, and how long training took."""
    read = measured_share(section)
    return (
        f"{read[0].upper()}{read[1:]}, +/- {format_percent(relative_uncertainty(section))}; "
        f"{format_si(section.carbon.grams, 'g')} CO2e with the electricity of {section.carbon.region}; "
        f"{format_si(section.per_prediction.joules, 'J')} per prediction; training took "
        f"{format_duration(section.phases['train'].seconds)}."
    )


def measured_share(section: EnergySection) -> str:
    """Return whether counters measured the energy or a power model computed it."""
    if section.measured_share > 0.99:
        return "measured by hardware counters"
    return (
        "modeled"
        if section.measured_share < 0.01
        else f"{format_percent(section.measured_share)} of it measured"
    )


def relative_uncertainty(section: EnergySection) -> float:
    """Return the half-width of the whole run's uncertainty, as a share of its joules."""
    return (section.high - section.low) / 2 / section.joules if section.joules else 0.0


def source_method(source: EnergySource) -> str:
    """Return how a component's energy was read, with what the power model assumes."""
    p = source.parameters
    if source.method == "processor_model":
        power = "as given" if p["power_from"] == "energy.watts_per_core" else f"default of {p['power_from']}"
        return (
            f"processor time x {p['watts_per_thread']:g} W per busy thread ({p['watts_per_core']:g} W per core, "
            f"{power}, {p['threads_per_core']:g} threads per core)"
        )
    if source.method == "memory_model":
        return f"resident memory x {p['watts_per_gib']:g} W per GiB ({p['power_from']})"
    if source.method == "rapl":
        return f"RAPL counters ({p['counters']}) x this process's share of the machine's processor time"
    if source.method == "nvml":
        return "NVML's energy counter of the whole board"
    if source.method == "unmeasured":
        return f"not counted: {p['reason']}"
    return str(p.get("description", source.method))


def forecast(section: EnergySection) -> str:
    """Return what training was forecast to use beside what it used; "" where no forecast was made."""
    expected, used = section.forecast, section.phases["train"]
    if expected is None:
        return ""
    return (
        f"After step {expected.after_step:,}, training was forecast to take {format_duration(expected.seconds)} and "
        f"{format_si(expected.joules, 'J')}; it took {format_duration(used.seconds)} and {format_si(used.joules, 'J')}."
    )
