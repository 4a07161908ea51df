"""Small parts of the engine: fingerprints, limits, likelihoods, durations."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from collavo.engine.display import words
from collavo.engine.fingerprint import (
    check_folder,
    code_digest,
    differences,
    fingerprint,
    image_label,
    samples_digest,
    write_items,
)
from collavo.engine.limits import Limits, halves, is_fatal, is_out_of_memory
from collavo.errors import ConfigError
from collavo.modeling.architectures.base import ImageContext
from collavo.records import ImageRef, Sample
from collavo.results.ranking import auroc, yes_probability


def test_fingerprints_do_not_depend_on_order_or_kind_of_sequence():
    assert fingerprint({"a": 1, "b": (1, 2)}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert fingerprint({"a": {3, 1, 2}}) == fingerprint({"a": {2, 3, 1}})
    assert fingerprint({"a": np.int64(3)}) == fingerprint({"a": 3})


@pytest.mark.parametrize("field", ["question", "options", "answers", "category", "extra"])
def test_every_field_of_a_sample_counts(field):
    base = {"options": ("a",), "answers": ("b",), "category": "c", "extra": {"d": [1]}}
    one = Sample("s", (), "q", 1, **base)
    changed = {"question": "r", "options": ("x",), "answers": ("x",), "category": "x"}
    changed["extra"] = {"d": [2]}
    other = Sample(**{"sample_id": "s", "images": (), "question": "q", "question_id": 1, **base,
                      field: changed[field]})  # fmt: skip
    assert samples_digest([one]) != samples_digest([other])


def test_images_are_named_below_their_root(tmp_path):
    ref = ImageRef(path=tmp_path / "a" / "b.png", root=tmp_path)
    assert image_label(ref) == "a/b.png"
    assert image_label() == ""
    assert image_label(ref, ref) == "a/b.png, a/b.png"


def test_code_of_users_takes_part(tmp_path):
    assert code_digest() == code_digest()
    assert code_digest(test_code_of_users_takes_part) == code_digest()

    class Own:
        pass

    assert code_digest(Own()) != code_digest()


def test_differences_are_named(tmp_path):
    old = {"model": {"weights": "a" * 64, "name": "m"}, "reuse": "none"}
    new = {"model": {"weights": "b" * 64, "name": "m"}, "seed": 1}
    named = differences(old, new)
    assert [d.split(" ")[0] for d in named] == ["model.weights", "reuse", "seed"]
    write_items(tmp_path, old)
    check_folder(tmp_path, old)
    with pytest.raises(ConfigError, match="model.weights .*--fresh"):
        check_folder(tmp_path, new)


def test_cut_batches_by_tokens_and_rows():
    limits = Limits(4, 100)
    assert [len(r) for r in limits.cut([50, 50, 40, 30, 20, 10])] == [2, 2, 2]
    assert [len(r) for r in limits.cut([500, 1])] == [1, 1]
    assert [len(r) for r in Limits(4, 100, 2).cut([1, 1, 1, 1, 1])] == [2, 2, 1]
    assert limits.cut([]) == []
    covered = [k for r in limits.cut([7] * 33) for k in r]
    assert covered == list(range(33))


def test_limits_learn_from_contexts(monkeypatch):
    monkeypatch.setattr("collavo.engine.limits.free_memory", lambda device: 1000.0)
    limits = Limits(8, 10**6)
    limits.learn([ImageContext((), None, 10, 100)], "cpu")
    assert (limits.images, limits.row_tokens) == (3, 30)
    limits.learn([], "cpu")
    assert limits.images == 3


def test_a_given_budget_holds():
    assert Limits.guess("cpu", 1000, 3000) == Limits(3, 3000, 0)
    assert Limits.guess("cpu", 10**9).images == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shape mismatch"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_out_of_memory_is_recognised(error, expected):
    assert is_out_of_memory(error) is expected
    assert not is_fatal(error)


def test_halves():
    assert halves([1, 2, 3]) == ([1, 2], [3])
    assert halves([1, 2]) == ([1], [2])


def test_auroc_counts_pairs():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 40).tolist()
    labels = (rng.random(40) < 0.4).tolist()
    positives = [s for s, y in zip(scores, labels, strict=True) if y]
    negatives = [s for s, y in zip(scores, labels, strict=True) if not y]
    pairs = [(p > n) + 0.5 * (p == n) for p in positives for n in negatives]
    assert auroc(scores, labels) == pytest.approx(sum(pairs) / len(pairs))
    assert auroc([1.0], [True]) is None


def test_yes_probability():
    assert yes_probability({"Yes": -1.0, "No": -1.0}) == 0.5
    assert yes_probability({"Yes": math.log(0.3), "No": math.log(0.1)}) == pytest.approx(0.75)
    assert yes_probability({"Yes": -1e6, "No": 0.0}) == pytest.approx(0.0)
    assert yes_probability({"A": 0.0, "B": 0.0}) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds, text):
    assert words(seconds) == text


def test_light_modules_load_no_torch(repository: Path):
    import subprocess
    import sys

    code = (
        "import sys, collavo.results.report, collavo.results.files, collavo.results.table, "
        "collavo.engine.tasks, collavo.engine.run, collavo.cli.eval; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=repository).returncode == 0
