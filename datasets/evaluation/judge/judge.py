"""The judge: asks what is not on disk yet, several calls at once, and fails where replies fail."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any

from collavo.datasets.evaluation.judge.backends import Backend
from collavo.datasets.evaluation.judge.calls import (
    Call,
    FatalJudgeError,
    JudgeError,
    Plan,
    PlannedError,
    RefusedError,
    Reply,
    TransientError,
    UnusableError,
)
from collavo.datasets.evaluation.judge.store import JudgementStore

logger = logging.getLogger(__name__)

SHOWN = 10
"""Failed items that a message lists."""

LONGEST_BACKOFF = 60.0
"""Seconds between two tries at most, where the service does not ask for more."""


@dataclass(frozen=True)
class Patience:
    """How often and how long to try.

    Args:
        retries: Tries after the first.
        backoff: Seconds before the first of them; doubled each time.
        longest_wait: Seconds that a service may ask to wait before the call counts as failed.
    """

    retries: int = 6
    backoff: float = 1.0
    longest_wait: float = 120.0


@dataclass(frozen=True)
class Prices:
    """What a million tokens cost, in any currency; 0 where it is not known."""

    prompt: float = 0.0
    completion: float = 0.0


Options = Sequence[str] | Mapping[str, str]

Ask = Callable[[Call], Reply]
"""Gets the reply to a call, from disk or from the back-end."""

Protocol = Callable[[Ask], Any]
"""Judges one item by one or several calls; raises UnusableError where replies are of no use."""


class Judge:
    """Asks a back-end, and keeps every reply.

    Args:
        backend: Who answers.
        store: Where replies are kept and looked up.
        concurrency: Calls under way at once.
        patience: How often failed calls are tried again.
        runs: Gradings of each item, for protocols that take several (MM-Vet).
        dry_run: Count calls and tokens instead of asking; `map` then raises PlannedError.
        prices: For the cost that a dry run tells.
    """

    def __init__(
        self,
        backend: Backend,
        store: JudgementStore,
        concurrency: int = 8,
        patience: Patience | None = None,
        runs: int = 1,
        dry_run: bool = False,
        prices: Prices | None = None,
    ) -> None:
        self.backend, self.store, self.runs = backend, store, runs
        self._dry_run, self._prices = dry_run, prices or Prices()
        self._workers = max(1, concurrency) if backend.parallel else 1
        self._patience = patience or Patience()
        self._stop = threading.Event()
        self._resume_at = 0.0
        self.asked = False
        """Whether any protocol asked for judgements, stored ones included."""

    @property
    def model(self) -> str:
        """The model that is asked."""
        return self.backend.model

    def map(self, protocol: str, items: Mapping[str, Protocol]) -> dict[str, Any]:
        """Judges items, by id; each by its own protocol function.

        Args:
            protocol: The protocol's name, for messages.
            items: What judges each item. It is called in another thread.

        Raises:
            JudgeError: Judgements failed; the items and reasons are listed, the others are kept.
            PlannedError: It is a dry run.
        """
        self.asked = self.asked or bool(items)
        if self._dry_run and items:
            raise PlannedError(self._plan(items))
        self._stop.clear()
        found, failed = self._judge(protocol, items)
        if failed:
            listed = "\n".join(
                f"  {item}: {reason}" for item, reason in list(failed.items())[:SHOWN]
            )
            more = f"\n  ... and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
            raise JudgeError(
                f"{len(failed)} of {len(items)} judgements of {protocol} failed, so there is no "
                f"score:\n{listed}{more}\nThe other {len(found)} are kept in {self.store.path}; "
                "run it again to ask for what is missing"
            )
        return {item: found[item] for item in items}

    def choose_options(
        self, questions: Mapping[str, tuple[str, Options, str]], protocol: str = "options"
    ) -> dict[str, str]:
        """Finds which option each answer means, by the protocol of MMBench.

        Args:
            questions: Question, options (in order, or by letter) and the model's answer, by item
                id.
            protocol: The benchmark, for the store.

        Returns:
            The letter of the option, or "Z" where the answer means none of them.

        Raises:
            JudgeError: Judgements failed.
        """
        from collavo.datasets.evaluation.judge.options import option_protocol

        return self.map(
            protocol, {i: option_protocol(protocol, i, *q) for i, q in questions.items()}
        )

    def choose_option(self, question: str, options: Options, answer: str) -> str:
        """Finds which option one answer means; see `choose_options`, which asks several at once."""
        return self.choose_options({"": (question, options, answer)})[""]

    def ask(self, call: Call) -> Reply:
        """Returns the stored reply to a call, else asks for it and stores it.

        Raises:
            TransientError: All tries failed.
            RefusedError: The service refuses the call.
            FatalJudgeError: The service will refuse every call.
        """
        key = call.key(self.backend.identity)
        stored = self.store.get(key)
        if stored is not None:
            return stored
        begun = time.monotonic()
        reply = self._complete(call)
        self.store.add(key, call, self.model, reply, time.monotonic() - begun)
        return reply

    def _complete(self, call: Call) -> Reply:
        for turn in range(self._patience.retries + 1):
            self._pause(self._resume_at - time.monotonic())
            try:
                return self.backend.complete(call)
            except TransientError as error:
                if turn == self._patience.retries:
                    raise TransientError(f"{error} (after {turn + 1} tries)") from None
                self._wait_after(error, turn)
        raise AssertionError("the loop ends by return or raise")

    def _wait_after(self, error: TransientError, turn: int) -> None:
        """Backs off: twice as long each time, at least as long as the service asks."""
        delay = min(LONGEST_BACKOFF, self._patience.backoff * 2**turn) * random.uniform(0.75, 1.0)
        if error.retry_after is not None:
            if error.retry_after > self._patience.longest_wait:
                raise TransientError(
                    f"{error}; the service asks to wait {error.retry_after:.0f} s, which is more "
                    f"than JUDGE.MAX_WAIT ({self._patience.longest_wait:g} s)"
                ) from None
            delay = max(delay, error.retry_after)
        if error.shared:
            self._resume_at = max(self._resume_at, time.monotonic() + delay)
        logger.debug("the judge is tried again in %.1f s: %s", delay, error)
        self._pause(delay)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._stop.wait(seconds)
        if self._stop.is_set():
            raise TransientError("not asked, as the judging was stopped")

    def _judge(
        self, protocol: str, items: Mapping[str, Protocol]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        found: dict[str, Any] = {}
        failed: dict[str, str] = {}
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="judge")
        queue = iter(items.items())
        under_way: dict[Future[Any], str] = {}
        told = time.monotonic()
        try:
            while True:
                while len(under_way) < self._workers and (entry := next(queue, None)):
                    under_way[pool.submit(self._one, entry[1])] = entry[0]
                if not under_way:
                    return found, failed
                done, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    self._take(future, under_way.pop(future), found, failed)
                if time.monotonic() - told > 10:
                    told = time.monotonic()
                    logger.info("%s: %d of %d judged", protocol, len(found), len(items))
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            self._stop.clear()
            self.backend.release()

    @staticmethod
    def _take(
        future: Future[Any], item: str, found: dict[str, Any], failed: dict[str, str]
    ) -> None:
        try:
            found[item] = future.result()
        except (TransientError, RefusedError, UnusableError) as error:
            failed[item] = str(error)
        except FatalJudgeError as error:
            raise FatalJudgeError(
                f"{error}. {len(found)} judgements are kept; run it again to go on"
            ) from None

    def _one(self, protocol: Protocol) -> Any:
        """Judges one item; replies that were of no use are taken back, to be asked for anew."""
        used: list[str] = []

        def ask(call: Call) -> Reply:
            used.append(call.key(self.backend.identity))
            return self.ask(call)

        try:
            return protocol(ask)
        except UnusableError:
            self.store.reject(used)
            raise

    def _plan(self, items: Mapping[str, Protocol]) -> Plan:
        plan = Plan(len(items), 0, 0, 0, 0)
        for protocol in items.values():
            for call in planned_calls(protocol):
                plan = replace(plan, calls=plan.calls + 1)
                if self.store.get(call.key(self.backend.identity)) is not None:
                    plan = replace(plan, stored=plan.stored + 1)
                    continue
                plan = replace(
                    plan,
                    prompt_tokens=plan.prompt_tokens + call.prompt_tokens,
                    completion_tokens=plan.completion_tokens + call.max_tokens,
                )
        if self._prices == Prices():
            return plan
        cost = plan.prompt_tokens * self._prices.prompt
        cost += plan.completion_tokens * self._prices.completion
        return replace(plan, cost=cost / 1e6)


class _Planned(Exception):
    """Ends a protocol at its first call."""


def planned_calls(protocol: Protocol) -> list[Call]:
    """Lists the calls that a protocol makes at least: its first one."""
    calls: list[Call] = []

    def ask(call: Call) -> Reply:
        calls.append(call)
        raise _Planned

    try:
        protocol(ask)
    except _Planned:
        pass
    return calls
