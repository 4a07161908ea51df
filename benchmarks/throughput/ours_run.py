"""Runs the toolkit's own evaluation over samples, through its engine, and counts what it does."""

from __future__ import annotations

import io
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from benchmarks.throughput import plugin
from benchmarks.throughput.measure import Memory, Meter, Result, replaced
from collavo.config import get_cfg
from collavo.config.paths import configs_dir
from collavo.engine.accelerator import start_processes, stop_processes
from collavo.engine.models import Models
from collavo.engine.run import run_task
from collavo.engine.tasks import make_tasks
from collavo.modeling.architectures import composition
from collavo.modeling.ops import decoding
from collavo.modeling.ops.prefill_cache import PrefillCache

PLUGIN = Path(plugin.__file__)  # imported, it has registered the loads and the segmenter
CONFIG = configs_dir() / "bench" / "throughput.yaml"


class OursRunner:
    """The toolkit's engine with the model loaded once.

    Args:
        folder: The model's folder, with its segmenter.
        work: Where run folders go.
        overrides: Further configuration, as on the command line.
    """

    def __init__(self, folder: Path, work: Path, overrides: Sequence[str] = ()) -> None:
        self.overrides = [
            *("MODEL.WEIGHTS", str(folder), "SEGMENTER.WEIGHTS", str(folder / "segmenter")),
            *("SEGMENTER.NAME", "throughput", "EVAL.FRESH", "True", *overrides),
        ]
        self.work = work
        self.processes = start_processes("cpu", 0, 600)
        self.models = Models(self.processes.device)
        self._runs = itertools.count()

    def close(self) -> None:
        """Ends what was started."""
        stop_processes(self.processes)

    def task(self, load: str, ids: Sequence[str] = ()) -> Any:
        """Returns the engine's task of a load, of some samples or of all."""
        extra = ["DATASETS.TEST", f"throughput_{load}", "EVAL.RUN_DIR", str(self.work / load)]
        if ids:
            self.work.mkdir(parents=True, exist_ok=True)
            chosen = self.work / f"{load}.ids"
            chosen.write_text("\n".join(ids) + "\n", encoding="utf-8")
            extra += ["EVAL.SAMPLES", f"@{chosen}"]
        overrides = [*self.overrides, *extra]
        return make_tasks(lambda benchmark: get_cfg([str(CONFIG)], overrides, None, benchmark))[0]

    def merged(self, task: Any) -> bool:
        """Says whether the model has folded PLoRA into a weight of its own for image tokens."""
        modules = self.models.get(task.cfg).architecture.modules()
        return any(getattr(module, "merged", None) is not None for module in modules)

    def run(self, task: Any) -> Result:
        """Evaluates a task; its time is the engine's loop, from images to stored answers."""
        model = self.models.get(task.cfg)
        meter, memory = Meter(), Memory()
        by_prompt: dict[str, list[int]] = {}
        # the processes' board counts what was handed out under the task's number
        task = replace(task, number=next(self._runs))
        cpu = time.process_time()
        with _watched(model.architecture, meter, by_prompt), redirect_stdout(io.StringIO()):
            code = run_task(task, model, self.processes)
        cpu = time.process_time() - cpu
        if code:
            raise RuntimeError(f"{task.name} ended with exit code {code}")
        folder = Path(task.cfg.EVAL.RUN_DIR)
        timings = json.loads((folder / "results.json").read_text(encoding="utf-8"))["timings"]
        lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        tokenize = model.architecture.tokenize
        answers = {
            r["sample_id"]: by_prompt.get(" ".join(map(str, tokenize(r["prompt"]))), [])
            for r in rows
        }
        parts: dict[str, float] = dict(meter.seconds)
        parts["segmentation"] = timings["seconds_by_part"].get("segmentation", 0.0)
        parts["tokens"] = timings["seconds_by_part"].get("tokens", 0.0)
        parts["rest"] = timings["seconds"] - sum(parts.values())
        return Result(
            len(rows),
            timings["seconds"],
            cpu,
            parts,
            dict(meter.tokens),
            memory.peak(),
            answers,
            {r["sample_id"]: r["answer"] for r in rows},
        )


@contextmanager
def _watched(architecture: Any, meter: Meter, by_prompt: dict[str, list[int]]) -> Iterator[None]:
    """Counts the decoder's tokens and seconds by part, and keeps answers by their whole prompt."""
    generate, forward, fill = (
        composition.generate_shared,
        decoding.forward_rows,
        PrefillCache.fill,
    )

    given = signature(generate)

    def kept(*args: Any, **kwargs: Any) -> list[list[int]]:
        with meter.timed("decode"):
            rows = generate(*args, **kwargs)
        keys = given.bind(*args, **kwargs).arguments["keys"]
        by_prompt.update(zip(keys, rows, strict=True))
        return rows

    def counted(llm: Any, cache: Any, input_ids: torch.Tensor, keep: int = 1) -> torch.Tensor:
        part = "suffix" if cache.used == 0 else "decode"
        meter.tokens[part] += input_ids.numel()
        if part == "decode":
            return forward(llm, cache, input_ids, keep)
        begin = time.perf_counter()
        logits = forward(llm, cache, input_ids, keep)
        spent = time.perf_counter() - begin
        meter.seconds["suffix"] += spent
        meter.seconds["decode"] -= spent
        return logits

    def filled(cache: PrefillCache, body: Any, **inputs: Any) -> None:
        meter.tokens["prefill"] += inputs["inputs_embeds"].shape[:2].numel()
        with meter.timed("prefill"):
            fill(cache, body, **inputs)

    with ExitStack() as stack:
        stack.enter_context(replaced(composition, "generate_shared", kept))
        stack.enter_context(replaced(decoding, "forward_rows", counted))
        stack.enter_context(replaced(PrefillCache, "fill", filled))
        see = meter.wrap(architecture.embed_images, "vision")
        stack.enter_context(replaced(architecture, "embed_images", see))
        yield
