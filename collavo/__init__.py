"""CoLLaVO toolkit: registries, pipelines and a once-per-image engine for vision-language models."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]

if TYPE_CHECKING:
    from collavo.predictor import Predictor


def __getattr__(name: str) -> Any:
    """Imports `Predictor` at its first use: importing `collavo` loads no torch."""
    if name == "Predictor":
        from collavo.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'collavo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
