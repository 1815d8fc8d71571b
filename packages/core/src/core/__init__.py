"""Plinth's core: private, fair, frugal and explained fine-tuning. ``core.load(run).predict(frame)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.serving.load import load as load

__version__ = "0.2.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # `import core` is on the path of every --help, which must not wait for torch.
    if name == "load":
        from core.serving.load import load

        return load
    raise AttributeError(f"module 'core' has no attribute {name!r}")
