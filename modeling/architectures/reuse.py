"""Levels of reuse: what the questions on an image may share, and the check that it changes nothing.

A level is valid where what is shared does not depend on the question. Causal attention sees to
that; a prefix that attends to what follows it, or features that read the question, do not.
"""

from __future__ import annotations

from dataclasses import dataclass

REUSE_LEVELS = ("prefix", "expanded", "vision", "batch", "single")
"""Best first: the prefix's keys and values, attended to where they lie; the same, copied for each
question; what is computed of the images outside the LLM; nothing, but many questions at once;
one question at a time."""

PREFIXED = REUSE_LEVELS[:2]
"""The levels that share the prefix's keys and values."""

ENCODED = REUSE_LEVELS[:3]
"""The levels that share anything, so that a model needs `encode` and `answer` for them."""


@dataclass(frozen=True)
class ReuseCheck:
    """How far a shared state lies from the same computed with nothing shared.

    Args:
        deviation: The distance, in a unit of the model's choice; NaN passes no check.
        limit: The largest distance that rounding explains.
        measure: What was compared, in a few words.
    """

    deviation: float
    limit: float
    measure: str

    @property
    def passed(self) -> bool:
        """Whether the two are the same but for rounding."""
        return self.deviation <= self.limit
