"""Decides near-ties: the beam search in float64, nothing shared, each step a whole forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from benchmarks.throughput.measure import replaced
from benchmarks.throughput.ours_run import OursRunner
from collavo.modeling.ops.beam_search import BeamSearch


def exact_answer(folder: Path, work: Path, load: str, sample_id: str) -> list[int]:
    """Returns the token ids that float64 gives for one question.

    Two beams that lie closer than float32's rounding may go either way in float32; here the
    rounding is a billion times smaller.

    Args:
        folder: The model's folder.
        work: Where the run folder goes.
        load: The load that the question is of.
        sample_id: The question.
    """
    runner = OursRunner(folder, work / "exact", ("EVAL.REUSE", "none", "LLM.MERGE", "off"))
    task = runner.task(load, [sample_id])
    model = runner.models.get(task.cfg).architecture
    caught: list[Any] = []
    generate = type(model).generate

    def catching(self: Any, *given: Any) -> Any:
        caught.append(given)
        return generate(self, *given)

    with replaced(type(model), "generate", catching):
        runner.run(task)
    runner.close()
    prompts, visuals, crayon, generation = caught[0]
    ends = model.stop_ids(generation)
    exact = _search(
        deepcopy(model).double(), list(prompts[0]), visuals[0], crayon, generation, ends
    )
    return [token for token in exact if token not in ends]


@torch.no_grad()
def _search(
    model: Any, prompt: list[int], visuals: Any, crayon: Any, generation: Any, ends: Sequence[int]
) -> list[int]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # the search keeps its scores in it
    try:
        search = BeamSearch(1, generation, ends, "cpu")
        rows: list[list[int]] = [[]]
        while True:
            logits = torch.cat(
                [
                    model(torch.tensor([prompt + row]), visuals, crayon, logits_to_keep=1).logits[0]
                    for row in rows
                ]
            )
            tokens, parents = search.step(logits.double())
            if not search.open_questions():
                return search.results()[0]
            kept = parents.tolist() if len(rows) > 1 else [0] * len(tokens)
            rows = [[*rows[p], t] for p, t in zip(kept, tokens.tolist(), strict=True)]
    finally:
        torch.set_default_dtype(before)
