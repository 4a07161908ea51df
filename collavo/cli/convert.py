"""`convert`: checkpoints into the published format, other shards or another dtype."""

from __future__ import annotations

import argparse
import re

from collavo.errors import EXIT_OK, ConfigError
from collavo.terminal import say

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_DTYPES = ("keep", "fp32", "bf16", "fp16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's options."""
    parser.add_argument(
        "--from", dest="source", required=True, metavar="SOURCE",
        help="a folder with config.json and *.safetensors, or a hub id",
    )  # fmt: skip
    parser.add_argument(
        "--to", dest="target", required=True, metavar="FOLDER",
        help="the folder to make; it must not be there, or be empty",
    )  # fmt: skip
    parser.add_argument(
        "--kind", default="auto", choices=("auto", "published", "xcomposer2"),
        help="what SOURCE is: a CoLLaVO, or an InternLM-XComposer2-VL to start from",
    )  # fmt: skip
    parser.add_argument(
        "--max-shard-size", default="", metavar="SIZE",
        help="the most bytes of a file, such as 5GB; SOURCE's own shards if not given",
    )  # fmt: skip
    parser.add_argument("--dtype", default="keep", choices=_DTYPES, help="what floats become")
    parser.add_argument("--revision", default="", help="of a hub id: branch, tag or commit")
    parser.add_argument("--seed", type=int, default=0, help="draws a new crayon branch")


def run(args: argparse.Namespace) -> int:
    """Converts and prints what was written."""
    limit = parse_size(args.max_shard_size) if args.max_shard_size else 0

    from collavo.modeling.architectures.convert import convert
    from collavo.modeling.llms.base import DTYPES
    from collavo.modeling.weights import resolve_weights

    source = resolve_weights(args.source, args.revision, key="--from")
    done = convert(source, args.target, args.kind, limit, DTYPES.get(args.dtype), args.seed)
    fresh = f", {done.fresh} of them new" if done.fresh else ""
    files = "1 file" if done.shards == 1 else f"{done.shards} files"
    say(
        f"{args.target}: {done.tensors} tensors{fresh}, {done.nbytes / 1e9:.3f} GB in {files} "
        f"(from {done.kind})"
    )
    return EXIT_OK


def parse_size(text: str) -> int:
    """Returns the bytes that a size such as "5GB", "512MiB" or "1000000" says.

    Raises:
        ConfigError: It is no size, or zero.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?B?)", text.strip().upper())
    size = 0
    if match and match[2] in _UNITS:
        size = int(float(match[1]) * _UNITS[match[2]])
    if size <= 0:
        raise ConfigError(
            f"--max-shard-size {text!r} is no size; write a number with a unit, such as 5GB"
        )
    return size
