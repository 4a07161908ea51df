"""One process of several, as `accelerate launch --config_file CONFIG SCRIPT` would start it.

`python rank.py CONFIG SCRIPT WORDS…`, with rank and world in the environment as torchrun sets them.
The rest of the environment is made by accelerate's own launcher from CONFIG.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from typing import Any

import torch.distributed.run
from accelerate.commands import launch


def main(config: str, words: list[str]) -> None:
    """Lets the launcher run the script here, where it would hand it over to torchrun."""

    def run(args: Any) -> None:
        sys.argv = words
        sys.path[0] = os.path.dirname(words[0])
        runpy.run_path(words[0], run_name="__main__")

    if importlib.util.find_spec("deepspeed") is not None and "DS_ACCELERATOR" in os.environ:
        import deepspeed

        # it would compile a reduction of its own, which takes longer than all tests of it
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    torch.distributed.run.run = run
    options = [f"--num_processes={os.environ['WORLD_SIZE']}", "--mixed_precision=no"]
    parser = launch.launch_command_parser()
    launch.launch_command(parser.parse_args(["--config_file", config, *options, *words]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
