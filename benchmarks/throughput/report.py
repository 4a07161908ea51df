"""The benchmark's state as tables."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.throughput.measure import prefix_flops
from benchmarks.throughput.model import read
from benchmarks.throughput.plugin import LOADS

PARTS = ("images", "segmentation", "tokens", "vision", "prefill", "suffix", "decode", "rest")
IMAGE_TOKENS = 1225


def machine() -> dict[str, Any]:
    """Names the machine and the versions."""
    import torch
    import transformers

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def summary(blocks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums the blocks of one load."""
    questions = sum(b["questions"] for b in blocks)
    original = sum(b["original"]["seconds"] for b in blocks)
    ours = sum(_mean(o["seconds"] for o in b["ours"]) for b in blocks)
    cpu = sum(b["original"]["cpu_seconds"] for b in blocks)
    ours_cpu = sum(_mean(o["cpu_seconds"] for o in b["ours"]) for b in blocks)
    return {
        "questions": questions,
        "images": sum(b["images"] for b in blocks),
        "different": sum(len(b["different"]) for b in blocks),
        "wrong": sum(d.get("decided") != "ours" for b in blocks for d in b["different"]),
        "distinct_answers": len(
            {tuple(a) for b in blocks for a in b["original"]["answers"].values()}
        ),
        "original_s": original / questions,
        "ours_s": ours / questions,
        "ratio": original / ours,
        "cpu_ratio": cpu / ours_cpu,
        "original_parts": _parts([b["original"] for b in blocks], questions),
        "ours_parts": _parts([o for b in blocks for o in b["ours"]], questions, 0.5),
        "original_tokens": _tokens([b["original"] for b in blocks], 1),
        "ours_tokens": _tokens([o for b in blocks for o in b["ours"]], 0.5),
        "original_peak": max(b["original"]["peak_bytes"] for b in blocks),
        "ours_peak": max(o["peak_bytes"] for b in blocks for o in b["ours"]),
        "matmul_peak": max(p for b in blocks for p in b["matmul_peak"]),
        "merged": all(b.get("merged", False) for b in blocks),
        "load_average": _mean(x for b in blocks for x in b["load_average"]),
    }


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def _parts(
    results: Sequence[dict[str, Any]], questions: int, weight: float = 1.0
) -> dict[str, float]:
    """Milliseconds a question by part."""
    return {
        part: 1e3 * weight * sum(r["parts"].get(part, 0.0) for r in results) / questions
        for part in PARTS
    }


def _tokens(results: Sequence[dict[str, Any]], weight: float) -> dict[str, int]:
    names = ("prefill", "suffix", "decode")
    return {n: round(weight * sum(r["tokens"].get(n, 0) for r in results)) for n in names}


def prefill_share(found: dict[str, Any], rank: int) -> float:
    """Share of the measured matrix-product peak that the prefixes' prefill reaches."""
    length = found["ours_tokens"]["prefill"] / found["images"]
    low_rank = 0 if found["merged"] else rank
    flops = prefix_flops(read("collavo.json"), low_rank, round(length), IMAGE_TOKENS)
    seconds = found["ours_parts"]["prefill"] / 1e3 * found["questions"] / found["images"]
    return flops / seconds / found["matmul_peak"]


INTRODUCTION = """# Throughput against the original's algorithm

Written by `python benchmarks/eval_throughput.py`; the machine is named at the end.

The model is CoLLaVO at the size of `configs/bench`: hidden 512, 8 layers, 8 heads / 2 kv, FFN
1,536, vocabulary 2,000, 490 px = 1,225 image tokens, CLIP of 2 layers x 256, Mask2Former with Swin
embed 48 and 100 queries, all drawn at random, float32. Answers are 5 tokens with 3 beams, and end
at `</s>` and the end of turn in both ways.

*original* is the original's algorithm, written plainly in `benchmarks/throughput/original*.py` and
checked against the golden cases: per batch of 5 questions Mask2Former and the crayon's projector,
then for each beam CLIP, its projector and the whole prefill, with eager attention, logits at all
positions, PLoRA by boolean masks, the crayon's term on all cells in all layers, repeated keys and
values, and a cache that is concatenated and reordered whole. *ours* is the toolkit's engine as
`lbk_entry.py eval` runs it. Both read the same checkpoint and images. They take turns on blocks of
questions: ours, original, ours again; ours is the mean of its two. Time excludes loading the model
and scoring.

Drawn weights find no object. Both ways run Mask2Former and then get the same planted logits for
the same pixels, with 8 to 13 segments, which makes a crayon text of 70 to 100 tokens.

An answer is different if any of its token ids is. Where one is, a beam search in float64 with
nothing shared decides which of the two is right (`benchmarks/throughput/exact.py`). Tokens are
counted as they pass the decoder.
"""


def markdown(state: dict[str, Any]) -> str:
    """Renders everything that was measured."""
    lines: list[str] = [INTRODUCTION]
    for rank, loads in _by_rank(state["blocks"]).items():
        lines += [f"## PLoRA rank {rank}", "", *_speed(loads, rank), "", *_parts_table(loads), ""]
        lines += _tokens_table(loads)
        lines.append("")
    for title in ("bf16", "profile", "processes", "memory"):
        if title in state:
            lines += [f"## {title}", "", *_facts(state[title]), ""]
    if "machine" in state:
        lines += ["## Machine", "", *_facts(state["machine"]), ""]
    return "\n".join(lines)


def _by_rank(blocks: dict[str, Any]) -> dict[int, dict[str, Any]]:
    grouped: dict[int, dict[str, list[Any]]] = {}
    for name, block in blocks.items():
        rank, load, _ = name.split("/")
        grouped.setdefault(int(rank[1:]), {}).setdefault(load, []).append(block)
    return {
        rank: {load: summary(found) for load, found in loads.items()}
        for rank, loads in grouped.items()
    }


def _speed(loads: dict[str, Any], rank: int) -> list[str]:
    rows = [
        "| load | questions / images | original, s a question | ours | ratio "
        "| ratio of processor time | different answers | other than float64's | distinct answers "
        "| prefill of peak "
        "| peak memory original / ours | load average |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for load, s in loads.items():
        rows.append(
            f"| {load} ({LOADS[load]} an image) | {s['questions']} / {s['images']} "
            f"| {s['original_s']:.2f} | {s['ours_s']:.4f} | **{s['ratio']:.1f}x** "
            f"| {s['cpu_ratio']:.1f}x | {s['different']} | {s['wrong']} "
            f"| {s['distinct_answers']} | {prefill_share(s, rank):.0%} "
            f"| {s['original_peak'] / 1e6:.0f} / {s['ours_peak'] / 1e6:.0f} MB "
            f"| {s['load_average']:.1f} |"
        )
    return rows


def _parts_table(loads: dict[str, Any]) -> list[str]:
    rows = ["| ms a question | " + " | ".join(PARTS) + " |", "|---" * (len(PARTS) + 1) + "|"]
    for load, s in loads.items():
        for way in ("original", "ours"):
            cells = (f"{s[f'{way}_parts'][part]:.1f}" for part in PARTS)
            rows.append(f"| {load}, {way} | " + " | ".join(cells) + " |")
    return rows


def _tokens_table(loads: dict[str, Any]) -> list[str]:
    rows = ["| token positions | prefill | of it question suffixes | decode |", "|---|---|---|---|"]
    for load, s in loads.items():
        theirs, ours = s["original_tokens"], s["ours_tokens"]
        rows.append(f"| {load}, original | {theirs['prefill']:,} | | {theirs['decode']:,} |")
        rows.append(
            f"| {load}, ours | {ours['prefill'] + ours['suffix']:,} | {ours['suffix']:,} "
            f"| {ours['decode']:,} |"
        )
    return rows


def _facts(facts: dict[str, Any]) -> list[str]:
    return [
        f"- {name.replace('_', ' ')}: {', '.join(v) if isinstance(v, list) else v}"
        for name, v in facts.items()
    ]
