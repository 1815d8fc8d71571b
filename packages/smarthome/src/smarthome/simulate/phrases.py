"""Phrases of commands with annotated slots, and out-of-scope phrases.

A phrase has ``{slot}`` or ``{slot:list}`` placeholders, ``[optional]`` words and ``(alternative|alternative)``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

Slots = list[tuple[int, int, str]]

AREAS = (
    "kitchen",
    "living room",
    "bedroom",
    "bathroom",
    "hallway",
    "office",
    "garage",
    "dining room",
    "nursery",
    "guest room",
    "attic",
    "cellar",
    "laundry room",
    "study",
    "conservatory",
    "playroom",
)
ADJECTIVES: tuple[str, ...] = (
    "reading",
    "corner",
    "ceiling",
    "bedside",
    "floor",
    "desk",
    "wall",
    "night",
    "window",
    "standing",
)
ADJECTIVES += ("old", "small", "blue", "left", "right", "big")
LAMPS = ("lamp", "light", "lantern", "spot", "strip")
SWITCHED = (
    "coffee maker",
    "kettle",
    "heater",
    "fan",
    "radio",
    "charger",
    "pump",
    "humidifier",
    "dehumidifier",
)
COVERS = ("blind", "curtain", "shutter", "awning", "roller blind", "shade")
LOCKS = (
    "front door lock",
    "back door lock",
    "garage door lock",
    "side door lock",
    "gate lock",
    "cellar door lock",
)
ALARMS = ("burglar alarm", "house alarm", "alarm system", "alarm")
OVENS = ("oven", "hob", "stove", "grill")
MEDIA = ("television", "speaker", "stereo", "projector", "soundbar")
COLORS = ("red", "green", "blue", "orange", "yellow", "purple", "pink", "white", "turquoise", "warm white")
ITEMS: tuple[str, ...] = (
    "milk",
    "apples",
    "bread",
    "washing powder",
    "light bulbs",
    "coffee",
    "dog food",
    "olive oil",
    "batteries",
)
ITEMS += ("toothpaste", "two onions", "flour", "cat litter", "orange juice", "paper towels", "rice")
PEOPLE = ("Anna", "Ben", "Mila", "Tom", "Ida", "Omar", "Lucy", "Jonas", "Priya", "Marek")
GROUPS = {
    "light": ("lights", "lamps", "lighting"),
    "cover": ("blinds", "curtains", "shutters"),
    "fan": ("fans",),
    "switch": ("switches", "plugs"),
    "climate": ("heating", "thermostat", "air conditioning"),
    "media_player": ("music", "tv"),
}
TOGETHER = ("lights", "lamps", "lighting", "blinds", "curtains", "shutters", "fans", "switches")

COMMANDS: dict[str, tuple[str, ...]] = {
    "HassTurnOn": (
        "(turn|switch|put) on [the] {name:device} [in the {area}]",
        "(turn|switch) [the] {name:device} on",
        "(turn|switch|put) on [all] [the] {domain:lights} in the {area}",
        "{area} {domain:lights} on",
        "open [the] {name:cover} [in the {area}]",
        "(raise|open) the {domain:covers} in the {area}",
        "lock [the] {name:lock}",
        "(arm|turn on|activate) the {name:alarm}",
        "(turn on|preheat|switch on) the {name:oven}",
        "i need [the] {name:device} on",
        "start [the] {name:device}",
    ),
    "HassTurnOff": (
        "(turn|switch|put) off [the] {name:device} [in the {area}]",
        "(turn|switch) [the] {name:device} off",
        "(turn|switch) off [all] [the] {domain:lights} in the {area}",
        "{area} {domain:lights} off",
        "close [the] {name:cover} [in the {area}]",
        "(lower|close|shut) the {domain:covers} in the {area}",
        "unlock [the] {name:lock}",
        "(disarm|turn off|deactivate) the {name:alarm}",
        "(turn off|switch off) the {name:oven}",
        "kill the {domain:lights} in the {area}",
    ),
    "HassLightSet": (
        "(dim|set|brighten) [the] {name:lamp} to {brightness:percent} percent",
        "set the {area} {domain:lights} to {brightness:percent} percent",
        "(make|turn) [the] {name:lamp} {color}",
        "change the {domain:lights} in the {area} to {color}",
        "brightness of [the] {name:lamp} to {brightness:percent}",
    ),
    "HassClimateSetTemperature": (
        "set the {domain:climate} in the {area} to {temperature:degrees} degrees",
        "make it {temperature:degrees} degrees in the {area}",
        "(raise|lower|set) the temperature [in the {area}] to {temperature:degrees}",
        "heat the {area} to {temperature:degrees} degrees",
    ),
    "HassClimateGetTemperature": (
        "how (warm|cold|hot) is it in the {area}",
        "what is the temperature in the {area}",
        "what does the {domain:climate} in the {area} (say|show)",
    ),
    "HassGetState": (
        "is [the] {name:device} (on|off)",
        "is [the] {name:cover} (open|closed)",
        "is [the] {name:lock} locked",
        "are the {domain:lights} in the {area} (on|off)",
        "is the {name:alarm} armed",
        "did i leave the {name:oven} on",
    ),
    "HassSetPosition": (
        "(set|move) [the] {name:cover} to {position:percent} percent",
        "open [the] {name:cover} {position:percent} percent",
        "put the {domain:covers} in the {area} at {position:percent} percent",
    ),
    "HassSetVolume": (
        "set [the] volume of [the] {name:media} to {volume_level:percent}",
        "(turn|put) [the] {name:media} (up|down) to {volume_level:percent} percent",
        "volume {volume_level:percent} percent in the {area}",
    ),
    "HassStartTimer": (
        "(set|start) a timer for {minutes:number} minutes",
        "timer {minutes:number} minutes [please]",
        "start a {hours:few} hour timer",
        "set a timer for {hours:few} hours and {minutes:number} minutes",
    ),
    "HassCancelTimer": (
        "(cancel|stop) the timer",
        "(cancel|stop) the {start_minutes:number} minute timer",
        "i do not need the {start_minutes:number} minute timer any more",
    ),
    "HassVacuumStart": (
        "(start|run) the vacuum [in the {area}]",
        "vacuum the {area}",
        "clean the {area} floor",
    ),
    "HassMediaPause": (
        "pause [the] {name:media}",
        "pause the {domain:music} in the {area}",
        "stop playing in the {area}",
    ),
    "HassShoppingListAddItem": (
        "add {item} to [my|the] shopping list",
        "put {item} on the shopping list",
        "we are out of {item} put it on the list",
        "remind me to buy {item}",
    ),
    "HassNevermind": (
        "never mind",
        "forget it [please]",
        "cancel that",
        "no leave it",
        "stop that was wrong",
    ),
}

OUT_OF_SCOPE = "OutOfScope"
"""The intent of out-of-scope utterances."""
OUT_OF_SCOPE_PHRASES = (
    "what is the capital of {country}",
    "how old is {person}",
    "tell me a joke about {animal}s",
    "translate {thing} into {language}",
    "book a (flight|train) to {city}",
    "send an email to {person}",
    "how do you spell {thing}",
    "who won the match in {city}",
    "what does a {thing} cost in {country}",
    "read me the news from {country}",
    "call {person} at work",
    "how many legs does a {animal} have",
)
HELD_OUT_PHRASES = (
    "order a pizza with {thing}",
    "write a poem for {person}",
    "what is {number} times {few}",
    "is it legal to own a {animal} in {country}",
    "transfer {number} euros to {person}",
    "find a doctor in {city}",
    "what did {person} post yesterday",
    "recommend a book about {animal}s",
)
"""Out-of-scope phrases of other kinds, never in training data."""
LISTS: dict[str, Sequence[str]] = {
    "country": ("France", "Japan", "Kenya", "Peru", "Norway", "Egypt", "Canada", "Vietnam", "Chile", "Ghana"),
    "city": ("Lisbon", "Oslo", "Nairobi", "Kyoto", "Lima", "Prague", "Toronto", "Hanoi", "Leeds", "Turin"),
    "animal": ("cat", "horse", "spider", "penguin", "snail", "whale", "goat", "owl", "beetle", "shark"),
    "language": ("French", "Japanese", "Swahili", "Norwegian", "Arabic", "Spanish", "Hindi", "Greek"),
    "thing": (
        "mushroom",
        "umbrella",
        "bicycle",
        "violin",
        "ladder",
        "teapot",
        "suitcase",
        "compass",
        "candle",
    ),
    "person": PEOPLE,
    "area": AREAS,
    "color": COLORS,
    "item": ITEMS,
    "lights": ("lights", "lamps", "lighting", "fans", "switches"),
    "covers": ("blinds", "curtains", "shutters"),
    "climate": ("heating", "thermostat", "air conditioning"),
    "music": ("music", "tv"),
    "percent": tuple(str(n) for n in range(5, 101, 5)),
    "degrees": tuple(str(n) for n in range(16, 27)),
    "number": tuple(str(n) for n in range(2, 60)),
    "few": ("2", "3", "4", "5", "two", "three"),
    "lock": LOCKS,
    "alarm": ALARMS,
    "oven": OVENS,
}
_PLACEHOLDER = re.compile(r"\{(\w+)(?::(\w+))?\}")
_CHOICE = re.compile(r"\(([^()]*)\)")
_OPTION = re.compile(r"\[([^\[\]]*)\]")


def device_name(kind: str, owner: str, rng: np.random.Generator) -> str:
    """Return a random name of a device: ``reading lamp``, ``Anna's speaker``, ``left curtain``."""
    nouns = {"lamp": LAMPS, "cover": COVERS, "media": MEDIA, "device": (*LAMPS, *SWITCHED)}[kind]
    noun = str(rng.choice(nouns))
    return f"{owner}'s {noun}" if rng.random() < 0.25 else f"{rng.choice(ADJECTIVES)} {noun}"


def sample_phrase(phrase: str, words: Mapping[str, str], rng: np.random.Generator) -> tuple[str, Slots]:
    """Return a random text of a phrase and its slots in characters.

    ``words``: a home's own value of a list (``device``, ``lamp``); other lists are sampled.
    """
    while found := _CHOICE.search(phrase):
        phrase = phrase[: found.start()] + str(rng.choice(found[1].split("|"))) + phrase[found.end() :]
    while found := _OPTION.search(phrase):
        kept = str(rng.choice(found[1].split("|"))) if rng.random() < 0.6 else ""
        phrase = phrase[: found.start()] + kept + phrase[found.end() :]
    phrase = " ".join(phrase.split())
    text, slots, last = "", [], 0
    for found in _PLACEHOLDER.finditer(phrase):
        text += phrase[last : found.start()]
        source = found[2] or found[1]
        value = words.get(source) or str(rng.choice(LISTS[source]))
        slots.append((len(text), len(text) + len(value), found[1]))
        text += value
        last = found.end()
    return text + phrase[last:], slots
