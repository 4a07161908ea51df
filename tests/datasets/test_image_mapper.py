"""Opening images of every mode, and refusing those that cannot be opened."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from collavo.datasets.mappers import image as image_module
from collavo.datasets.mappers.image import open_image
from collavo.datasets.mappers.vqa import ImageMapper
from collavo.errors import DataError
from collavo.records import ImageRef

RED, GREEN, BLUE = (200, 30, 40), (20, 180, 60), (10, 50, 220)


def _picture() -> Image.Image:
    """Three wide by two high: red, green, blue over black, white, grey."""
    image = Image.new("RGB", (3, 2))
    for x, colour in enumerate((RED, GREEN, BLUE)):
        image.putpixel((x, 0), colour)
    for x, level in enumerate((0, 255, 128)):
        image.putpixel((x, 1), (level, level, level))
    return image


def _encoded(image: Image.Image, kind: str = "PNG", **options: object) -> ImageRef:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return ImageRef(data=buffer.getvalue(), name="the picture")


def _pixels(ref: ImageRef) -> np.ndarray:
    image = open_image(ref)
    assert image.mode == "RGB"
    return np.asarray(image)


def test_colour_and_alpha_modes_keep_their_colours() -> None:
    want = np.asarray(_picture())
    alpha = _picture().convert("RGBA")
    alpha.putalpha(Image.new("L", alpha.size, 7))
    palette = _picture().convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    table = bytes([0, 128] + [255] * 14)
    for ref in (
        _encoded(_picture()),
        _encoded(alpha),
        _encoded(palette),
        _encoded(palette, transparency=0),
        _encoded(palette, transparency=table),
        _encoded(palette, "GIF"),
        _encoded(_picture(), "WEBP", lossless=True),
        _encoded(_picture(), "TIFF"),
        _encoded(_picture(), "BMP"),
    ):
        assert np.array_equal(_pixels(ref), want)


def test_greyscale_modes_become_three_equal_channels() -> None:
    grey = _picture().convert("L")
    want = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    both = grey.convert("LA")
    assert np.array_equal(_pixels(_encoded(grey)), want)
    assert np.array_equal(_pixels(_encoded(both)), want)
    bilevel = _pixels(_encoded(_picture().convert("1")))
    assert set(np.unique(bilevel)) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_and_not_clipped(kind: str) -> None:
    levels = np.array([[0, 257, 128 * 257], [1000, 65535, 40000]], dtype=np.uint16)
    pixels = _pixels(_encoded(Image.fromarray(levels), kind))
    assert np.array_equal(pixels[..., 0], np.rint(levels / 257).astype(np.uint8))
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_wide_integers_and_floats_are_scaled() -> None:
    wide = np.array([[0, 65535 * 4]], dtype=np.int32)
    assert _pixels(_encoded(Image.fromarray(wide), "TIFF"))[0, :, 0].tolist() == [0, 255]
    unit = np.array([[0.0, 0.5, 1.0, np.nan]], dtype=np.float32)
    assert _pixels(_encoded(Image.fromarray(unit), "TIFF"))[0, :, 0].tolist() == [0, 128, 255, 0]
    bytes_ = np.array([[0.0, 200.4, 300.0]], dtype=np.float32)
    assert _pixels(_encoded(Image.fromarray(bytes_), "TIFF"))[0, :, 0].tolist() == [0, 200, 255]


def test_cmyk_is_converted() -> None:
    flat = Image.new("RGB", (16, 16), RED).convert("CMYK")
    pixels = _pixels(_encoded(flat, "JPEG", quality=100)).astype(int)
    assert np.abs(pixels - np.array(RED)).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation](np.asarray(_picture()))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(_pixels(_encoded(_picture(), exif=exif)), turned)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about the block
def test_a_broken_exif_block_does_not_lose_the_image() -> None:
    ref = _encoded(_picture(), exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7fgarbage")
    assert np.array_equal(_pixels(ref), np.asarray(_picture()))


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), c) for c in (RED, GREEN, BLUE)]
    ref = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert _pixels(ref)[0, 0].tolist() == list(RED)


def _png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
        + b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    )  # fmt: skip


@pytest.mark.parametrize("side", [9_460, 15_000, 60_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    ref = ImageRef(data=_png_header(side, side), name="bomb.png")
    with pytest.raises(DataError, match=r"image bomb\.png is too large: .*MAX_PIXELS"):
        open_image(ref)


def test_the_limit_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_module, "MAX_PIXELS", 5)
    with pytest.raises(DataError, match="too large: 3 x 2 pixels; at most 5 pixels"):
        open_image(_encoded(_picture()))


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = {k: _encoded(Image.fromarray(noise), k).read() for k in ("JPEG", "PNG", "WEBP", "GIF")}
    for number, (data, said) in enumerate(
        [
            (b"", r"is empty \(0 bytes\)"),
            (b"<html>404</html>", r"is no JPEG.* file; fetch it again$"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no JPEG"),
            *((data[: len(data) // 2], "image .* is") for data in whole.values()),
            (whole["JPEG"][:4], "image .* is"),
            (whole["PNG"][:40], "image .* is"),
        ]
    ):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(data)
        with pytest.raises(DataError, match=said) as caught:
            open_image(ImageRef(path=path))
        assert str(path) in str(caught.value)
    with pytest.raises(DataError, match=r"gone\.jpg is not there"):
        open_image(ImageRef(path=tmp_path / "gone.jpg"))
    with pytest.raises(DataError, match="cannot be read"):
        open_image(ImageRef(path=tmp_path))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about broken tags
def test_no_broken_image_ends_in_a_traceback() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (24, 24, 3), dtype=np.uint8)
    dice = np.random.default_rng(2)
    opened = refused = 0
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"):
        data = _encoded(Image.fromarray(noise), kind).read()
        for _ in range(40):
            broken = bytearray(data)
            for _ in range(4):
                broken[int(dice.integers(min(len(broken), 200)))] = int(dice.integers(256))
            try:
                open_image(ImageRef(data=bytes(broken), name="mutant"))
                opened += 1
            except DataError as error:
                assert "mutant" in str(error)
                refused += 1
    assert opened > 10
    assert refused > 10


def test_the_mapper_opens_images_as_they_are() -> None:
    picture = _picture()
    assert np.array_equal(np.asarray(ImageMapper(28)(_encoded(picture))), np.asarray(picture))
