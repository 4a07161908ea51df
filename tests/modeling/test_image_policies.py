"""Image policies: what becomes of an image's pixels, and what batches are made of."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPImageProcessor

from collavo.errors import DataError
from collavo.modeling.image_policies.base import VisualInput, stacked
from collavo.modeling.image_policies.resize import resize
from collavo.modeling.image_policies.square import PadToSquare, ShortestEdgeCrop, Squash
from collavo.registry import IMAGE_POLICIES

MEAN = (0.48145466, 0.4578275, 0.40821073)


def noise(width: int, height: int) -> Image.Image:
    drawn = np.random.default_rng(width * height).integers(0, 256, (height, width, 3))
    return Image.fromarray(drawn.astype(np.uint8))


def pixels(visual: VisualInput) -> np.ndarray:
    assert visual.picture is not None
    assert torch.equal(visual.picture, visual.tensors["pixel_values"])
    return visual.picture.permute(1, 2, 0).numpy()


def pattern(width: int, height: int) -> Image.Image:
    """Colours by whole-number arithmetic, the same with every library."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    channels = (x * 7 + y * 13 + x * y * 3, x * x + 5 * y, y * y * 11 + x * 3)
    return Image.fromarray(np.stack([c % 256 for c in channels], 2).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "side", "bilinear", "bicubic"),
    [
        ((640, 480), 490, "5406cca22119ecfd", "89830c54ae4459a1"),
        ((480, 640), 490, "4b13f3915d8f488e", "338028e122772fca"),
        ((333, 1000), 490, "3e63885c5902c838", "69938a0ba4016437"),
        ((1000, 333), 336, "7f0e816271989ec7", "e58aaf50b4a7ac36"),
        ((224, 224), 490, "f28ca876666b3d0f", "fe98885cfec52c5e"),
        ((4000, 3000), 336, "9b9392566d60c0dc", "f0de92b5b52127a5"),
        ((37, 211), 224, "eed87fc76e12275c", "f5eb4b13019258d1"),
        ((512, 511), 448, "7808fcebdfba0b02", "a94b3b935f4f61bd"),
    ],
)
def test_resized_pixels_are_those_of_pillow_up_to_12(
    size: tuple[int, int], side: int, bilinear: str, bicubic: str
) -> None:
    """The sha256 of what Pillow 12.3.0's own `resize` gives in one call."""
    for name, digest in (("BILINEAR", bilinear), ("BICUBIC", bicubic)):
        made = resize(pattern(*size), (side, side), Image.Resampling[name])
        assert hashlib.sha256(made.tobytes()).hexdigest()[:16] == digest


def test_squashing_is_bilinear_and_leaves_what_fits() -> None:
    visual = Squash(28, 4)(noise(50, 30))
    expected = resize(noise(50, 30), (28, 28), Image.Resampling.BILINEAR)
    assert np.array_equal(pixels(visual), np.asarray(expected))
    assert (visual.num_tokens, visual.shape_key) == (4, (3, 28, 28))
    same = noise(30, 30)
    assert np.array_equal(pixels(Squash(30, 4)(same)), np.asarray(same))


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (21, 40), (40, 40)])
def test_padding_is_centred_in_the_mean_colour(size: tuple[int, int]) -> None:
    found = pixels(PadToSquare(40, 4, MEAN)(noise(*size)))
    fill = [int(channel * 255) for channel in MEAN]
    left, top = (40 - size[0]) // 2, (40 - size[1]) // 2
    inside = found[top : top + size[1], left : left + size[0]]
    assert np.array_equal(inside, np.asarray(noise(*size)))
    outside = np.ones((40, 40), dtype=bool)
    outside[top : top + size[1], left : left + size[0]] = False
    assert all(pixel.tolist() == fill for pixel in found[outside])


@pytest.mark.parametrize("size", [(50, 30), (30, 50), (28, 28), (29, 61), (14, 90)])
def test_cropping_is_clip_s_own(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    own = CLIPImageProcessor(
        size={"shortest_edge": 28}, crop_size=28, do_rescale=False, do_normalize=False
    )
    in_one_call = Image.Image.resize

    def as_up_to_12(image: Image.Image, size: tuple[int, int], *how: Any, **more: Any) -> Any:
        wide = in_one_call(image, (size[0], image.height), *how, **more)
        return in_one_call(wide, size, *how, **more)

    with monkeypatch.context() as patched:  # the processor calls Pillow, of whatever version
        patched.setattr(Image.Image, "resize", as_up_to_12)
        expected = own(noise(*size), return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    assert np.array_equal(pixels(ShortestEdgeCrop(28, 4)(noise(*size))), expected)


def test_only_equal_shapes_are_stacked() -> None:
    small, large = Squash(28, 4)(noise(9, 9)), Squash(14, 1)(noise(9, 9))
    assert stacked([small, small], "pixel_values", "cpu").shape == (2, 3, 28, 28)
    with pytest.raises(DataError, match=r"images of 2 shapes \(\(3, 14, 14\), \(3, 28, 28\)\)"):
        stacked([small, large], "pixel_values", "cpu")


def test_policies_are_registered() -> None:
    assert list(IMAGE_POLICIES) == ["crop", "pad", "squash"]


STD = (0.26862954, 0.26130258, 0.27577711)
POLICIES = {"pad": PadToSquare, "square": ShortestEdgeCrop}


def originals(folder: Path) -> Iterator[tuple[str, Path, torch.Tensor]]:
    """Policy, image and the original's normalised pixels, (3, S, S), of a golden folder."""
    if (folder / "preprocess" / "images.json").exists():
        order = json.loads((folder / "preprocess" / "images.json").read_text())["order"]
        found = load_file(folder / "preprocess" / "pixel_values.safetensors")
        for policy in POLICIES:
            for name, values in zip(order, found[f"pixel_values_{policy}"], strict=True):
                yield policy, folder / "preprocess" / name, values
        return
    for key, values in load_file(folder / "preprocess.safetensors").items():
        policy, name = key.split(".")
        if policy in POLICIES:
            yield policy, folder / "images" / f"{name}.png", values


@pytest.mark.parametrize("system", ["llava15_a", "mmfuser_a", "convllava_a", "xmodel_a"])
def test_pixels_are_the_originals(shared: Path, system: str) -> None:
    cases = list(originals(shared / "golden" / system))
    assert len({path for _, path, _ in cases}) >= 2
    for policy, path, values in cases:
        side = values.shape[-1]
        wanted = (
            values * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
        ) * 255
        with Image.open(path) as image:
            made = POLICIES[policy](side, 1, MEAN)(image.convert("RGB")).picture
        assert made is not None
        assert torch.equal(made, wanted.round().to(torch.uint8)), (policy, path.name)


def test_squashed_pixels_are_the_originals(shared: Path) -> None:
    folder = shared / "golden" / "codefuse_a" / "preprocess"
    values = load_file(folder / "case.safetensors")
    files = sorted(folder.glob("*.png"))
    assert len(files) == 4
    for number, path in enumerate(files):
        with Image.open(path) as image:
            made = np.array(resize(image.convert("RGB"), (448, 448), Image.Resampling.BICUBIC))
        wanted = values[f"resized_uint8_448_every4.{number}"].numpy()
        assert np.array_equal(made[::4, ::4], wanted.transpose(1, 2, 0)), path.name


def test_no_other_preprocessing_resamples(repository: Path) -> None:
    calls = re.compile(r"\.(resize|thumbnail)\(|ImageOps\.(fit|contain|cover|pad|scale)\(")
    for folder in ("collavo/engine", "datasets", "modeling", "benchmarks"):
        for file in (repository / folder).rglob("*.py"):
            if file.parts[-2:] == ("image_policies", "resize.py"):
                continue
            for line in file.read_text(encoding="utf-8").splitlines():
                # by the nearest pixel both orders are one
                assert not calls.search(line) or "NEAREST" in line, f"{file}: {line.strip()}"
