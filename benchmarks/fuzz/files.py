"""Files that the toolkit itself keeps or loads: what breaks them, and how each is read."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fuzz.breaking import broken
from benchmarks.fuzz.rounds import LIMIT, EndlessError, Tally, guarded
from collavo.config import get_cfg
from collavo.config.paths import assets_dir
from collavo.errors import UserError
from collavo.registry import UnknownNameError


@dataclass(frozen=True)
class Kept:
    """A file, and what reads it.

    Args:
        name: What it is called in the figures.
        file: The file.
        read: Reads it as commands do.
    """

    name: str
    file: Path
    read: Callable[[], object]


def make_files(folder: Path) -> list[Kept]:
    """Writes one whole file of each kind below `folder`."""
    return [*_checkpoints(folder), *_judgements(folder), *_yaml(folder)]


def _checkpoints(folder: Path) -> Iterator[Kept]:
    """Configs and a weight index of the built-in model and segmenter.

    The tensors are cut into two shards, so that there is an index to break.
    """
    from safetensors.torch import load_file, save_file

    from collavo.modeling.architectures.collavo import CoLLaVO
    from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter
    from collavo.modeling.weights import weight_files

    model, segmenter = folder / "collavo", folder / "segmenter"
    for name, there in (("collavo", model), ("segmenter", segmenter)):
        shutil.copytree(assets_dir() / "tiny" / name, there)
    shards = folder / "shards"
    shards.mkdir()
    held = load_file(model / "model.safetensors")
    names = sorted(held)[:20]
    placed = {}
    for k in range(2):
        file = f"model-0000{k + 1}-of-00002.safetensors"
        save_file({n: held[n].contiguous() for n in names[k::2]}, shards / file)
        placed |= dict.fromkeys(names[k::2], file)
    index = shards / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": placed}), encoding="utf-8")

    def segment() -> None:
        Mask2FormerSegmenter.from_pretrained(segmenter, (16, 16))

    yield Kept("model config.json", model / "config.json", lambda: CoLLaVO.from_pretrained(model))
    yield Kept("weight index", index, lambda: weight_files(shards))
    yield Kept("segmenter config.json", segmenter / "config.json", segment)
    yield Kept("preprocessor_config.json", segmenter / "preprocessor_config.json", segment)


def _judgements(folder: Path) -> Iterator[Kept]:
    from collavo.datasets.evaluation.judge.calls import Call, Reply
    from collavo.datasets.evaluation.judge.store import JudgementStore

    file = folder / "judgements.jsonl"
    store = JudgementStore(file)
    for k in range(6):
        call = Call("test", f"x:{k}", f"Is {k} right?", max_tokens=3)
        store.add(f"key {k}", call, "judge", Reply("yes", "judge-1", 11, 2), 0.5)
    yield Kept("judgements.jsonl", file, lambda: JudgementStore(file))


def _yaml(folder: Path) -> Iterator[Kept]:
    file = folder / "own.yaml"
    text = "LLM:\n  BITS: 4\nGENERATION: {NUM_BEAMS: 2}\nTRAIN.DATA:\n- llava:/data/a.json\n"
    file.write_text(text, encoding="utf-8")
    words, whole = folder / "overrides.txt", folder / "overrides.json"
    words.write_text("LLM.BITS 4 GENERATION.NUM_BEAMS=2 DEVICE cpu", encoding="utf-8")
    whole.write_text('{"LLM": {"BITS": 4}, "GENERATION.NUM_BEAMS": 2}', encoding="utf-8")

    def text(of: Path) -> str:
        return of.read_bytes().decode("utf-8", "surrogateescape")  # as Python gives arguments

    yield Kept("configuration file", file, lambda: get_cfg(file))
    yield Kept("--overrides", words, lambda: get_cfg(overrides=text(words).split()))
    yield Kept("--config_overrides", whole, lambda: get_cfg(config_overrides=text(whole)))


def run(files: list[Kept], count: int, seed: int) -> Tally:
    """Breaks files and reads them; whatever is neither read nor refused in words is a fault.

    Args:
        files: What is broken.
        count: How many rounds.
        seed: Of the dice.
    """
    tally = Tally()
    for number in range(count):
        dice = random.Random(seed * 1_000_003 + number)
        kept = files[number % len(files)]
        whole = kept.file.read_bytes()
        try:
            kept.file.write_bytes(broken(whole, dice))
            with guarded(LIMIT):
                kept.read()
            tally.read += 1
            tally.kinds[f"{kept.name}: read"] += 1
        except (UserError, UnknownNameError) as error:
            tally.refused += 1
            tally.kinds[f"{kept.name}: refused"] += 1
            if not str(error).strip() or "\n" in str(error).strip():
                tally.faults.append(f"round {number}: {kept.name}: not one line: {error!r:.300}")
        except (Exception, EndlessError) as error:  # what the rounds look for
            tally.faults.append(f"round {number}: {kept.name}: {type(error).__name__}: {error}")
        finally:
            kept.file.write_bytes(whole)
    return tally
