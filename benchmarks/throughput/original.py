"""The original CoLLaVO's way through a question, written plainly, for comparison.

Per batch of questions, each with an image of its own: Mask2Former, crayon on every cell, then
transformers' beam search, which expands the batch to its beams before CLIP, both projectors and the
whole prefill, with logits at every position.

Source: CoLLaVO commit fb419fa, arch_collavo.py and the pipelines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    DynamicCache,
    GenerationConfig,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from benchmarks.throughput.measure import Meter
from benchmarks.throughput.original_llm import Decoder
from collavo.modeling.image_policies.resize import resize

VIT = "vit.vision_tower.vision_model."
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


class OriginalConfig(PreTrainedConfig):
    """What transformers' generate asks of a configuration."""

    model_type = "original_collavo"


class OriginalModel(PreTrainedModel, GenerationMixin):
    """CLIP, two projectors, crayon tables and the PLoRA decoder.

    Args:
        fields: The published config's fields.
        rank: PLoRA's rank.
    """

    config_class = OriginalConfig

    def __init__(self, fields: dict[str, Any], rank: int) -> None:
        names = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
        super().__init__(OriginalConfig(**{name: fields[name] for name in names}))
        vision = {**fields["vision_config"], "attn_implementation": "eager"}
        width, channels = fields["hidden_size"], vision["hidden_size"]
        self.model = Decoder(fields, rank)
        self.output = nn.Linear(width, fields["vocab_size"], bias=False)
        self.vision_proj = projector(channels, width)
        self.vision_proj_for_seg = projector(channels, width)
        self.seg_prompt_embed = nn.Embedding(134, channels)
        self.seg_num_embed = nn.Embedding(21, channels)
        self.vit = CLIPVisionModel(CLIPVisionConfig(**vision))
        self.image_token_id = fields["vocab_size"]
        self.meter = Meter()
        self.generation_config = GenerationConfig()

    @classmethod
    def load(cls, folder: Path) -> OriginalModel:
        """Reads a checkpoint in the published format."""
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        state = {
            name: value.float() for name, value in load_file(folder / "model.safetensors").items()
        }
        rank = state["model.layers.0.attention.wo.Plora_A.weight"].shape[0]
        model = cls(fields, rank).eval()
        tower = {k.removeprefix(VIT): state.pop(k) for k in list(state) if k.startswith(VIT)}
        body = getattr(model.vit, "vision_model", model.vit)
        body.load_state_dict(tower)
        rest = model.load_state_dict(state, strict=False)
        assert not rest.unexpected_keys, rest.unexpected_keys
        assert all(name.startswith("vit.") for name in rest.missing_keys), rest.missing_keys
        return model

    def forward(
        self,
        input_ids: Tensor,
        text_mask: Tensor,
        past_key_values: DynamicCache,
        pixel_values: Tensor,
        im_mask: Tensor,
        seg_values: tuple[Tensor],
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        begin = time.perf_counter()
        if input_ids.shape[1] == 1 and past_key_values.get_seq_length():
            part, embeds, seg = "decode", self.model.tok_embeddings(input_ids), None
            new = self.attention_mask.new_ones(len(input_ids), 1)
            self.attention_mask = torch.cat((self.attention_mask, new), dim=1)
            im_mask = torch.zeros_like(input_ids, dtype=torch.bool)
        else:
            part, visual = "prefill", self._see(pixel_values)
            self.meter.seconds["vision"] += time.perf_counter() - begin
            begin = time.perf_counter()
            embeds, self.attention_mask = self._merge(input_ids, text_mask, visual)
            (seg,) = seg_values
            seg = seg.repeat_interleave(len(embeds) // len(seg), dim=0)
        self.meter.tokens[part] += embeds.shape[0] * embeds.shape[1]
        hidden = self.model(embeds, self.attention_mask, im_mask, seg, past_key_values)
        logits = self.output(hidden).float()
        self.meter.seconds[part] += time.perf_counter() - begin
        return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)

    def prepare_inputs_for_generation(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, input_ids: Tensor, past_key_values: DynamicCache, **kwargs: Any
    ) -> dict[str, Any]:
        if past_key_values.get_seq_length():
            input_ids = input_ids[:, -1:]
        return {"input_ids": input_ids, "past_key_values": past_key_values, **kwargs}

    def _see(self, pixel_values: Tensor) -> Tensor:
        mean, std = (torch.tensor(x).view(3, 1, 1) * 255 for x in (MEAN, STD))
        pixels = ((pixel_values.float() - mean) / std).to(self.output.weight.dtype)
        states = self.vit(pixel_values=pixels, output_hidden_states=True).hidden_states
        return self.vision_proj(states[-1][:, 1:])

    def _merge(self, ids: Tensor, mask: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Replaces each row's image id by its visual tokens; rows are padded on the left."""
        rows, masks = [], []
        for row, row_mask, image in zip(ids, mask, visual, strict=True):
            at = int((row == self.image_token_id).nonzero())
            text = self.model.tok_embeddings(row)
            rows.append(torch.cat((text[:at], image, text[at + 1 :])))
            seen = row_mask.new_ones(len(image))
            masks.append(torch.cat((row_mask[:at], seen, row_mask[at + 1 :])))
        return torch.stack(rows), torch.stack(masks)

    def crayon(self, semantic: Tensor, number: Tensor) -> Tensor:
        """Projects every cell's class and number: (B, cells, width)."""
        cells = self.seg_prompt_embed(semantic.flatten(1)) + self.seg_num_embed(number.flatten(1))
        return self.vision_proj_for_seg(cells)

    @torch.no_grad()
    def answer(
        self,
        prompts: Sequence[Sequence[int]],
        pixel_values: Tensor,
        semantic: Tensor,
        number: Tensor,
        generation: dict[str, Any],
        visual_tokens: int,
    ) -> list[list[int]]:
        """Generates the new token ids of a batch of prompts, each with its own image."""
        begin = time.perf_counter()
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
        im_mask = torch.zeros(len(ids), longest - 1 + visual_tokens, dtype=torch.bool)
        for row, at in enumerate((ids == self.image_token_id).int().argmax(1).tolist()):
            im_mask[row, at : at + visual_tokens] = True
        seg = self.crayon(semantic, number)
        self.meter.seconds["vision"] += time.perf_counter() - begin
        new = self.generate(  # pyright: ignore[reportAttributeAccessIssue]
            input_ids=ids,
            attention_mask=mask,
            text_mask=mask,  # generate leaves out a mask of ones
            pixel_values=pixel_values,
            im_mask=im_mask,
            seg_values=(seg,),
            do_sample=False,
            early_stopping=False,
            use_cache=True,
            pad_token_id=0,
            **generation,
        )[:, longest:].tolist()
        return [cut(row, generation["eos_token_id"]) for row in new]


def projector(inputs: int, outputs: int) -> nn.Sequential:
    """Two linears with GELU between."""
    return nn.Sequential(nn.Linear(inputs, outputs), nn.GELU(), nn.Linear(outputs, outputs))


def cut(row: list[int], ends: Sequence[int]) -> list[int]:
    """Drops what follows the first end token."""
    for place, token in enumerate(row):
        if token in ends:
            return row[: place + 1]
    return row


def read_image(path: Path, size: int) -> Tensor:
    """Reads an image and squashes it to a square: uint8 (3, size, size)."""
    with Image.open(path) as image:
        small = resize(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    return (
        torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
        .view(size, size, 3)
        .permute(2, 0, 1)
        .contiguous()
    )
