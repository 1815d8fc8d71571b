"""Task ``commands``: the intent of an utterance and the slots in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from core.config import config_error, field, register
from core.config.validate import positive
from core.domain import Task
from core.oversight.declaration import Oversight

if TYPE_CHECKING:
    from core.data.types import Dataset
    from core.evaluation.study import Study


@register(
    "task",
    "commands",
    defaults={"backbone": "words", "target": "intent_slots", "schedule": "onecycle"},
    values={
        "encoder": {
            "text": {
                "tokens": False,
                "word_features": True,
                "max_word_features": 20000,
                "tfidf_features": 2048,
                "tfidf_word_ngrams": 2,
                "tfidf_char_ngrams": 4,
            }
        },
        "optimizer": {"lr": 0.003},
        "training": {"epochs": 5, "batch_size": 64},
    },
)
class Commands(Task):
    """Intent and slots of an utterance to a home."""

    name: ClassVar[str] = "commands"
    purpose: ClassVar[str] = (
        "To turn utterances into device actions; a person confirms unsafe ones, out-of-scope utterances are refused."
    )
    oversight: ClassVar[Oversight] = Oversight(
        intended_use="To turn utterances to a home into actions of its devices.",
        affected=("everyone in the home", "guests and neighbours", "people whose speech is rare in the data"),
        forbidden_uses=(
            "to open, unlock, disarm or heat anything dangerous without a person's yes",
            "to listen to, keep or judge what people say",
            "to call for help in an emergency",
        ),
        human_decides=(
            "A person confirms commands to locks, alarms, ovens, garages, gates and doors, and every set-point; "
            "the program control knows the home and asks only where smarthome.safety requires it.",
            "A person is asked again where the prediction is uncertain; out-of-scope utterances are refused.",
            "The words that call for a confirmation are English: in other languages only control, which knows the "
            "devices, finds these commands.",
        ),
        responsible="the person who lives there",
        acts=True,
        confirm=("HassClimateSetTemperature",),
        confirm_words=(
            *("lock", "locks", "unlock", "alarm", "disarm", "oven", "stove", "hob", "grill"),
            *("garage", "gate", "door", "doors"),
        ),
    )
    watts: float = field(15.0, "power of the processor package in watts, for the modeled energy per command")
    cores: int = field(4, "cores that share this power")

    def __post_init__(self) -> None:
        """Raise ValueError for values that can't be right, naming the key."""
        super().__post_init__()
        positive("task", watts=self.watts)
        if self.cores < 1:
            raise config_error("task.cores", self.cores, "it must be 1 or more")

    def simulate(self, rows: int, seed: int) -> Dataset:
        """Return utterances of simulated homes."""
        from smarthome.simulate.commands import simulate

        return simulate(rows, seed, self.simulated_bias)

    def studies(self, kind: str) -> dict[str, Study]:
        """Return the studies of intents and slots."""
        from smarthome.studies.footprint import footprint
        from smarthome.studies.languages import languages
        from smarthome.studies.out_of_scope import out_of_scope
        from smarthome.studies.plans import false_activation, plan_success
        from smarthome.studies.text_robustness import text_robustness

        of_commands: dict[str, Study] = {
            "out_of_scope": out_of_scope,
            "plans": plan_success,
            "false_activation": false_activation,
            "languages": languages,
            "text_robustness": text_robustness,
            "footprint": footprint(self.watts, self.cores),
        }
        return {"intent_slots": of_commands}.get(kind, {})
