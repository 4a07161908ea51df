"""The Predictor on the built-in model: every form of image, lists, pictures, bad input."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import inspect
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, get_type_hints
from urllib.parse import quote

import numpy as np
import pytest
import torch
from PIL import Image

import collavo
from collavo.cli.main import main
from collavo.config import get_cfg
from collavo.datasets.mappers import fetched
from collavo.datasets.mappers.given import image_ref
from collavo.datasets.registration.catalog import samples_of
from collavo.engine.images import visual_of
from collavo.engine.plan import MAX_QUESTIONS
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.modeling.architectures.base import Generation
from collavo.modeling.llms.chat_templates import get_chat_template
from collavo.modeling.segmenters.base import Segmenter
from collavo.predictor import GenerationSettings, Prediction, Predictor
from collavo.records import ImageRef, Segment, Segments
from collavo.registry import PIPELINES

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
    ref = image_ref(form)
    return (
        visual_of(ref, predictor.model.mapper, predictor.architecture.prepare)
        .tensors["pixel_values"]
        .numpy()
    )


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
    assert stream.tell() > 0  # as it is after writing: at the end
    encoded = base64.b64encode(stream.getvalue()).decode()
    pixels = torch.from_numpy(array.copy())
    forms = [
        str(tmp_path / "a.png"),
        tmp_path / "a.png",
        stream.getvalue(),
        bytearray(stream.getvalue()),
        memoryview(stream.getvalue()),
        stream,
        (tmp_path / "a.png").open("rb"),
        f"data:image/bmp;base64,{encoded}",
        f"DATA:;BASE64,{encoded[:40]}\n{quote(encoded[40:])}",
        f"data:image/bmp,{quote(stream.getvalue())}",
        image,
        opaque,
        pixels,
        pixels.permute(2, 0, 1),
        pixels.permute(2, 0, 1).float() / 255,
        (pixels.permute(2, 0, 1).double() / 255).requires_grad_(),
        ImageRef(path=tmp_path / "a.png"),
    ]
    pixels = [seen(predictor, form) for form in [array, *forms]]
    assert all(np.array_equal(pixels[0], p) for p in pixels)
    expected = predictor(array, "Why?").answer
    assert [p.answer for p in predictor(forms, "Why?")] == [expected] * len(forms)
    forms[6].close()


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
    tensor = torch.from_numpy(array)[..., 0].float() / 255
    for form in (deep, tensor, tensor[None], tensor[..., None]):
        assert np.array_equal(seen(predictor, flat), seen(predictor, form))


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
    with pytest.raises(DataError, match="a question is text, not a int"):
        predictor(array, 3)  # type: ignore[call-overload]
    with pytest.raises(DataError, match="half a surrogate pair"):
        predictor(array, ["Why?", "Why \ud800?"])


CLOSED = Image.new("RGB", (4, 4))
CLOSED.close()


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"shape \(1, 3, 8, 8\).*without a batch axis"),
        (torch.zeros(8, 8, 8), r"shape \(8, 8, 8\)"),
        (torch.zeros(3, 0, 8), r"shape \(3, 0, 8\)"),
        (torch.full((3, 8, 8), -1.5), "values from -1.5 to -1.5.*before a model's normalisation"),
        (torch.full((3, 8, 8), float("nan")), "nan"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "torch.int64; it has to be uint8"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8 \(0, 8, 3\)"),
        (np.zeros((3, 8, 9), np.uint8), r"uint8 \(3, 8, 9\)"),
        ("data:image/png;base64", "no comma"),
        ("data:image/png;base64,a*b", "cannot be decoded"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/png;base64,AAAA", "#0 is no JPEG, PNG"),
        (io.BytesIO(), "is empty"),
        (io.StringIO("text"), "gives text, not bytes: open it in binary mode"),
        (torch.zeros(3, 8, 8).to_sparse(), "sparse or on"),
        (torch.zeros(3, 8, 8, device="meta"), "the device meta"),
        (Image.new("RGB", (0, 4)), "mode RGB and 0 x 4 pixels cannot be read: .*empty"),
        (Image.new("RGBA", (4, 4)).convert("RGBa").convert("La"), "mode La and 4 x 4 pixels"),
        (CLOSED, "cannot be read: Operation on closed image"),
        ("", "'' is no path of an image; one in base64 is given as a data URI"),
        ("a\0b", "no path of an image"),
        ("iVBORw0KGgo" * 500, r"'iVBORw.*\.\.\. \(5,500 letters\)' is no path of an image"),
        (f"{'iVBORw0K/' * 90}", r"image iVBORw.*\.\.\. \(810 letters\) is not there"),
        (" data:image/png;base64,", "is empty"),
        ("ftp://host/a.png", "begins with http:// or https://, not with 'ftp://'"),
        ("file:///etc/a.png", "files are given by their path"),
        ("https://me:key@host/a.png?token=key", "https://host/a.png is a URL.*urls=True"),
        (" HTTP://host:80/a.png\n", "the image http://host:80/a.png is a URL.*urls=True"),
        ("http://host:99999/a.png", "address cannot be read: Port out of range"),
        ([[0, 1], [2, 3]], "not a list"),
        ({"bytes": b""}, "not a dict"),
    ],
)
def test_images_that_are_none(predictor: Predictor, form: object, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        predictor([form], "Why?")  # type: ignore[list-item]
    assert "key" not in str(caught.value) and len(str(caught.value)) < 400


def test_a_closed_stream_is_said(predictor: Predictor) -> None:
    stream = io.BytesIO(b"x")
    stream.close()
    with pytest.raises(DataError, match="stream cannot be read: .*closed"):
        predictor(stream, "Why?")


class Pages(BaseHTTPRequestHandler):
    """Answers with an image, a way to it, or worse."""

    png = b""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.split("?")[0].replace("%20%C3%BC", "")
        moved = {"/moved": "/a.png", "/astray": "file:///etc/passwd", "/ftp": "ftp://127.0.0.1/a"}
        self.send_response(200 if name in ("/a.png", "/large") else 302 if name in moved else 404)
        if name in moved:
            self.send_header("Location", moved[name])
        self.end_headers()
        with contextlib.suppress(OSError):  # who has enough hangs up
            self.wfile.write(self.png * (4 if name == "/large" else 1))

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def pages(array: np.ndarray) -> Iterator[str]:
    """A server on this machine; its address."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, format="PNG")
    Pages.png = stream.getvalue()
    Pages.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_urls_are_fetched_where_they_are_allowed(
    pages: str, predictor: Predictor, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="urls=True"):
        predictor(f"{pages}/a.png", "Why?")
    assert Pages.asked == []
    monkeypatch.setattr(predictor, "urls", True)
    expected = predictor(array, "Why?").answer
    found = predictor([f"{pages}/a.png?token=s"] * 2, "Why?")
    assert [p.answer for p in found] == [expected] * 2
    assert found[0].image.label == f"{pages}/a.png"
    assert Pages.asked == ["/a.png?token=s"]
    assert predictor(f"{pages}/moved", "Why?").answer == expected
    for name in ("absent", "astray", "ftp"):
        with pytest.raises(DataError, match=f"/{name} cannot be downloaded: ") as caught:
            predictor(f"{pages}/{name}?token=secret", "Why?")
        assert "secret" not in str(caught.value)
    assert predictor(f" {pages}/a ü.png#top\n", "Why?").answer == expected
    with pytest.raises(DataError, match="behind a user name and password, which are not sent"):
        predictor(pages.replace("//", "//me:secret@") + "/a.png", "Why?")
    with pytest.raises(DataError, match="cannot be downloaded"):
        predictor("http://127.0.0.1:1/a.png", "Why?")
    monkeypatch.setattr(fetched, "MOST_BYTES", 3 * len(Pages.png))
    with pytest.raises(DataError, match=r"/large has more than [\d,]+ bytes"):
        predictor(f"{pages}/large", "Why?")


def test_generation_settings_of_one_call(array: np.ndarray, predictor: Predictor) -> None:
    before = predictor.generation
    longer = predictor(array, "Describe the image.", max_new_tokens=24).answer
    assert len(predictor(array, "Describe the image.", max_new_tokens=1).answer) < len(longer)
    given = Generation(num_beams=1, max_new_tokens=24)
    assert predictor(array, "Describe the image.", given).answer == longer
    assert predictor(array, "Describe the image.", generation=given, num_beams=1).answer == longer
    drawn = [
        predictor(
            array, "Describe the image.", given, do_sample=True, temperature=9.0, seed=k
        ).answer
        for k in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert predictor.generation == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_tokens": 3}, "GENERATION.MAX_TOKENS.*Did you mean: GENERATION.MAX_NEW_TOKENS"),
        ({"num_beams": 0}, "GENERATION.NUM_BEAMS cannot be 0"),
        ({"num_beams": "many"}, "GENERATION.NUM_BEAMS cannot be 'many'"),
        ({"top_p": 1.5}, "GENERATION.TOP_P cannot be 1.5"),
        ({"temperature": 0.0}, "GENERATION.TEMPERATURE cannot be 0.0"),
        ({"max_new_tokens": 10**9}, "GENERATION.MAX_NEW_TOKENS cannot be 1000000000"),
        ({"num_beams": 10**6}, "GENERATION.NUM_BEAMS cannot be 1000000"),
        ({"generation": Generation(num_beams=0)}, "GENERATION.NUM_BEAMS cannot be 0"),
        ({"generation": {"num_beams": 1}}, "a collavo.Generation, not a dict; .*num_beams=1"),
        ({"stop": "never"}, "GENERATION.STOP cannot be 'never'.*'turn_end', 'original'"),
        ({"do_sample": 2}, "GENERATION.DO_SAMPLE cannot be 2"),
        ({"seed": "x"}, "RANDOM_SEED cannot be 'x'"),
    ],
)
def test_generation_settings_are_checked(
    predictor: Predictor, array: np.ndarray, settings: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        predictor(array, "Why?", **settings)


def test_generation_settings_are_the_fields_of_generation(
    predictor: Predictor, array: np.ndarray
) -> None:
    fields = dataclasses.asdict(predictor.generation)
    assert set(GenerationSettings.__annotations__) == set(fields)
    assert predictor(array, "Why?", **fields).answer == predictor(array, "Why?").answer


def test_hints_are_real_types() -> None:
    for function in (Predictor.__init__, Predictor.from_pretrained, Predictor.__call__):
        hints = get_type_hints(function)
        assert hints and "Any" not in str(hints), hints
        assert set(hints) >= set(inspect.signature(function).parameters) - {"self"}
    assert "Any" not in str(get_type_hints(Prediction))
    assert {"Predictor", "Prediction", "Generation"} <= set(dir(collavo))
    assert collavo.Predictor is Predictor and collavo.Generation is Generation


def test_one_line_and_a_page(predictor: Predictor, array: np.ndarray) -> None:
    found = predictor(array, "<b>Is</b> there\n\x1b[31ma & dog? " + "long " * 50)
    found = dataclasses.replace(found, answer="<script>'\n\"</script>")
    for text in (repr(predictor), repr(found), repr([found])):
        assert text.isprintable() and len(text) < 400
    assert repr(found).startswith("Prediction(answer='<script>")
    assert "objects=2" in repr(found)
    page = found._repr_html_()
    assert "<script" not in page and "<b>Is" not in page
    assert "&lt;script&gt;&#x27;\n&quot;&lt;/script&gt;" in page
    assert "&lt;b&gt;Is&lt;/b&gt; there" in page and "a &amp; dog?" in page
    picture = Image.open(io.BytesIO(base64.b64decode(page.split("base64,")[1].split('"')[0])))
    assert picture.format == "PNG" and picture.width > picture.height
    named = dataclasses.replace(found, image=ImageRef(data=found.image.read(), name='"><script>'))
    assert "<script" not in named._repr_html_()


def test_the_answers_are_those_of_eval(tmp_path: Path, no_root: None) -> None:
    """All of a benchmark's greedy answers, several questions an image, and one by one."""
    words = ["DATASETS.TEST", "pope_test", "SAVE_DIR", str(tmp_path), "DEVICE", "cpu"]
    words += ["GENERATION.NUM_BEAMS", "1", "GENERATION.MAX_NEW_TOKENS", "12", "VIS.SAMPLES", "0"]
    assert main(["eval", "--limit", "12", "--overrides", *words]) == 0
    (file,) = tmp_path.rglob("predictions.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    samples = {s.sample_id: s for s in samples_of("pope_test")}
    predictor = Predictor(
        get_cfg(overrides=["GENERATION.NUM_BEAMS", 1, "GENERATION.MAX_NEW_TOKENS", 12, *words[4:6]])
    )
    images = [samples[row["sample_id"]].images[0] for row in rows]
    questions = [PIPELINES.get("pope")().prompt(samples[row["sample_id"]]) for row in rows]
    found = predictor(images, questions)
    assert [p.answer for p in found] == [row["answer"] for row in rows]
    assert [p.crayon_text for p in found] == [row["crayon_text"] for row in rows]
    assert predictor(images[3], questions[3]).answer == rows[3]["answer"]


@pytest.mark.parametrize("reuse", ["prefix", "vision", "none"])
def test_questions_of_earlier_calls_are_forgotten(array: np.ndarray, reuse: str) -> None:
    """Of an image with very many questions, too, whose prompts are kept while they are asked."""
    keys = {**QUICK, "EVAL.REUSE": reuse, "GENERATION.MAX_NEW_TOKENS": 1}
    predictor = Predictor(get_cfg(config_overrides=keys), segmenter=TwoDogs((16, 16)))
    count = MAX_QUESTIONS + 1 if reuse == "prefix" else 3
    for word in ("dog", "cat"):
        found = predictor(array, [f"{word} {n}?" for n in range(count)])
        assert [p.question for p in found] == [f"{word} {n}?" for n in range(count)]
        assert all(f"{word} {n}?" in p.prompt for n, p in enumerate(found))


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


def test_generation_of_one_call(predictor: Predictor, array: np.ndarray) -> None:
    long = predictor(array, "Why?", max_new_tokens=12, num_beams=2)
    assert predictor.generation.max_new_tokens == 4
    cfg = get_cfg(
        config_overrides={**QUICK, "GENERATION.MAX_NEW_TOKENS": 12, "GENERATION.NUM_BEAMS": 2}
    )
    other = Predictor(cfg, predictor.architecture, predictor.segmenter)
    assert long.answer == other(array, "Why?").answer
