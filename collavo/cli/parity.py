"""`parity`: how far model, crayon prompt and tokenizer are from the original's numbers."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collavo.errors import EXIT_OK, MissingFileError, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `parity`."""
    parser.add_argument("--checkpoint", metavar="DIR", help="a checkpoint in the published format")
    parser.add_argument("--case", metavar="FILE", help="inputs and logits (case.safetensors)")
    parser.add_argument("--crayon-case", metavar="DIR", help="Mask2Former's output and its crayon")
    parser.add_argument("--tokenizer-case", metavar="DIR", help="a tokenizer.model and its ids")


def run(args: argparse.Namespace) -> int:
    """Compares and prints one JSON object, of all cases given, on the last line."""
    if bool(args.checkpoint) != bool(args.case):
        raise UserError("parity needs --checkpoint and --case together")
    if not (args.case or args.crayon_case or args.tokenizer_case):
        raise UserError(
            "parity needs --checkpoint DIR --case FILE, --crayon-case DIR or --tokenizer-case DIR"
        )
    for option in ("checkpoint", "case", "crayon_case", "tokenizer_case"):
        given = getattr(args, option)
        if given and not Path(given).exists():
            words = f"--{option.replace('_', '-')} {given}"
            raise MissingFileError(f"{words} is not there (looked from {Path.cwd()})")
    print(json.dumps(compare(args)))
    return EXIT_OK


def compare(args: argparse.Namespace) -> Mapping[str, Any]:
    """Runs the comparisons that were asked for; each imports only what it needs."""
    result: dict[str, Any] = {}
    if args.tokenizer_case:
        from collavo.modeling.ops import parity_tokenizer

        result.update(parity_tokenizer.compare(Path(args.tokenizer_case)))
    if args.crayon_case:
        from collavo.modeling.ops import parity_crayon

        result.update(parity_crayon.compare(Path(args.crayon_case)))
    if args.case:
        from collavo.modeling.ops import parity_model

        result.update(parity_model.compare(Path(args.checkpoint), Path(args.case)))
    return result
