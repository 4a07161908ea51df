"""The original's configuration: keys its code never read, old names, and values that meant nothing.

Source: ByungKwanLee/CoLLaVO, configs/collavo_eval.yaml and utils/arguments.py (commit fb419fa).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from collavo.config.defaults import BLOCKS

logger = logging.getLogger(__name__)

_LOADER = ("FILTER_EMPTY_ANNOTATIONS", "LOAD_PROPOSALS", "SAMPLER_TRAIN", "ASPECT_RATIO_GROUPING")

_DEAD = (
    "NAME",
    "DATASETS.SIZE_DIVISIBILITY",
    "DATASETS.PROPOSAL_FILES_TRAIN",
    "OPTIMIZER.PERIOD",
    "LLM.GRAD_CKPT",
    "LLM.LORA",
    "RESUME",
    "RESET_DATA_LOADER",
    "EVAL_AT_START",
    "MODEL.MASK_ON",
    "MODEL.KEYPOINT_ON",
    "MODEL.LOAD_PROPOSALS",
    "MODEL.DECODER.TEST.SEMANTIC_ON",
    "MODEL.DECODER.TEST.INSTANCE_ON",
    "MODEL.DECODER.TEST.PANOPTIC_ON",
    "MODEL.DECODER.TEST.OVERLAP_THRESHOLD",
    "MODEL.DECODER.TEST.OBJECT_MASK_THRESHOLD",
    "MODEL.DECODER.TEST.SEM_SEG_POSTPROCESSING_BEFORE_INFERENCE",
    "INPUT.PIXEL_MEAN",
    "INPUT.PIXEL_STD",
    *(f"DATALOADER.{key}" for key in _LOADER),
)

_DEAD_IN_BLOCKS = (
    "INPUT.DATASET_MAPPER_NAME",
    "INPUT.IGNORE_VALUE",
    "INPUT.COLOR_AUG_SSD",
    "INPUT.SIZE_DIVISIBILITY",
    "INPUT.MASK_FORMAT",
    "INPUT.CROP.ENABLED",
    "INPUT.NUM_CLASSES",
    "TEST.TEMPERATURE",
    "TEST.TOP_P",
    "TEST.NUM_BEAMS",
    "TEST.MAX_NEW_TOKENS",
    *(f"DATALOADER.{key}" for key in _LOADER),
)

DEPRECATED: frozenset[str] = frozenset(_DEAD) | {
    f"{block}.{key}" for block in BLOCKS for key in _DEAD_IN_BLOCKS
}
"""Keys that are accepted and have no effect, since the original's code never read them."""

RENAMED = {"base_path": "USER_DIR"}
"""Old names of keys. The original imported the modules under `base_path`."""

MEANT: dict[tuple[str, str], str] = {
    # the class had no evaluate_model: whatever ran was named on the command line
    ("PIPELINE", "CoLLaVOPipeline"): "",
    ("MODEL.NAME", "collavo_model"): "collavo",
    # os.path.normpath("") is the working directory
    ("SAVE_DIR", ""): ".",
    # its own code, which is at hand here
    ("base_path", "./"): "",
    ("base_path", "."): "",
}
"""What the original's values stand for here, by key and value."""

_warned: set[str] = set()


def warn(keys: Iterable[str]) -> None:
    """Says once, on the main process, which keys are ignored; all benchmarks' together."""
    new = {general(key) for key in keys} - _warned
    _warned.update(new)
    if not new or int(os.environ.get("RANK", "0")) != 0:
        return
    logger.warning(
        "Ignored, as the original's code did not read them either: %s.%s",
        ", ".join(sorted(new)),
        " Beams and new tokens are GENERATION.NUM_BEAMS and GENERATION.MAX_NEW_TOKENS."
        if any(key.startswith("<BENCHMARK>.TEST") for key in new)
        else "",
    )


def forget_warnings() -> None:
    """Lets `warn` say everything again."""
    _warned.clear()


def general(key: str) -> str:
    """Names a key of a benchmark's section for all benchmarks: `<BENCHMARK>.TEST.TOP_P`."""
    block, _, rest = key.partition(".")
    return f"<BENCHMARK>.{rest}" if block in BLOCKS else key
