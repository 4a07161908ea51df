"""CoLLaVO toolkit: registries, pipelines and a once-per-image engine for vision-language models."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Generation", "Prediction", "Predictor", "__version__"]

if TYPE_CHECKING:
    from collavo.modeling.architectures.base import Generation
    from collavo.predictor import Prediction, Predictor

_LAZY = {
    "Generation": "collavo.modeling.architectures.base",
    "Prediction": "collavo.predictor",
    "Predictor": "collavo.predictor",
}


def __getattr__(name: str) -> object:
    """Imports what is asked for at its first use: importing `collavo` loads no torch."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'collavo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
