"""What passes between a protocol, a judge and its back-end: calls, replies and their failures."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from collavo.errors import EXIT_FAILED_SAMPLES, UserError


@dataclass(frozen=True)
class Call:
    """One question to the judge.

    Args:
        protocol: The protocol that asks ("mmvet").
        item: What is judged: the sample's id.
        prompt: The user's message.
        system: The system message; empty for none.
        temperature: 0 for the most likely reply.
        max_tokens: Tokens of the reply at most; 0 for the back-end's own limit.
        run: Which of several gradings of the item, from 0.
        attempt: Which try of the protocol, from 0; tries after a failure of the network are one.
    """

    protocol: str
    item: str
    prompt: str
    system: str = ""
    temperature: float = 0.0
    max_tokens: int = 0
    run: int = 0
    attempt: int = 0

    def key(self, judge: str) -> str:
        """Returns the sha256 of all that decides the reply, the judge's identity included."""
        text = json.dumps([judge, asdict(self)], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    @property
    def prompt_tokens(self) -> int:
        """About how many tokens the messages take: a quarter of their bytes, and 8 for the frame.

        An estimate, as the judge's tokenizer is not at hand.
        """
        return 8 + -(-len((self.system + self.prompt).encode("utf-8", "replace")) // 4)


@dataclass(frozen=True)
class Reply:
    """What the judge said.

    Args:
        text: The reply.
        model: The model's own name for itself.
        prompt_tokens: As the back-end counts them; 0 where it does not.
        completion_tokens: As the back-end counts them; 0 where it does not.
    """

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class TransientError(Exception):
    """A call that failed and may be tried again.

    Args:
        message: What went wrong.
        retry_after: Seconds to wait, where the service says so.
        shared: Whether other calls had better wait, too (a rate limit).
    """

    def __init__(
        self, message: str, retry_after: float | None = None, shared: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.shared = shared


class RefusedError(Exception):
    """A call that the service refuses for good; other calls may pass."""


class UnusableError(Exception):
    """Replies came, but none in the form that the protocol asks for."""


class JudgeError(UserError):
    """Judgements are missing, so there is no score. What was judged is kept."""

    exit_code = EXIT_FAILED_SAMPLES


class FatalJudgeError(JudgeError):
    """No call can pass: wrong key, unknown model, exhausted quota."""


@dataclass(frozen=True)
class Plan:
    """What a judge would be asked.

    Args:
        items: How many samples are judged.
        calls: Calls at least: protocols that ask again after an unusable reply make more.
        stored: Calls among them whose replies are on disk already.
        prompt_tokens: Estimated tokens of the calls that are not.
        completion_tokens: Tokens of their replies at most, as far as protocols limit them.
        cost: In the currency of the prices in the configuration; None without prices.
    """

    items: int
    calls: int
    stored: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None


class PlannedError(Exception):
    """Ends a dry run: the plan stands in `plan`."""

    def __init__(self, plan: Plan) -> None:
        super().__init__("a dry run asks no judge")
        self.plan = plan
