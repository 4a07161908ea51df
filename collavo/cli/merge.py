"""`merge`: folds adapters and trained parts into their base, in the published format."""

from __future__ import annotations

import argparse
from pathlib import Path

from collavo.errors import EXIT_OK
from collavo.terminal import say

_DTYPES = ("keep", "fp32", "bf16", "fp16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's options."""
    parser.add_argument(
        "--from", dest="source", required=True, metavar="STAGE",
        help="the folder that a stage of training left (with stage.json)",
    )  # fmt: skip
    parser.add_argument(
        "--to", dest="target", required=True, metavar="FOLDER",
        help="the folder to make; it must not be there, or be empty",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", default="keep", choices=_DTYPES,
        help="what is written; sums are made in float32. Never 4 bits: they would undo the "
        "adapters; quantise when you load (LLM.BITS 4) at your own risk",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Merges and prints what was written."""
    from collavo.config import get_cfg
    from collavo.engine.models import architecture_of
    from collavo.modeling.checkpoints.stage_folder import is_stage, open_stage
    from collavo.modeling.llms.base import DTYPES
    from collavo.registry import ARCHITECTURES

    cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides)
    kind = architecture_of(cfg)
    if is_stage(args.source):  # it says itself of which model it is
        kind = ARCHITECTURES.get(open_stage(args.source).model)
    done = kind.merge_stage(Path(args.source), Path(args.target), DTYPES.get(args.dtype))
    base = "" if done.bits == 16 else f" dequantised from {done.bits} bits"
    names = f"{' + '.join(done.adapters)} folded into {done.linears} linears{base}, "
    say(
        f"{args.target}: {names if done.adapters else ''}{done.trained} tensors as trained, "
        f"{done.nbytes / 1e9:.3f} GB (base {done.base})"
    )
    return EXIT_OK
