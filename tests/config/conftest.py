"""The original's configs/collavo_eval.yaml, key by key (CoLLaVO, commit fb419fa)."""

from __future__ import annotations

from pathlib import Path

import pytest

from collavo.config import legacy

TOP = """\
NAME: collavo_eval.yaml
DATASETS: {TRAIN: "", TEST: "", SIZE_DIVISIBILITY: 32, PROPOSAL_FILES_TRAIN: []}
OPTIMIZER:
  LR: 1e-5
  LAST_LR: 1e-6
  PERIOD: 10
  WEIGHT_DECAY: 0
  EPOCH: 1
  GRAD_MAX: 10
  GRAD_CUM: 1
LLM: {LOAD_LLM: true, BITS: 4, GRAD_CKPT: false, LORA: false, DTYPE: 'fp16'}
PIPELINE: CoLLaVOPipeline
SAVE_DIR: ''
base_path: "./"
RESUME: false
WEIGHT: false
RESET_DATA_LOADER: false
RESUME_FROM: ''
EVAL_AT_START: False
WANDB: False
MODEL:
  NAME: collavo_model
  MASK_ON: false
  KEYPOINT_ON: false
  LOAD_PROPOSALS: false
  DECODER:
    TEST:
      SEMANTIC_ON: True
      INSTANCE_ON: True
      PANOPTIC_ON: True
      OVERLAP_THRESHOLD: 0.8
      OBJECT_MASK_THRESHOLD: 0.8
      SEM_SEG_POSTPROCESSING_BEFORE_INFERENCE: false
INPUT:
  PIXEL_MEAN: [123.675, 116.280, 103.530]
  PIXEL_STD: [58.395, 57.120, 57.375]
DATALOADER:
  FILTER_EMPTY_ANNOTATIONS: False
  NUM_WORKERS: 16
  LOAD_PROPOSALS: False
  SAMPLER_TRAIN: "TrainingSampler"
  ASPECT_RATIO_GROUPING: True
"""

BLOCK = """\
{name}:
  INPUT:
    IMAGE_SIZE: 490
    DATASET_MAPPER_NAME: "{mapper}"
    IGNORE_VALUE: 255
    COLOR_AUG_SSD: False
    SIZE_DIVISIBILITY: 32
    MASK_FORMAT: "polygon"
    FORMAT: "RGB"
    CROP:
      ENABLED: True
    NUM_CLASSES: 3129
  TEST:
    BATCH_SIZE_TOTAL: 1
    TEMPERATURE: 0
    TOP_P: None
    NUM_BEAMS: 1
    MAX_NEW_TOKENS: 128
  DATALOADER:
    FILTER_EMPTY_ANNOTATIONS: False
    NUM_WORKERS: 16
    LOAD_PROPOSALS: False
    SAMPLER_TRAIN: "TrainingSampler"
    ASPECT_RATIO_GROUPING: True
"""

BLOCKS = (
    "GQA TEXTVQA SCIENCEQA POPE MME MMBENCH QBENCH MMVET MATHVISTA AI2D HALLUSIONBENCH SEED"
).split()

TEXT = TOP + "".join(BLOCK.format(name=b, mapper=b.lower()) for b in BLOCKS)


@pytest.fixture()
def original(tmp_path: Path) -> Path:
    """A file with every key and value of the original's."""
    file = tmp_path / "original_eval.yaml"
    file.write_text(TEXT)
    return file


@pytest.fixture(autouse=True)
def every_warning():
    """Warnings that are given once a process are given anew in each test."""
    legacy.forget_warnings()
    yield
    legacy.forget_warnings()
