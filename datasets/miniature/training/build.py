"""Writes training scenes into the cache: pictures, panoptic maps, conversations in LLaVA's form."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collavo.config.paths import cache_dir
from collavo.datasets.miniature.benchmarks import pope
from collavo.datasets.miniature.build import version
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.drawing import save
from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.panoptic import panoptic_row, write_document
from collavo.datasets.miniature.scenes import TRAINING_SEEDS, Scene, scene
from collavo.datasets.miniature.training.checks import (
    numbers,
    sides_and_colors,
    told_numbers,
    told_pairs,
    told_sides,
)
from collavo.datasets.miniature.training.drills import TOLD_DRILLS, drills_about
from collavo.datasets.miniature.training.told import looked_up, part_of, sentence, told
from collavo.datasets.miniature.training.turns import (
    CAPTIONS,
    SHORT_ANSWER,
    TOLD,
    Said,
    caption,
    conversation,
    turns_about,
)
from collavo.errors import ConfigError, DataError
from collavo.lifetime import process_pool

logger = logging.getLogger(__name__)

FIRST_SEED = TRAINING_SEEDS[500_000_000]
"""The first scene; those before are the segmenter's, so that its maps of these are honest."""

CONVERSATIONS = 4
"""Rows a scene, each with questions of its own."""

CHECKS = 4
"""Rows of questions about sides and colours, a scene."""

COUNTED = 4
"""Rows of questions about numbers at the most, a scene."""

PARTS = 8
"""Rows about a list's entries, about sides and about numbers in told parts of a scene."""

POPE_TURNS = 2
"""Questions in POPE's wording and with its negatives in each row."""

BLOCK = 50
"""Scenes that a process draws at a time."""


@dataclass(frozen=True)
class Drawn:
    """What is kept of a scene once its files are written.

    Args:
        seed: Its seed.
        name: The picture's file name.
        rows: Its entries in the panoptic JSON.
        objects: The classes of things in it.
        turns: For each conversation its questions and answers, POPE's not among them.
        ends: For each conversation what ends it: answers that would tell those of the others.
        more: The rows of the other files that `training_root` names, by file name without ending.
    """

    seed: int
    name: str
    rows: tuple[dict[str, Any], dict[str, Any]]
    objects: tuple[str, ...]
    turns: tuple[list[Said], ...]
    ends: tuple[list[Said], ...]
    more: dict[str, list[dict[str, object]]]


def training_root(scenes: int, processes: int = 0) -> Path:
    """Returns the folder of so many training scenes, writing it where it is not there yet.

    It holds `images/`, `panoptic_train.json` with `panoptic_train/`, and conversations:
    `instructions.json`; `checks.json`, about sides and colours;
    `counted.json`, of scenes with several of a class, about numbers. Without image, their first
    question beginning with a list of what there is: `told.json`, of all kinds,
    `told_lists.json`, for entries of the list, `told_sides.json`, about sides,
    `told_counted.json`, about numbers, and `told_pairs.json`, about the sides of one pair after
    another, most for a yes or a no. It appears whole or not at all. The same number of
    scenes gives the same files everywhere.

    Args:
        scenes: How many.
        processes: How many draw at once; 0 for one a core.

    Raises:
        ConfigError: `scenes` is not in 1..400,000,000.
        DataError: The cache folder cannot be written.
    """
    most = TRAINING_SEEDS.stop - FIRST_SEED
    if not 1 <= scenes <= most:
        raise ConfigError(f"the miniature has training scenes 1..{most}; asked for {scenes}")
    target = cache_dir() / f"miniature-training-{_version()}-{scenes}"
    if target.is_dir():
        return target
    work: Path | None = None
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".miniature-", dir=cache_dir()))
        logger.info("drawing %d training scenes into %s", scenes, target)
        write(work, scenes, processes)
        work.chmod(0o755)  # mkdtemp makes it private; users of a machine may share the cache
        os.rename(work, target)
    except OSError as error:
        if not target.is_dir():
            raise DataError(
                f"the training scenes cannot be written to {target} ({error.strerror}); "
                "make room there, or set COLLAVO_CACHE to another folder"
            ) from error
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
    return target


def write(root: Path, scenes: int, processes: int = 0) -> None:
    """Writes the files of the first `scenes` scenes below `root`; see `training_root`."""
    for folder in ("images", "panoptic_train"):
        (root / folder).mkdir(parents=True)
    listed = list(_draw_all(root, scenes, processes or len(os.sched_getaffinity(0))))
    write_document(root / "panoptic_train.json", [drawn.rows for drawn in listed])
    write_json(root / "instructions.json", instructions(listed))
    for name in listed[0].more:
        write_json(root / f"{name}.json", [row for drawn in listed for row in drawn.more[name]])


def instructions(listed: Sequence[Drawn]) -> list[dict[str, object]]:
    """Returns the rows of all conversations, scene by scene.

    POPE's negatives depend on which classes are frequent, and on which are seen together, over all
    scenes: its questions are made here, and mixed into the others.
    """
    objects = {drawn.name: drawn.objects for drawn in listed}
    asked: dict[str, list[Said]] = {drawn.name: [] for drawn in listed}
    for split in pope.SPLITS:
        for row in pope.questions(objects, split):
            answer = str(row["label"]).capitalize()
            asked[str(row["image"])].append((f"{row['text']}{SHORT_ANSWER}", answer))
    rows = []
    for drawn in listed:
        for number, turns in enumerate(drawn.turns):
            dice = Dice(drawn.seed * CONVERSATIONS + number)
            mixed = dict(dice.shuffled([*turns, *_balanced(asked[drawn.name], dice)]))
            said = [*mixed.items(), *drawn.ends[number]]
            rows.append(conversation(said, drawn.name, f"{drawn.seed}_{number}"))
    return rows


def _balanced(asked: Sequence[Said], dice: Dice) -> list[Said]:
    """Draws some of a scene's POPE questions, each with an answer drawn first."""
    wanted = [dice.choice(("Yes", "No")) for _ in range(POPE_TURNS)]
    return [dice.choice([said for said in asked if said[1] == answer]) for answer in wanted]


def _draw_all(root: Path, scenes: int, processes: int) -> Iterator[Drawn]:
    seeds = range(FIRST_SEED, FIRST_SEED + scenes)
    blocks = [seeds[start : start + BLOCK] for start in range(0, scenes, BLOCK)]
    if processes == 1 or len(blocks) == 1:
        for block in blocks:
            yield from _draw_block(root, block)
        return
    with process_pool(min(processes, len(blocks))) as pool:
        for found in pool.map(_draw_block, [root] * len(blocks), blocks):
            yield from found


def _draw_block(root: Path, seeds: range) -> list[Drawn]:
    return [_draw(root, seed) for seed in seeds]


def _draw(root: Path, seed: int) -> Drawn:
    drawn, name = scene(seed), f"{seed:012d}.jpg"
    save(drawn.image, root / "images" / name)
    turns, ends = [], []
    for number in range(CONVERSATIONS):
        dice = Dice((seed * CONVERSATIONS + number) * 2 + 1)
        turns.append(turns_about(drawn, dice))
        last = [caption(drawn, dice)] if dice.chance(CAPTIONS) else []
        ends.append([*drills_about(drawn, dice), *last])
    rows = panoptic_row(root / "panoptic_train", name, drawn)
    for info, thing in zip(rows[1]["segments_info"], drawn.things, strict=False):
        info["color"] = thing.color  # beyond the format; segments begin with the things
    return Drawn(
        seed, name, rows, tuple(drawn.counts()), tuple(turns), tuple(ends), _more(drawn, name)
    )


def _more(drawn: Scene, name: str) -> dict[str, list[dict[str, object]]]:
    """Makes the rows beside `instructions.json`, by file.

    Those about numbers in the picture are the more, the larger the largest is: that is rare.
    """
    counted = min(COUNTED, max(drawn.counts().values()) - 1)
    return {
        kind: _rows(drawn, "" if kind.startswith("told") else name, kind, rows)
        for kind, rows in {
            "told": CONVERSATIONS,
            "checks": CHECKS,
            "counted": counted,
            "told_lists": PARTS,
            "told_sides": PARTS,
            "told_counted": PARTS,
            "told_pairs": PARTS,
        }.items()
    }


def _rows(drawn: Scene, image: str, kind: str, rows: int) -> list[dict[str, object]]:
    """Asks that often about a scene, with its picture or, without, after a list."""
    made = []
    for number in range(rows):
        dice = _dice(drawn.seed, number, kind)
        seen = part_of(drawn, dice) if kind in _IN_PARTS else drawn
        listed = "" if image else sentence(seen, dice)
        ask = _ASKED[kind]
        said = ask(seen, dice) if ask is not None else looked_up(seen, listed, dice)
        if said:
            asked = said if image else told(said, listed)
            made.append(conversation(asked, image, f"{drawn.seed}_{number}_{kind}"))
    return made


def _dice(seed: int, number: int, kind: str) -> Dice:
    """A row's own; kinds after the first have those that no training scene uses."""
    further, place = divmod(list(_ASKED).index(kind), _FIRST_KINDS)
    scenes = TRAINING_SEEDS.stop * further + seed
    return Dice((scenes * PARTS + number) * _FIRST_KINDS + place)


def _anything(drawn: Scene, dice: Dice) -> list[Said]:
    return [*turns_about(drawn, dice, TOLD), *drills_about(drawn, dice, TOLD_DRILLS)]


_ASKED: dict[str, Callable[[Scene, Dice], list[Said]] | None] = {
    "told": _anything,
    "checks": sides_and_colors,
    "counted": numbers,
    "told_lists": None,
    "told_sides": told_sides,
    "told_counted": told_numbers,
    "told_pairs": told_pairs,
}
"""What asks the questions of a file's rows; None for what needs the list's words."""

_FIRST_KINDS = 6
"""Kinds whose dice are numbered together; a row's dice must not change when a kind is added."""

_IN_PARTS = ("told_lists", "told_sides", "told_counted", "told_pairs")
"""Rows that tell a part of their scene."""


def _version() -> str:
    """The digest of the sources that draw the scenes and word the conversations."""
    digest = hashlib.sha256(version().encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]
