"""The Predictor on the built-in model: every form of image, lists, pictures, bad input."""

from __future__ import annotations

import base64
import html
import io
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import collavo
from collavo.config import get_cfg
from collavo.datasets.mappers import given
from collavo.datasets.mappers.given import image_ref
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.segmenters.base import Segmenter
from collavo.predictor import Prediction, Predictor
from collavo.records import ImageRef, Segment, Segments

QUICK = {"GENERATION.MAX_NEW_TOKENS": 4, "GENERATION.NUM_BEAMS": 1, "DEVICE": "cpu"}


class TwoDogs(Segmenter):
    """A segmenter double: two dogs, left and right, in every image."""

    class_names = tuple(["person"] * 16 + ["dog"] + ["tree"] * 116)

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid
        self.seen = 0

    def segment(self, images: torch.Tensor, refs: object = None) -> list[Segments]:
        self.seen += len(images)
        ids = torch.ones(self.grid, dtype=torch.int32)
        ids[:, self.grid[1] // 2 :] = 2
        return [Segments(ids, (Segment(1, 16), Segment(2, 16))) for _ in images]

    def fingerprint(self) -> str:
        return "two dogs"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    cfg = get_cfg(config_overrides=QUICK)
    made = Predictor(cfg, segmenter=TwoDogs((16, 16)))
    return made


def seen(predictor: Predictor, form: object) -> np.ndarray:
    """The pixels that the model takes of an image."""
    return predictor._visual(image_ref(form)).tensors["pixel_values"].numpy()


@pytest.fixture(scope="module")
def array() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_a_prediction_holds_all_that_led_to_it(predictor: Predictor, array: np.ndarray) -> None:
    found = predictor(array, "Is there a dog?")
    assert isinstance(found, Prediction)
    assert found.crayon_text == (
        "The image includes (#1 dog) [0.00, 0.00, 0.50, 1.00], (#2 dog) [0.50, 0.00, 1.00, 1.00]."
    )
    assert found.prompt == get_chat_template("collavo").render("Is there a dog?", found.crayon_text)
    assert found.crayon is not None
    assert found.crayon.semantic.shape == (1, 16, 16)
    assert set(found.crayon.semantic.unique().tolist()) == {17}
    assert set(found.crayon.number.unique().tolist()) == {1, 2}
    assert found.question == "Is there a dog?"
    assert isinstance(found.answer, str)
    picture = found.draw()
    assert picture.width > picture.height
    assert picture.convert("L").getextrema()[1] == 255


def test_every_form_of_an_image_gives_the_same(
    predictor: Predictor, array: np.ndarray, tmp_path: Path
) -> None:
    image = Image.fromarray(array)
    image.save(tmp_path / "a.png")
    stream = io.BytesIO()
    image.save(stream, format="BMP")
    opaque = np.concatenate([array, np.full((40, 60, 1), 255, np.uint8)], axis=2)
    forms = [
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        stream.getvalue(),
        image,
        opaque,
        ImageRef(path=tmp_path / "a.png"),
    ]
    pixels = [seen(predictor, form) for form in [array, *forms]]
    assert all(np.array_equal(pixels[0], p) for p in pixels)
    expected = predictor(array, "Why?").answer
    assert [p.answer for p in predictor(forms, "Why?")] == [expected] * len(forms)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I", "I;16", "F", "CMYK", "YCbCr"])
def test_modes_of_images(predictor: Predictor, array: np.ndarray, mode: str) -> None:
    grey = np.asarray(Image.fromarray(array).convert("L"))
    if mode.startswith("I"):
        image = Image.fromarray(grey.astype(np.uint16) * 257).convert(mode)
    else:
        image = Image.fromarray(array).convert(mode)
    pixels = seen(predictor, image)
    plain = seen(predictor, grey if mode[0] in "IF" else image.convert("RGB"))
    assert np.abs(pixels.astype(int) - plain).mean() < 1


def test_grey_arrays(predictor: Predictor, array: np.ndarray) -> None:
    flat, deep = array[..., 0], array[..., :1]
    assert np.array_equal(seen(predictor, flat), seen(predictor, deep))


def test_the_orientation_of_an_opened_photograph_is_kept(array: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.fromarray(array).save(tmp_path / "a.jpg", exif=exif)
    from collavo.datasets.mappers.image import open_image

    with Image.open(tmp_path / "a.jpg") as photograph:
        assert open_image(image_ref(photograph)).size == (40, 60)


def test_lists_are_paired_and_images_computed_once(predictor: Predictor, array: np.ndarray) -> None:
    other = array[::-1].copy()
    seen = predictor.segmenter.seen  # type: ignore[union-attr]
    found = predictor(array, ["Is there a dog?", "Is there a cat?", "Why?"])
    assert predictor.segmenter.seen == seen + 1  # type: ignore[union-attr]
    alone = [predictor(array, q).answer for q in ("Is there a dog?", "Is there a cat?", "Why?")]
    assert [p.answer for p in found] == alone
    pairs = predictor([array, other, array], ["Why?", "Why?", "Is there a dog?"])
    assert [p.answer for p in pairs] == [alone[2], predictor(other, "Why?").answer, alone[0]]
    assert predictor([], []) == predictor(array, []) == predictor([], "Why?") == []


def test_what_is_no_image_or_question_is_refused(predictor: Predictor, array: np.ndarray) -> None:
    with pytest.raises(DataError, match="2 images came with 3 questions"):
        predictor([array, array], ["a", "b", "c"])
    with pytest.raises(DataError, match=r"float64 \(40, 60, 3\); it has to be uint8"):
        predictor(array / 255, "Why?")
    with pytest.raises(DataError, match="not a NoneType"):
        predictor(None, "Why?")  # type: ignore[call-overload]
    with pytest.raises(DataError, match="a question is text, not a int"):
        predictor(array, [3])  # type: ignore[list-item]
    with pytest.raises(DataError, match="nowhere.png is not there"):
        predictor("nowhere.png", "Why?")
    with pytest.raises(DataError, match="<image>"):
        predictor(array, "<image> Why?")


def test_the_configuration_decides(array: np.ndarray) -> None:
    keys = {**QUICK, "CRAYON.TEMPLATE": "demo", "CRAYON.MODE": "none"}
    bare = Predictor(get_cfg(config_overrides=keys))
    assert bare.segmenter is None
    found = bare(array, "Why?")
    assert found.prompt == get_chat_template("collavo_demo").render("Why?")
    assert (found.crayon, found.crayon_text, found.segments) == (None, "", None)
    assert found.draw().size == (60, 40)


def test_the_ordinary_way_in(array: np.ndarray, caplog: pytest.LogCaptureFixture) -> None:
    made = collavo.Predictor.from_pretrained(settings=QUICK)
    if getattr(made.architecture, "untrained", False):
        assert "the model is untrained" in caplog.text
    found = made(array, "Is there a dog?")
    assert found.segments is not None
    assert found.crayon_text.startswith(("The image includes (#1 ", "None of detailed object"))


def test_the_demos_settings() -> None:
    cfg = get_cfg("collavo_demo.yaml")
    assert (cfg.LLM.BITS, cfg.CRAYON.TEMPLATE, cfg.GENERATION.DO_SAMPLE) == (4, "demo", True)
    assert (cfg.GENERATION.TEMPERATURE, cfg.GENERATION.TOP_P) == (0.9, 0.95)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="no such folder"):
        Predictor.from_pretrained(tmp_path / "nowhere", settings=QUICK)
    with pytest.raises(ConfigError, match="LLM.BITS"):
        Predictor.from_pretrained(settings={**QUICK, "LLM.BITS": 3})


def test_further_forms_of_an_image(predictor: Predictor, array: np.ndarray) -> None:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    encoded = base64.b64encode(stream.getvalue()).decode()
    stream.seek(0)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    forms = [stream, f"data:image/png;base64,{encoded}", tensor, tensor.clone()]
    expected = seen(predictor, array)
    for form in forms:
        assert np.array_equal(seen(predictor, form), expected)
    assert np.array_equal(seen(predictor, tensor[0]), seen(predictor, array[..., 0]))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.zeros(3, 4, 5), r"torch.float32 \(3, 4, 5\); it has to be torch.uint8"),
        (torch.zeros(2, 4, 5, dtype=torch.uint8), "1, 3 or 4 channels"),
        (io.StringIO("x"), "binary mode"),
        ("data:image/png;base64,@@", "cannot be decoded"),
        ("data:image/png", "has no comma"),
        ("https://there/a.png", "nothing is downloaded unasked: give urls=True"),
    ],
)
def test_what_is_no_image_is_named(image: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        image_ref(image)


def test_urls_are_downloaded_where_they_may_be(
    array: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(array).save(tmp_path / "a.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        found = image_ref(f"{url}/a.png", urls=True)
        assert found.read() == (tmp_path / "a.png").read_bytes() and found.label == f"{url}/a.png"
        with pytest.raises(DataError, match="cannot be downloaded: .*404"):
            image_ref(f"{url}/b.png", urls=True)
        monkeypatch.setattr(given, "MOST_BYTES", 10)
        with pytest.raises(DataError, match="more than 10 bytes"):
            image_ref(f"{url}/a.png", urls=True)
        server.shutdown()


def test_generation_of_one_call(predictor: Predictor, array: np.ndarray) -> None:
    long = predictor(array, "Why?", max_new_tokens=12, num_beams=2)
    assert predictor.generation.max_new_tokens == 4
    cfg = get_cfg(
        config_overrides={**QUICK, "GENERATION.MAX_NEW_TOKENS": 12, "GENERATION.NUM_BEAMS": 2}
    )
    other = Predictor(cfg, predictor.architecture, predictor.segmenter)
    assert long.answer == other(array, "Why?").answer
    with pytest.raises(ConfigError, match="GENERATION.BEAMS.*Did you mean: GENERATION.NUM_BEAMS"):
        predictor(array, "Why?", beams=3)
    with pytest.raises(ConfigError, match="GENERATION.NUM_BEAMS cannot be 0"):
        predictor(array, "Why?", num_beams=0)


def test_how_a_prediction_is_shown(predictor: Predictor, array: np.ndarray) -> None:
    found = predictor(array, "Is <b> bold?\nYes?")
    assert "\n" not in repr(found) and repr(found).startswith("Prediction(")
    assert len(repr(found)) < 200
    shown = found._repr_html_()
    assert "Is &lt;b&gt; bold?" in shown and html.escape(found.answer) in shown
    picture = base64.b64decode(shown.partition("base64,")[2].partition('"')[0])
    assert max(Image.open(io.BytesIO(picture)).size) <= 800


def test_what_python_sees() -> None:
    assert "Predictor" in dir(collavo)
    code = (
        "from collavo.datasets.registration.catalog import DatasetCatalog\n"
        "print(len(DatasetCatalog.get('pope_test')) > 0)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "True\n"
