"""Measures what a tiny model's language model reads off lists that no training has seen.

Each question stands alone, after a list of a scene's objects and boxes in the words of the Crayon
Prompt and without an image. It counts as answered where every token of the answer is the likeliest
one. The last line of the output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

if TYPE_CHECKING:
    from collavo.datasets.miniature.dice import Dice
    from collavo.datasets.miniature.scenes import Scene
    from collavo.modeling.llms.chat import Encoded

FIRST_SEED = 991_000_000
"""Scenes from here on are told: no training sees them, and no benchmark of the miniature."""

PAIRS = 4
"""Pairs of things whose sides are asked for, of a list."""

CLASSES = 3
"""Classes whose number is asked for, of a list."""

BATCH = 32

Asked = tuple[str, str, str]
"""A kind of questions, one of them, and its answer."""


def questions(drawn: Scene, dice: Dice) -> Iterator[Asked]:
    """Asks about a scene as it is told."""
    from collavo.datasets.miniature.benchmarks import mme
    from collavo.datasets.miniature.training import drills
    from collavo.datasets.miniature.training.checks import how_many, which_side
    from collavo.datasets.miniature.training.told import sentence
    from collavo.datasets.miniature.training.turns import either

    listed = sentence(drawn, dice)

    def after_list(kind: str, question: str, answer: str) -> Asked:
        return kind, f"{listed} {question}", answer

    for first, where, second in drills.independent(drawn, dice)[:PAIRS]:
        name = "left_or_right" if where in ("left", "right") else "above_or_under"
        yield after_list(name, *which_side(first, where, second))
        pair = mme.position_pair(first, where, second)
        yield after_list(f"{name}_yes_no", *either(*pair, dice))
    counts = drawn.counts()
    for name in dice.sample(list(counts), CLASSES):
        yield after_list("number", *how_many(name, counts[name]))
        pair = mme.count_pair(name, counts[name], dice)
        yield after_list("number_yes_no", *either(*pair, dice))


def boxes(drawn: Scene, dice: Dice) -> Iterator[Asked]:
    """Asks for the box of one thing of a told scene."""
    from collavo.datasets.miniature.training.told import looked_up, sentence

    listed = sentence(drawn, dice)
    asked = looked_up(drawn, listed, dice)
    if asked and asked[0][0].startswith("Where exactly is the"):
        question, answer = asked[0]
        yield "box", f"{listed} {question}", answer


def measure(model: Any, scenes: int) -> dict[str, Any]:
    """Asks about so many scenes, each told once in part and once whole.

    Args:
        model: An architecture with `known_tokenizer` and `forward`.
        scenes: How many.

    Returns:
        For each kind of questions the share of right answers, and how many there were.
    """
    from collavo.datasets.miniature.dice import Dice
    from collavo.datasets.miniature.scenes import scene
    from collavo.datasets.miniature.training.told import part_of

    asked: list[Asked] = []
    for seed in range(FIRST_SEED, FIRST_SEED + scenes):
        dice, whole = Dice(seed), scene(seed)
        for drawn in (part_of(whole, dice), whole):
            asked += [*questions(drawn, dice), *boxes(drawn, dice)]
    right: dict[str, list[bool]] = defaultdict(list)
    for kind, answered in _answered(model, asked):
        right[kind].append(answered)
    return {
        kind: {"accuracy": sum(found) / len(found), "questions": len(found)}
        for kind, found in sorted(right.items())
    }


def _answered(model: Any, asked: Sequence[Asked]) -> Iterator[tuple[str, bool]]:
    from collavo.modeling.llms.chat import Turn, encode
    from collavo.modeling.llms.chat_templates import get_chat_template

    template, tokenizer = get_chat_template("collavo"), model.known_tokenizer()
    encoded = [
        (kind, encode(template, [Turn("user", text), Turn("assistant", said)], None, 0, tokenizer))
        for kind, text, said in asked
    ]
    encoded.sort(key=lambda pair: len(pair[1].ids))
    for start in range(0, len(encoded), BATCH):
        part = encoded[start : start + BATCH]
        found = _likeliest(model, [row for _, row in part])
        yield from zip((kind for kind, _ in part), found, strict=True)


def _likeliest(model: Any, rows: Sequence[Encoded]) -> list[bool]:
    """Whether each row's labels are what the model finds likeliest before them."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def padded(lists: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        return pad_sequence([torch.tensor(x) for x in lists], True, value)

    ids = padded([row.ids for row in rows], model.pad_token_id)
    labels = padded([row.labels for row in rows], -100)
    mask = padded([[1] * len(row.ids) for row in rows], 0)
    with torch.inference_mode():
        said = model(input_ids=ids, attention_mask=mask).logits.argmax(-1)
    wrong = (said[:, :-1] != labels[:, 1:]) & (labels[:, 1:] != -100)
    return [not row.any() for row in wrong]


def main(argv: list[str] | None = None) -> int:
    """Measures a checkpoint and prints one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", default="", help="folder; by default the built-in backbone")
    parser.add_argument("--scenes", type=int, default=200)
    args = parser.parse_args(argv)

    from collavo.config.build import get_cfg
    from collavo.modeling.weights import builtin_weights
    from collavo.registry import ARCHITECTURES

    folder = Path(args.weights) if args.weights else builtin_weights("base")
    cfg = get_cfg([], ["MODEL.WEIGHTS", str(folder)])
    architecture: Any = ARCHITECTURES.get(cfg.MODEL.NAME)
    model = architecture.from_config(cfg, "cpu").eval()
    print(json.dumps({"weights": str(folder), **measure(model, args.scenes)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
