"""Runs the original's way over samples: batches of five questions, nothing shared."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Mask2FormerForUniversalSegmentation, Mask2FormerImageProcessorPil

from benchmarks.throughput.measure import Memory, Meter, Result
from benchmarks.throughput.original import OriginalModel, read_image
from benchmarks.throughput.plugin import Planted
from collavo.datasets.registration.coco_panoptic import CLEAN_NAMES
from collavo.modeling.crayon.prompt import make_crayon_prompt
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.llms.tokenizer import CoLLaVOTokenizer
from collavo.pipeline.base import Pipeline
from collavo.records import Sample, Segment, Segments

BATCH = 5
SIZE, GRID = 490, 35


class OriginalRunner:
    """The original's evaluation loop on a checkpoint folder.

    Args:
        folder: The model's folder, with its segmenter.
        dtype: Of the language model and the vision tower.
    """

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        self.model = OriginalModel.load(folder)
        torch.nn.Module.to(self.model, dtype)
        network = Mask2FormerForUniversalSegmentation.from_pretrained(folder / "segmenter").eval()
        self.segmenter = Planted(network)
        self.processor = Mask2FormerImageProcessorPil.from_pretrained(folder / "segmenter")
        self.tokenizer = CoLLaVOTokenizer(folder)

    def run(
        self, samples: Sequence[Sample], pipeline: Pipeline, beams: int, new_tokens: int
    ) -> Result:
        """Answers the samples in their order."""
        meter, memory = Meter(), Memory()
        self.model.meter = meter
        assert self.tokenizer.turn_end_id is not None, "the benchmark's tokenizer has one"
        generation = {
            "num_beams": beams,
            "max_new_tokens": new_tokens,
            "eos_token_id": [self.tokenizer.eos_token_id, self.tokenizer.turn_end_id],
        }
        answers: dict[str, list[int]] = {}
        begin, cpu = time.perf_counter(), time.process_time()
        for start in range(0, len(samples), BATCH):
            batch = samples[start : start + BATCH]
            rows = self._answer(batch, pipeline, generation, meter)
            answers |= {s.sample_id: row for s, row in zip(batch, rows, strict=True)}
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        known = sum(meter.seconds.values())
        parts = {**meter.seconds, "rest": seconds - known}
        texts = {key: self._text(row) for key, row in answers.items()}
        return Result(
            len(samples), seconds, cpu, parts, dict(meter.tokens), memory.peak(), answers, texts
        )

    @torch.no_grad()
    def _answer(
        self,
        batch: Sequence[Sample],
        pipeline: Pipeline,
        generation: dict[str, Any],
        meter: Meter,
    ) -> list[list[int]]:
        with meter.timed("images"):
            paths = [s.images[0].path for s in batch if s.images and s.images[0].path]
            pixels = torch.stack([read_image(path, SIZE) for path in paths])
        with meter.timed("segmentation"):
            inputs = self.processor(
                images=[p.numpy() for p in pixels],
                return_tensors="pt",
                input_data_format="channels_first",
            )
            found = self.processor.post_process_panoptic_segmentation(
                self.segmenter(pixel_values=inputs["pixel_values"]),
                threshold=0.5,
                mask_threshold=0.95,
                label_ids_to_fuse=set(),
                target_sizes=[(GRID, GRID)] * len(pixels),
            )
            crayon = make_crayon_prompt([_segments(f) for f in found], CLEAN_NAMES)
        with meter.timed("tokens"):
            template = get_chat_template("collavo")
            prompts = [
                self.tokenizer.encode(template.render(pipeline.prompt(sample), text))
                for sample, text in zip(batch, crayon.text, strict=True)
            ]
        assert crayon.semantic is not None and crayon.number is not None, "the full mode has maps"
        return self.model.answer(
            prompts, pixels, crayon.semantic, crayon.number, generation, GRID * GRID
        )

    def _text(self, row: Sequence[int]) -> str:
        """The answer's text, by the rule of both ways: up to the end of sequence or of turn."""
        ends = (self.tokenizer.eos_token_id, self.tokenizer.turn_end_id)
        end = next((i for i, token in enumerate(row) if token in ends), len(row))
        return self.tokenizer.decode(list(row[:end])).strip()


def _segments(found: dict[str, Any]) -> Segments:
    info = found["segments_info"]
    ids = found["segmentation"].to(torch.int32).clamp(min=0)
    return Segments(ids, tuple(Segment(i["id"], i["label_id"], i["score"]) for i in info))
