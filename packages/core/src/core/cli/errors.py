"""From errors to one message and an exit status: no command ends in a traceback for what a user can mend."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from core.config.deprecated import hint
from core.training.shutdown import TrainingInterrupted
from core.training.torchrun_env import EndedElsewhere, launch_command


def run_cli(run: Callable[[], object]) -> int:
    """Run a command and return its exit status: 2 with one message for what a user can mend, never a traceback.

    With PLINTH_TRACEBACK=1 in the environment the error is raised instead, to show where it came from.
    """
    if os.environ.get("PLINTH_TRACEBACK"):
        run()
        return 0
    try:
        run()
    except HydraException as error:
        return _complain(_first_lines(error))
    except OmegaConfBaseException as error:
        return _complain(_first_lines(error))
    except KeyboardInterrupt:
        return _complain(
            "interrupted; what was kept is in the run's folder: the same command there resumes it"
        )
    except TrainingInterrupted as stop:
        return _complain(f"{stop}: {launch_command()}")
    except EndedElsewhere:
        return 0  # torchrun ends all others as soon as one fails: only the process that says why does
    except OSError as error:
        return _complain(_os_error(error))
    except ValueError as error:
        return _complain(str(error))
    return 0


def _complain(message: str) -> int:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    return 2


_GRAMMAR = (
    "mismatched input",
    "no viable alternative",
    "NoViableAlt",
    "token recognition error",
    "extraneous input",
)


def _quoting(text: str) -> str:
    """Return how to write a value that the grammar of overrides does not take, empty where that is not the fault."""
    if "nterpolation" in text:
        return (
            "a text with ${...} names another key; write a name that holds it as \\${...}, in quotation marks"
        )
    if not any(sign in text for sign in _GRAMMAR):
        return ""
    given = next((a for a in sys.argv[1:] if "=" in a and not a.startswith("-") and _odd(a)), "")
    key, value = given.split("=", 1) if given else ("data.path", "export (1).csv")
    quoted = f"'{key}=\"{value}\"'" if "'" not in value else f'"{key}=\\"{value}\\""'
    shown = f"{given!r} can't be read: " if given else ""
    return f"{shown}a value with spaces, brackets, =, comma or # is written in both kinds of quotation marks: {quoted}"


def _odd(argument: str) -> bool:
    value = argument.split("=", 1)[1]
    return not value.startswith(("[", "{", "'", '"')) and any(c in value for c in " ()[]{}=,#:'\"")


def _first_lines(error: BaseException) -> str:
    quoting = _quoting(str(error))
    if quoting:
        return quoting
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else None
    lines = str(error).strip().splitlines()
    if cause is not None:
        lines += [line for line in str(cause).strip().splitlines() if line not in lines]
    kept = [
        line.strip()
        for line in lines
        if line.strip() and not line.strip().startswith(("full_key", "object_type", "To append"))
    ]
    renamed = hint("\n".join(lines))
    return "\n  ".join([*kept, *([renamed] if renamed else []), "--help lists every key and value"])


def _os_error(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno == errno.ENOSPC:
        return f"no space left on the device{where}: free some, then start the same command again: it resumes"
    return f"{error.strerror or error}{where}: check the path and its permissions"
