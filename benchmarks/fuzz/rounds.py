"""Rounds: break a file, do what commands do with it, put it right again."""

from __future__ import annotations

import io
import json
import random
import shutil
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fuzz.breaking import broken
from benchmarks.fuzz.targets import Target, forget, odd_answer
from collavo.cli.main import main as main_command
from collavo.datasets.evaluation.matching import match
from collavo.datasets.evaluation.predictions import read_answers
from collavo.datasets.mappers.image import open_image
from collavo.datasets.registration import catalog
from collavo.datasets.registration.roots import use_root
from collavo.engine.fingerprint import samples_digest
from collavo.errors import UserError
from collavo.pipeline.base import STYLES
from collavo.registry import EVALUATORS, PIPELINES, UnknownNameError
from collavo.results.files import write_lines

LIMIT = 30
"""Seconds after which a round is a fault."""


class EndlessError(BaseException):
    """A round does not end; nothing that reads files may catch this."""


@dataclass
class Tally:
    """What the rounds ended with."""

    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")


def read_everything(name: str, answers: Path | None, work: Path, dice: random.Random) -> None:
    """Does all that commands do with a dataset, without a model.

    Raises:
        UserError: It cannot be used.
    """
    forget(name)
    metadata = catalog.metadata_of(name)
    samples = catalog.samples_of(name)
    samples_digest(samples)
    if answers is not None:
        match(samples, read_answers(answers, samples).predictions)
        return
    for style in STYLES:
        pipeline = PIPELINES.get(metadata.pipeline)(style=style)
        for sample in samples:
            pipeline.prompt(sample).encode("utf-8")
    for sample in dice.sample(samples, min(2, len(samples))):
        if sample.images:
            with suppress(UserError):  # it may be missing: answers can be scored all the same
                open_image(sample.images[0])
    texts = {s.sample_id: odd_answer(s, dice) for s in samples}
    evaluator = EVALUATORS.get(metadata.evaluator_type)()
    facts = metadata.as_dict()
    scored = evaluator.evaluate(samples, texts, facts)
    write_lines(
        work / "scores.jsonl", ({"id": k, "s": str(v)} for k, v in scored.per_sample.items())
    )
    (work / "submission").mkdir(exist_ok=True)
    evaluator.submission(samples, texts, work / "submission", facts)


def run_commands(target: Target) -> None:
    """Runs `check` and `score` as from the command line, in this process.

    Raises:
        UserError: One of them ended with an error.
        RuntimeError: One of them ended with a code that it should not have, or without words.
    """
    place = ["DATASETS.ROOT", target.root] if target.root else []
    overrides = ["--overrides", *place, "EVAL.BOOTSTRAP", "5"]
    commands = [["check", target.name, "--quick", "--json", *overrides]]
    stored = target.answers or target.stored
    if stored is not None:
        words = ["--dataset", target.name, "--predictions", str(stored), "--partial"]
        commands.append(["score", *words, *overrides])
    refused = ""
    for command in commands:
        forget(target.name)
        out, said = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(said):
            code = main_command(command)
        words = said.getvalue().partition("error: ")[2].strip()
        if code == 2 and (words or '"errors": {"' in out.getvalue()):
            refused = words or "check names the error"
        elif code not in (0, 3) or not _is_json(out.getvalue()):
            raise RuntimeError(f"{command} ended with {code}: {said.getvalue()[-500:]!r}")
    if refused:
        raise UserError(refused)


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text.strip().splitlines()[-1]), dict)
    except (ValueError, IndexError):
        return False


def run(
    targets: Sequence[Target], count: int, seed: int, work: Path, keep: Path | None = None
) -> Tally:
    """Breaks files and reads them.

    Args:
        targets: What is read.
        count: How many rounds.
        seed: Of the dice.
        work: A folder for what is written.
        keep: Where files that led to a fault are kept.
    """
    tally = Tally()
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        target = dice.choice(targets)
        file = target.answers or dice.choice(target.files)
        whole = file.read_bytes()
        start = time.monotonic()
        try:
            file.write_bytes(broken(whole, dice))
            _round(target, work, dice, tally, number, keep, file)
        finally:
            file.write_bytes(whole)
        seconds = round(time.monotonic() - start, 2)
        tally.slowest = max(tally.slowest, (seconds, f"round {number}: {target.name}"))
    return tally


def _round(
    target: Target,
    work: Path,
    dice: random.Random,
    tally: Tally,
    number: int,
    keep: Path | None,
    file: Path,
) -> None:
    use_root(target.root)
    try:
        with guarded(LIMIT):
            if number % 3:
                read_everything(target.name, target.answers, work, dice)
            else:
                run_commands(target)
        tally.read += 1
        tally.kinds[f"{target.name}: read"] += 1
    except (UserError, UnknownNameError) as error:
        tally.refused += 1
        tally.kinds[f"{target.name}: {type(error).__name__}"] += 1
        if not str(error).strip():
            tally.faults.append(f"round {number}: {target.name}: an error without words")
    except (Exception, EndlessError):  # what the rounds look for
        tally.faults.append(f"round {number}: {target.name}, {file}\n{traceback.format_exc()}")
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, keep / f"{number}-{file.name}")


@contextmanager
def guarded(seconds: int) -> Iterator[None]:
    """Turns what lasts longer into an EndlessError, and warnings into errors."""

    def stop(signum: int, frame: Any) -> None:
        raise EndlessError(f"a round takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.alarm(seconds)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
