"""A plug-in with a model, a segmenter and a dataset that cost nothing, and can fail on command.

The model's answer is a hash of everything that it must depend on: the pixels, the Crayon Prompt,
the tokens, the generation settings, the weights. So any mix-up in the engine changes an answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

from collavo.datasets.evaluation.base import Evaluation, Evaluator, SampleScore, Table, join
from collavo.datasets.registration.catalog import DatasetCatalog, MetadataCatalog
from collavo.modeling.architectures.base import Architecture, ImageContext
from collavo.modeling.segmenters.base import Segmenter
from collavo.pipeline.base import Pipeline
from collavo.records import ImageRef, Sample, Segment, Segments, one_image
from collavo.registry import ARCHITECTURES, EVALUATORS, PIPELINES, SEGMENTERS

IMAGE = 1
SIZE, GRID = 16, (2, 2)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class _Faults:
    """What goes wrong, as the environment says; read anew at every call."""

    def __init__(self, prompts: list[str]) -> None:
        self.prompts = prompts

    def run(self) -> None:
        log = os.environ.get("FAKE_LOG")
        if log:
            with open(log, "a") as file:
                file.writelines(f"{p.split('|')[-1]}\n" for p in self.prompts)
        time.sleep(float(os.environ.get("FAKE_SLEEP", "0")) * len(self.prompts))
        self._on("FAKE_KILL", lambda: os.kill(os.getpid(), signal.SIGKILL))
        self._on("FAKE_HANG", self._hang)
        self._on("FAKE_RAISE", self._raise)
        self._on("FAKE_CUDA", self._cuda)
        most = int(os.environ.get("FAKE_ROWS", "0"))
        if most and len(self.prompts) > most:
            raise torch.OutOfMemoryError(f"{len(self.prompts)} rows are more than {most}")

    def _on(self, name: str, action) -> None:
        word = os.environ.get(name)
        if word and any(word in p for p in self.prompts):
            action()

    def _hang(self) -> None:
        """For ten minutes, or until somebody makes the file FAKE_RELEASE."""
        end = time.monotonic() + 600
        release = Path(os.environ.get("FAKE_RELEASE", "/never/there"))
        while time.monotonic() < end and not release.exists():
            time.sleep(0.05)

    def _raise(self) -> None:
        raise RuntimeError("the fake model was told to fail")

    def _cuda(self) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


@ARCHITECTURES.register("fake")
class FakeModel(Architecture):
    """Answers with a hash of its inputs."""

    supports_prefix = True
    uses_crayon = True
    image_token_id = IMAGE
    untrained = True

    def __init__(self, weights: str = "") -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(3))
        self.image_size, self.grid, self.content = SIZE, GRID, weights

    @classmethod
    def from_config(cls, cfg, device):
        path = cfg.RESUME_FROM or cfg.MODEL.WEIGHTS
        return cls(Path(path).read_text() if path else "")

    def fingerprint(self) -> str:
        return _digest(self.content)

    def render(self, question: str, crayon_text: str | None) -> str:
        return f"<image>{crayon_text or ''}|{question}"

    def tokenize(self, prompt: str) -> list[int]:
        return [0, IMAGE, *(ord(c) for c in prompt.removeprefix("<image>"))]

    def encode(self, visuals, crayon, prefixes, reuse="prefix"):
        if os.environ.get("FAKE_IMAGES") and len(prefixes) > int(os.environ["FAKE_IMAGES"]):
            raise torch.OutOfMemoryError("too many images")
        return [
            ImageContext(
                tuple(p),
                self._seen(visuals[k], crayon, k),
                len(p) + 3,
                4 * len(p) + 12,
            )
            for k, p in enumerate(prefixes)
        ]

    def answer(self, contexts, suffixes, owners, generation):
        rows = [
            (contexts[o].cache, [*contexts[o].prefix_ids, *s])
            for o, s in zip(owners, suffixes, strict=True)
        ]
        return self._answers(rows, generation)

    def generate(self, prompts, visuals, crayon, generation):
        rows = [(self._seen(visuals[k], crayon, k), list(p)) for k, p in enumerate(prompts)]
        if os.environ.get("FAKE_FLIP"):
            return [f"{t}!" for t in self._answers(rows, generation)]
        return self._answers(rows, generation)

    def score_options(self, contexts, suffixes, owners, options):
        return [
            [
                (-float(int(_digest(contexts[o].cache, prompt, ids)[:4], 16)), 0.0)
                for prompt in [[*contexts[o].prefix_ids, *suffix]]
                for ids in given
            ]
            for o, suffix, given in zip(owners, suffixes, options, strict=True)
        ]

    def _seen(self, visuals, crayon, row: int) -> str:
        if not visuals:
            return ""
        maps = None
        if crayon is not None and crayon.semantic is not None:
            maps = (crayon.semantic[row].tolist(), crayon.number[row].tolist())
        return _digest(*(v.tensors["pixel_values"].tolist() for v in visuals), maps)

    def _answers(self, rows, generation) -> list[str]:
        _Faults(["".join(chr(t) for t in tokens) for _, tokens in rows]).run()
        hashes = [_digest(seen, tokens, generation, self.content) for seen, tokens in rows]
        return [f"{'Yes' if int(h, 16) % 2 else 'No'} {h[:8]}" for h in hashes]


@ARCHITECTURES.register("fake_plain")
class FakePlainModel(FakeModel):
    """The same without a shared prefix."""

    supports_prefix = False


@SEGMENTERS.register("fake_segments")
class FakeSegmenter(Segmenter):
    """Sees one segment, whose class follows from the mean of the pixels."""

    class_names = tuple(f"class{k}" for k in range(133))

    def __init__(self, grid, threshold: float) -> None:
        self.grid, self.threshold = grid, threshold

    @classmethod
    def from_config(cls, cfg, grid, device):
        return cls(grid, cfg.SEGMENTER.THRESHOLD)

    def segment(self, images, refs=None):
        if os.environ.get("FAKE_SEGMENT_LOG"):
            with open(os.environ["FAKE_SEGMENT_LOG"], "a") as file:
                file.write("image\n" * len(images))
        labels = [int(i.float().mean()) % 133 for i in images]
        ids = torch.ones(self.grid, dtype=torch.int32)
        return [Segments(ids, (Segment(1, label),)) for label in labels]

    def fingerprint(self) -> str:
        return _digest(self.grid, self.threshold)


@PIPELINES.register("fake_pipeline")
class FakePipeline(Pipeline):
    """Asks the question as it stands."""

    answer_type = "yes_no"

    def prompt(self, sample: Sample) -> str:
        return sample.question


@EVALUATORS.register("fake_evaluator")
class FakeEvaluator(Evaluator):
    """Share of right answers."""

    def evaluate(self, samples, answers, metadata=None) -> Evaluation:
        judged = {
            s.sample_id: SampleScore(
                text.split()[0].lower(), s.answers[0], text.split()[0].lower() == s.answers[0]
            )
            for s, text in join(samples, answers)
        }
        accuracy = sum(bool(j.correct) for j in judged.values()) / len(judged)
        return Evaluation(
            {"accuracy": accuracy, "questions": len(judged)},
            {"accuracy": accuracy},
            {"accuracy": "fraction"},
            judged,
            notes=["by the fake rule"],
            tables=[Table("Fake", ("split", "accuracy"), [("all", accuracy)])],
        )

    def analyse(self, samples, evaluation, crayon_texts):
        rows = [(s.sample_id, crayon_texts[s.sample_id]) for s in samples[:1]]
        return [Table("Seen", ("sample", "text"), rows)]


def read_samples() -> list[Sample]:
    """Reads FAKE_DATA/questions.jsonl: rows of id, image (or null), question, answer."""
    folder = Path(os.environ["FAKE_DATA"])
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    return [
        Sample(
            f"fake_set:{row['id']}",
            one_image(ImageRef(path=folder / row["image"], root=folder) if row["image"] else None),
            row["question"],
            row["id"],
            answers=(row["answer"],),
        )
        for row in rows
    ]


for _name in ("fake_set", "fake_set2"):
    DatasetCatalog.register(_name, read_samples)
    MetadataCatalog.get(_name).set(
        pipeline="fake_pipeline",
        evaluator_type="fake_evaluator",
        answer_type="yes_no",
        published=[
            {"model": "Other", "metric": "accuracy", "value": 0.25, "unit": "fraction"},
            {"model": "Other", "metric": "f1", "value": 0.25, "unit": "fraction"},
        ],
    )
