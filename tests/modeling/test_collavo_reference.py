"""The model against the published algorithm written plainly on the checkpoint's own tensors.

The plain way is itself held against the original's numbers; then both run on other shapes.
Source of the algorithm: CoLLaVO commit fb419fa and its checkpoint's layout.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.architectures.published import VIT, published_shapes
from collavo.records import CrayonPrompt

Tensors = dict[str, Tensor]


def clip_features(t: Tensors, vision: dict, images: Tensor) -> Tensor:
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None] * 255
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None] * 255
    at = lambda name: t[f"{VIT}.{name}"]  # noqa: E731
    patches = F.conv2d(
        (images.float() - mean) / std,
        at("embeddings.patch_embedding.weight"),
        stride=vision["patch_size"],
    )
    x = patches.flatten(2).transpose(1, 2)
    first = at("embeddings.class_embedding").expand(len(x), 1, -1)
    x = torch.cat([first, x], 1) + at("embeddings.position_embedding.weight")
    width, heads = x.shape[-1], vision["num_attention_heads"]

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (width,), at(f"{name}.weight"), at(f"{name}.bias"), 1e-5)

    def dense(name: str, x: Tensor) -> Tensor:
        return x @ at(f"{name}.weight").T + at(f"{name}.bias")

    x = norm("pre_layrnorm", x)
    for i in range(vision["num_hidden_layers"]):
        layer = f"encoder.layers.{i}"
        y = norm(f"{layer}.layer_norm1", x)
        q, k, v = (
            dense(f"{layer}.self_attn.{n}_proj", y).unflatten(2, (heads, -1)).transpose(1, 2)
            for n in "qkv"
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(width // heads)
        y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        x = x + dense(f"{layer}.self_attn.out_proj", y)
        y = dense(f"{layer}.mlp.fc1", norm(f"{layer}.layer_norm2", x))
        y = y * torch.sigmoid(1.702 * y) if vision["hidden_act"] == "quick_gelu" else F.gelu(y)
        x = x + dense(f"{layer}.mlp.fc2", y)
    return x[:, 1:]


def mlp(t: Tensors, name: str, x: Tensor) -> Tensor:
    x = F.gelu(x @ t[f"{name}.0.weight"].T + t[f"{name}.0.bias"])
    return x @ t[f"{name}.2.weight"].T + t[f"{name}.2.bias"]


def rotate(x: Tensor, theta: float) -> Tensor:
    """RoPE by the physical index, x (B, heads, S, d)."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[2])[:, None] * theta ** -(torch.arange(half) / half)
    cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def logits_of(t: Tensors, config: dict, ids: Tensor, mask: Tensor, images: Tensor, maps: Tensor):
    """Logits over the expanded, left-padded sequences; one image a row."""
    vision, heads = config["vision_config"], config["num_attention_heads"]
    kv_heads, eps = config["num_key_value_heads"], config["rms_norm_eps"]
    visual = mlp(t, "vision_proj", clip_features(t, vision, images))
    cells = t["seg_prompt_embed.weight"][maps[0]] + t["seg_num_embed.weight"][maps[1]]
    seg = mlp(t, "vision_proj_for_seg", cells.flatten(1, 2)).flatten(0, 1)
    rows, seen, is_image = [], [], []
    for i, row in enumerate(ids):
        at = int((row == config["vocab_size"]).nonzero())
        text = t["model.tok_embeddings.weight"][row]
        rows.append(torch.cat([text[:at], visual[i], text[at + 1 :]]))
        ones = torch.ones(len(visual[i]))
        seen.append(torch.cat([mask[i, :at], ones, mask[i, at + 1 :]]).bool())
        where = torch.zeros(len(rows[-1]), dtype=torch.bool)
        where[at : at + len(visual[i])] = True
        is_image.append(where)
    x, seen, is_image = torch.stack(rows), torch.stack(seen), torch.stack(is_image)

    def plora(name: str, x: Tensor, with_seg: bool) -> Tensor:
        w = lambda part: t[f"{name}.Plora_{part}.weight"]  # noqa: E731
        y = x @ w("main").T
        y[is_image] = y[is_image] + x[is_image] @ w("A").T @ w("B").T
        if with_seg:
            y[is_image] = y[is_image] + seg @ w("seg_A").T @ w("seg_B").T
        return y

    def norm(name: str, x: Tensor) -> Tensor:
        return t[name] * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))

    size = x.shape[1]
    allowed = torch.ones(size, size).tril().bool() & seen[:, None, None]
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        y = norm(f"{layer}.attention_norm.weight", x)
        packed = plora(f"{layer}.attention.wqkv", y, True)
        packed = packed.unflatten(2, (kv_heads, heads // kv_heads + 2, -1))
        q = rotate(packed[..., :-2, :].flatten(2, 3).transpose(1, 2), config["rope_theta"])
        k = rotate(packed[..., -2, :].transpose(1, 2), config["rope_theta"])
        v = packed[..., -1, :].transpose(1, 2)
        k, v = (z.repeat_interleave(heads // kv_heads, 1) for z in (k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(~allowed, -1e30).softmax(-1)
        y = (weights @ v).transpose(1, 2).flatten(2)
        x = x + plora(f"{layer}.attention.wo", y, True)
        y = norm(f"{layer}.ffn_norm.weight", x)
        gate = F.silu(plora(f"{layer}.feed_forward.w1", y, True))
        y = gate * plora(f"{layer}.feed_forward.w3", y, True)
        x = x + plora(f"{layer}.feed_forward.w2", y, False)
    return norm("model.norm.weight", x) @ t["output.weight"].T, seen


def test_the_plain_way_gives_the_original_s_numbers(golden: Path) -> None:
    folder = golden / "collavo_a"
    config = json.loads((folder / "config.json").read_text())
    case = load_file(folder / "case.safetensors")
    maps = torch.stack([case["crayon_semantic"], case["crayon_number"]]).long()
    inputs = (case["input_ids"], case["attention_mask"], case["image_uint8"], maps)
    found, seen = logits_of(load_file(folder / "model.safetensors"), config, *inputs)
    assert torch.equal(seen, case["valid"])
    assert float((found[:, -10:] - case["text_logits"]).abs().max()) < 1e-4
    assert float((found.abs().mean(-1) - case["mean_abs_logits"]).abs()[seen].max()) < 1e-4


SHAPES = [
    # heads, kv heads, width, hidden, layers, rank, image px, patch, rows, activation
    (4, 4, 24, 40, 2, 5, 56, 14, 3, "quick_gelu"),
    (6, 1, 36, 20, 1, 36, 48, 8, 2, "gelu"),
    (8, 2, 32, 96, 3, 1, 70, 14, 4, "quick_gelu"),
]


@pytest.mark.parametrize("shape", SHAPES, ids=[f"{s[0]}-{s[1]}-{s[6]}" for s in SHAPES])
def test_other_shapes_agree_too(tmp_path: Path, shape: tuple) -> None:
    heads, kv_heads, width, hidden, layers, rank, pixels, patch, rows, act = shape
    config = {
        "hidden_size": width,
        "intermediate_size": hidden,
        "max_position_embeddings": 4096,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "num_key_value_heads": kv_heads,
        "pad_token_id": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 3000.0,
        "vocab_size": 50,
        "vision_config": {
            "hidden_size": 12,
            "intermediate_size": 20,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "hidden_act": act,
            "image_size": pixels,
            "patch_size": patch,
        },
    }
    draw = torch.Generator().manual_seed(heads)
    held = {
        name: torch.randn(size, generator=draw) * (0.3 if len(size) > 1 else 1.0)
        for name, size in published_shapes(config, rank).items()
    }
    save_file(held, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = CoLLaVO.from_pretrained(tmp_path, device="cpu")
    length, side = 14, pixels // patch
    ids = torch.randint(3, 50, (rows, length), generator=draw)
    mask = torch.ones(rows, length, dtype=torch.long)
    for row in range(rows):
        pad = 2 * row
        mask[row, :pad], ids[row, :pad] = 0, 2
        ids[row, pad + row % 3] = 50
    images = torch.randint(0, 256, (rows, 3, pixels, pixels), generator=draw, dtype=torch.uint8)
    maps = torch.randint(0, 21, (2, rows, side, side), generator=draw)
    maps[:, 0] = 0  # a row without any object
    with torch.no_grad():
        crayon = CrayonPrompt(maps[0], maps[1], [None] * rows)
        found = model(ids, model.squares(images), crayon, mask).logits
    expected, seen = logits_of(held, config, ids, mask, images, maps)
    scale = float(expected[seen].abs().max())
    torch.testing.assert_close(found[seen], expected[seen], atol=2e-5 * scale, rtol=1e-4)
