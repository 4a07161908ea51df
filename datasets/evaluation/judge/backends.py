"""The contract of a judge's back-end, and which there are."""

from __future__ import annotations

from abc import ABC, abstractmethod

from collavo.datasets.evaluation.judge.calls import Call, Reply


class Backend(ABC):
    """Answers calls. It knows no protocol, keeps nothing and tries nothing twice.

    Args:
        model: The model to ask.
    """

    parallel = True
    """Whether several calls may be under way at once."""

    def __init__(self, model: str) -> None:
        self.model = model

    @property
    def identity(self) -> str:
        """What its judgements are kept under: the model, and what else decides its replies."""
        return self.model

    @abstractmethod
    def complete(self, call: Call) -> Reply:
        """Answers a call.

        Raises:
            TransientError: It failed and may be tried again.
            RefusedError: The service refuses this call.
            FatalJudgeError: The service will refuse every call.
        """

    def release(self) -> None:
        """Gives back what is held between calls, such as connections; called after the last one."""
        return
