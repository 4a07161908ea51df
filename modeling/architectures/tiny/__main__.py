"""Rebuilds the built-in tiny model: `python -m collavo.modeling.architectures.tiny --to FOLDER`."""

from __future__ import annotations

import argparse
from pathlib import Path

from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES, COCO_PANOPTIC
from collavo.modeling.architectures.tiny.checkpoint import write_checkpoint
from collavo.modeling.architectures.tiny.corpus import corpus
from collavo.modeling.architectures.tiny.segmenter import write_segmenter
from collavo.modeling.architectures.tiny.tokenizer import PHRASES, VOCAB_SIZE, train_tokenizer


def build(folder: Path, seed: int = 0) -> None:
    """Writes `folder/collavo` and `folder/segmenter`."""
    tokenizer = train_tokenizer(corpus(CLEAN_NAMES), VOCAB_SIZE, PHRASES)
    write_checkpoint(folder / "collavo", tokenizer, VOCAB_SIZE, seed)
    write_segmenter(folder / "segmenter", [c.name for c in COCO_PANOPTIC], seed)
    for file in folder.rglob("*.safetensors"):
        file.chmod(0o644)  # safetensors leaves it to the owner alone


def main() -> None:
    """Reads the command line and builds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="the folder to write into")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    build(args.to, args.seed)


if __name__ == "__main__":
    main()
