"""One process of the proof that an idle adapter stays as it is; see test_side_optimizer.py.

`python sides_worker.py OUT single|ddp|zero2 [checkpoint]` trains a small Llama with PLoRA and two
adapters for a few steps and writes, for each step, the hash of all that belongs to each side:
weights, moments, step counts. Rank and world come from the environment.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from transformers import LlamaConfig, LlamaForCausalLM

from collavo.engine.training.side_optimizer import SideAdamW
from collavo.modeling.adapters.dual_lora import add_adapters
from collavo.modeling.adapters.injection import Injection, InjectionState
from collavo.modeling.adapters.switch import AdapterSwitch, adapter_of
from collavo.modeling.adapters.targets import add_plora, plora_linears

KINDS = ("image", "vl", "vl", "image", "image", "vl", "vl", "image")
PARTS = 4  # micro-batches of a step, over all processes
CLIP = 0.05  # small enough to clip in every step
SPAN = (1, 5)
SIDES = ("", "image", "vl")


class Body(torch.nn.Module):
    """A decoder with a trained prompt besides its adapters, as the crayon's tables are."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=40,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
        )
        self.llm = LlamaForCausalLM(config)
        self.llm.requires_grad_(False)
        self.state = InjectionState()
        add_plora(self.llm, self.state, 3)
        for _, linear in plora_linears(self.llm):
            torch.nn.init.normal_(linear.up.weight, std=0.1)
            linear.requires_grad_(False)
        add_adapters(self.llm, rank=2, alpha=4)
        for name, p in self.llm.named_parameters():
            if ".lora_B." in name:
                torch.nn.init.normal_(p, std=0.1)
        self.prompt = torch.nn.Parameter(torch.randn(SPAN[1] - SPAN[0], 16))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        embeds = self.llm.get_input_embeddings()(ids)
        start, end = SPAN
        middle = (embeds[:, start:end] + self.prompt).to(embeds.dtype)
        embeds = torch.cat([embeds[:, :start], middle, embeds[:, end:]], 1)
        with self.state.injection(Injection(SPAN, batch=len(ids), length=ids.shape[1])):
            logits = self.llm(inputs_embeds=embeds, use_cache=False).logits
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten()
        )


def start(mode: str) -> Accelerator:
    handlers: list[Any] = [DistributedDataParallelKwargs(find_unused_parameters=True)]
    options: dict[str, Any] = {}
    if mode == "zero2":
        from accelerate import DeepSpeedPlugin

        config = {
            "zero_optimization": {"stage": 2},
            "zero_allow_untested_optimizer": True,
            "zero_force_ds_cpu_optimizer": False,
            "train_micro_batch_size_per_gpu": 1,
            "gradient_accumulation_steps": PARTS // 2,  # of each of two processes
            "gradient_clipping": CLIP,
        }
        options["deepspeed_plugin"] = DeepSpeedPlugin(hf_ds_config=config)
        limit = timedelta(seconds=300)
        handlers = [InitProcessGroupKwargs(backend="gloo", timeout=limit)]
    else:
        options["cpu"] = True
    accelerator = Accelerator(kwargs_handlers=handlers, **options)
    wanted = {"single": "NO", "ddp": "MULTI_CPU", "zero2": "DEEPSPEED"}[mode]
    assert accelerator.distributed_type.value == wanted, accelerator.distributed_type
    return accelerator


def groups_of(model: Body) -> list[dict[str, Any]]:
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for n, p in named if adapter_of(n) == side], "side": side} for side in SIDES
    ]


def digest(tensors: list[torch.Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def snapshot(model: Body, inner: SideAdamW) -> dict[str, list[str]]:
    """For each side the hashes of its weights and of what the optimiser holds of it."""
    out = {}
    for group in inner.param_groups:
        side = group["side"]
        weights = [p for n, p in model.named_parameters() if p.requires_grad]
        names = [n for n, p in model.named_parameters() if p.requires_grad]
        own = [w for n, w in zip(names, weights, strict=True) if adapter_of(n) == side]
        held = [p.detach() for p in group["params"]]
        held += [v for p in group["params"] for _, v in sorted(inner.state.get(p, {}).items())]
        out[side] = [digest(own), digest(held)]
    return out


def batch(step: int, part: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1000 * step + part)
    return torch.randint(0, 40, (1, 9), generator=draw)


def main(out: str, mode: str, checkpointing: bool) -> None:
    accelerator = start(mode)
    rank, world = accelerator.process_index, accelerator.num_processes
    model = Body().train()
    if checkpointing:
        model.state.checkpoint_layers(model.llm)
    switch = AdapterSwitch(model.llm)
    inner = SideAdamW(groups_of(model), lr=1e-2, weight_decay=0.1)
    wrapped, optimizer = accelerator.prepare(model, inner)
    mine = [part for part in range(PARTS) if part % world == rank]
    steps = [snapshot(model, inner)]
    losses, idle, norms = [], [], []
    for step, kind in enumerate(KINDS):
        switch.train_only(kind)
        inner.active_side = kind
        total = 0.0
        for i, part in enumerate(mine):
            last = i == len(mine) - 1
            accelerator.gradient_state._set_sync_gradients(last)
            alone = mode == "ddp" and not last
            with accelerator.no_sync(wrapped) if alone else nullcontext():
                loss = wrapped(batch(step, part))
                # DDP and DeepSpeed average over processes, DeepSpeed over micro-batches as well.
                accelerator.backward(loss if mode == "zero2" else loss / len(mine))
            total += float(loss.detach())
        other = [n for n, _ in model.named_parameters() if adapter_of(n) not in ("", kind)]
        found = dict(model.named_parameters())
        idle.append(sum(found[n].grad is not None for n in other))
        if mode != "zero2":
            norms.append(float(accelerator.clip_grad_norm_(model.parameters(), CLIP)))
            optimizer.step()
            optimizer.zero_grad()
        else:
            norms.append(float(wrapped.get_global_grad_norm()))
        losses.append(total)
        steps.append(snapshot(model, inner))
    final = {n: p.detach().flatten().tolist() for n, p in model.named_parameters()}
    report = {
        "steps": steps,
        "losses": losses,
        "idle_gradients": idle,
        "norms": norms,
        "final": {n: v for n, v in final.items() if "lora" in n or n == "prompt"},
    }
    Path(out, f"{mode}-{rank}-of-{world}.json").write_text(json.dumps(report), encoding="utf-8")
    accelerator.end_training()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "checkpoint" in sys.argv[3:])
