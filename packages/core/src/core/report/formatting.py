"""How numbers, quantities and intervals are written for people, on the page, in documents and on the terminal."""

from __future__ import annotations

from core.config.section import Estimate

PREFIXES = {1e6: "M", 1e3: "k", 1.0: "", 1e-3: "m", 1e-6: "µ"}


def format_number(value: float | None, signed: bool = False) -> str:
    """Return a statistic with three decimals, fewer when large; a dash where undefined.

    >>> format_number(0.12345), format_number(-0.5), format_number(1234.5), format_number(None)
    ('0.123', '−0.500', '1,234', '–')
    """
    if value is None:
        return "–"
    size = abs(value)
    text = f"{size:.3f}" if size < 100 else f"{size:,.0f}" if size >= 1000 else f"{size:.1f}"
    negative = value < 0 and float(text.replace(",", "")) != 0
    sign = "−" if negative else "+" if signed and float(text.replace(",", "")) != 0 else ""
    return sign + text


def format_percent(value: float | None) -> str:
    """Return a share in per cent with three significant digits; a dash where undefined.

    >>> format_percent(0.12345)
    '12.3 %'
    """
    return "–" if value is None else f"{100 * value:.3g} %"


def format_count(value: int | None) -> str:
    """Return a whole number with thousands separated; a dash where undefined."""
    return "–" if value is None else f"{value:,}"


def format_si(value: float, unit: str = "") -> str:
    """Return a quantity of any size with three significant digits, its unit with an SI prefix.

    >>> format_si(59.1, "J"), format_si(0.0079, "g"), format_si(734003200, "B")
    ('59.1 J', '7.9 mg', '734 MB')
    """
    if value == 0:
        return f"0 {unit}".rstrip()
    size = abs(value)
    if unit:
        factor = next((factor for factor in PREFIXES if size >= factor), min(PREFIXES))
        return f"{format_si(value / factor)} {PREFIXES[factor]}{unit}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if size >= 1e-3 else f"{value:.1e}"


def format_duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours.

    >>> format_duration(2.6543), format_duration(600)
    ('2.65 s', '10 min')
    """
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"


def format_interval(estimate: Estimate, signed: bool = False) -> str:
    """Return an interval, or nothing where none was computed.

    >>> format_interval(Estimate(value=0.8, low=0.75, high=0.85))
    '0.750 to 0.850'
    """
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{format_number(estimate.low, signed)} to {format_number(estimate.high, signed)}"


def format_estimate(estimate: Estimate, signed: bool = False) -> str:
    """Return a value with its interval in brackets.

    >>> format_estimate(Estimate(value=0.8, low=0.75, high=0.85))
    '0.800 (0.750 to 0.850)'
    """
    interval = format_interval(estimate, signed)
    value = format_number(estimate.value, signed)
    return f"{value} ({interval})" if interval else value


def format_cell(value: object) -> str:
    """Return a value of a study's table as text."""
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return format_number(value)
    return ", ".join(format_cell(item) for item in value) if isinstance(value, list) else str(value)


def join_words(words: list[str]) -> str:
    """Return words as a list in a sentence.

    >>> join_words(["age", "sex", "skin"])
    'age, sex and skin'
    """
    return " and ".join(([", ".join(words[:-1])] if words[1:] else []) + words[-1:])
