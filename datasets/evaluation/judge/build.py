"""Makes the judge that a configuration asks for."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from collavo.datasets.evaluation.judge.backends import Backend
from collavo.datasets.evaluation.judge.judge import Judge, Patience, Prices
from collavo.datasets.evaluation.judge.store import JudgementStore


def judge_of(cfg: Any, store: Path, dry_run: bool = False) -> Judge | None:
    """Makes the judge of JUDGE.*; None where JUDGE.MODEL is empty.

    Args:
        cfg: The configuration.
        store: Where judgements go if JUDGE.STORE is empty.
        dry_run: Count calls and tokens instead of asking.

    Raises:
        ConfigError: The back-end cannot be used: no client, no key.
        DataError: The file of judgements is broken.
    """
    keys = cfg.JUDGE
    if not keys.MODEL:
        return None
    path = Path(keys.STORE).expanduser() if keys.STORE else store
    return Judge(
        backend=_Unasked(cfg) if dry_run else _backend(cfg),
        store=JudgementStore(path),
        concurrency=keys.CONCURRENCY,
        patience=Patience(keys.RETRIES, keys.BACKOFF, keys.MAX_WAIT),
        runs=keys.RUNS,
        dry_run=dry_run,
        prices=Prices(keys.PRICE_PROMPT, keys.PRICE_COMPLETION),
    )


def _backend(cfg: Any) -> Backend:
    keys = cfg.JUDGE
    if keys.BACKEND == "hf":
        from collavo.datasets.evaluation.judge.local_backend import LocalBackend

        return LocalBackend(keys.MODEL, keys.REVISION, cfg.DEVICE, cfg.MODEL.TRUST_REMOTE_CODE)
    from collavo.datasets.evaluation.judge.openai_backend import OpenAIBackend

    return OpenAIBackend(keys.MODEL, keys.BASE_URL, keys.TIMEOUT)


class _Unasked(Backend):
    """Stands in a dry run, which needs neither a client nor a key; stored replies count as its."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg.JUDGE.MODEL)
        self._cfg = cfg.JUDGE

    @cached_property
    def identity(self) -> str:
        if self._cfg.BACKEND == "hf":
            from collavo.datasets.evaluation.judge.local_backend import local_identity

            return local_identity(self.model, self._cfg.REVISION)
        from collavo.datasets.evaluation.judge.openai_backend import endpoint_identity

        return endpoint_identity(self.model, self._cfg.BASE_URL)

    def complete(self, call: object) -> object:  # type: ignore[override]
        raise AssertionError("a dry run asks nothing")
