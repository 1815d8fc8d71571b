"""Numbers as they are said: in digits or English words, with a unit; read whole, or not at all."""

from __future__ import annotations

import re
import unicodedata

UNITS: dict[str, tuple[str, ...]] = {
    "percent": ("%", "percent", "per cent", "prozent", "procent", "por ciento", "pour cent", "per cento"),
    "fahrenheit": ("fahrenheit", "f"),
    "celsius": ("celsius", "c", "centigrade"),
    "degrees": ("°", "degree", "degrees", "grad", "grados", "gradi", "graden", "grader"),
    "hours": ("hour", "hours", "hr", "hrs", "h"),
    "minutes": ("minute", "minutes", "min", "mins"),
    "seconds": ("second", "seconds", "sec", "secs", "s"),
}
"""Unit -> how it is written after a number."""
TEMPERATURE_UNITS = ("degrees", "celsius", "fahrenheit")
SLOT_UNITS: dict[str, tuple[str, ...]] = {
    "brightness": ("percent",),
    "position": ("percent",),
    "volume_level": ("percent",),
    "temperature": TEMPERATURE_UNITS,
    "hours": ("hours",),
    "minutes": ("minutes",),
    "seconds": ("seconds",),
}
"""Numeric slot -> the units that its number may have."""
LEVEL_WORDS = {"max": 100, "maximum": 100, "highest": 100, "min": 1, "minimum": 1, "lowest": 1, "half": 50}
"""Words for a percentage."""
NUMBER_WORDS = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS_WORDS = {
    word: 10 * n
    for n, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_DIGITS = re.compile(r"\d+(?:[.,]\d{1,2}|[.,]\d{4,})?")  # 1,500 may be 1500 or 1.5: read as neither
_MINUS = re.compile(r"^(?:minus\s+|negative\s+|[-\u2212]\s*)")
_UNIT = re.compile(
    r"(?<![^\W\d])("
    + "|".join(re.escape(word) for words in UNITS.values() for word in sorted(words, key=len, reverse=True))
    + r")$"
)


def parse_number(text: str) -> float | None:
    """Return the number that a text is as a whole, None for every other text; Fahrenheit is converted to Celsius.

    >>> [parse_number(said) for said in ("minus five", "nineteen and a half", "2 hundred", "20 point 5")]
    [-5.0, 19.5, 200.0, 20.5]
    >>> parse_number("68 degrees fahrenheit"), parse_number("max"), parse_number("1,500"), parse_number("20 or 30")
    (20.0, 100.0, None, None)
    """
    number, units = _split_units(text)
    value = LEVEL_WORDS.get(number)
    read = float(value) if value is not None else _read(number)
    return None if read is None else _converted(read, units)


def parse_slot(slot: str, text: str, temperature_unit: str | None = None) -> float | None:
    """Return the number of a numeric slot, in percent, degrees Celsius or the slot's unit of time; None for others.

    A unit that is not the slot's (``20 percent`` as a temperature) gives None. ``temperature_unit``: the unit, where
    it is a slot of its own.
    """
    number, units = _split_units(text)
    allowed = SLOT_UNITS[slot]
    if any(unit not in allowed for unit in units):
        return None
    if allowed == ("percent",):
        return parse_number(text)
    if slot == "temperature" and temperature_unit is not None:
        rest, own = _split_units(f"0 {temperature_unit}")
        if rest != "0" or not own or any(unit not in TEMPERATURE_UNITS for unit in own):
            return None
        units += own
    if len(set(units) - {"degrees"}) > 1:  # 20 celsius fahrenheit
        return None
    if slot != "temperature" and number in ("half", "half a", "half an"):
        return 0.5
    if slot != "temperature" and number in ("a", "an"):
        return 1.0
    read = _read(number)
    return None if read is None else _converted(read, units)


def _converted(value: float, units: list[str]) -> float:
    return round((value - 32) * 5 / 9, 1) if "fahrenheit" in units else value


def _split_units(text: str) -> tuple[str, list[str]]:
    """Return the text without the units at its end, and those units."""
    rest = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    units: list[str] = []
    while found := _UNIT.search(rest):
        before = rest[: found.start()].rstrip()
        if not before:
            break
        units.append(next(unit for unit, words in UNITS.items() if found[1] in words))
        rest = before
    return rest, units


def _read(text: str) -> float | None:
    minus = _MINUS.match(text)
    value = _positive(text[minus.end() :] if minus else text)
    return None if value is None else -value if minus else value


def _positive(text: str) -> float | None:
    if _DIGITS.fullmatch(text):
        value = float(text.replace(",", "."))
        return value if value < 1e9 else None
    words = text.replace("-", " ").split()
    if words[-3:] == ["and", "a", "half"]:
        whole = _whole(words[:-3])
        return None if whole is None else whole + 0.5
    if "point" in words:
        at = words.index("point")
        whole, digits = _whole(words[:at]), [_digit(word) for word in words[at + 1 :]]
        if whole is None or not digits or None in digits:
            return None
        return float(f"{whole}.{''.join(str(d) for d in digits)}")
    found = _whole(words)
    return None if found is None else float(found)


def _digit(word: str) -> str | None:
    """Return the digits that a word after ``point`` stands for."""
    if word.isascii() and word.isdigit():
        return word
    return str(NUMBER_WORDS.index(word)) if word in NUMBER_WORDS[:10] else None


def _whole(words: list[str]) -> int | None:
    """Return a whole number below a million: ``two thousand one hundred and five``, ``15``, ``a hundred``."""
    if "thousand" in words:
        at = words.index("thousand")
        head, tail = _below_thousand(words[:at]) if words[:at] != ["a"] else 1, words[at + 1 :]
        rest = _below_thousand(tail[1:] if tail[:1] == ["and"] else tail) if tail else 0
        return None if not head or rest is None else 1000 * head + rest
    return _below_thousand(words)


def _below_thousand(words: list[str]) -> int | None:
    if "hundred" in words:
        at = words.index("hundred")
        head, tail = _below_hundred(words[:at]) if words[:at] not in (["a"], []) else 1, words[at + 1 :]
        rest = _below_hundred(tail[1:] if tail[:1] == ["and"] else tail) if tail else 0
        return None if not head or head > 9 or rest is None or rest > 99 else 100 * head + rest
    return _below_hundred(words)


def _below_hundred(words: list[str]) -> int | None:
    if len(words) == 1:
        word = words[0]
        if word.isascii() and word.isdigit():
            return int(word) if len(word) <= 6 else None
        return NUMBER_WORDS.index(word) if word in NUMBER_WORDS else TENS_WORDS.get(word)
    if len(words) == 2 and words[0] in TENS_WORDS and words[1] in NUMBER_WORDS[1:10]:
        return TENS_WORDS[words[0]] + NUMBER_WORDS.index(words[1])
    return None
