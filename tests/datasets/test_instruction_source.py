"""Descriptions of sources, files of conversations, and every wrong row that they may hold."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.datasets.instruction import scan
from collavo.datasets.instruction.index import build_index
from collavo.datasets.instruction.llava import LlavaSource
from collavo.datasets.instruction.rows import measure, read_row, without_tags
from collavo.datasets.instruction.scan import scan_rows
from collavo.datasets.instruction.source import SourceSpec, parse_source
from collavo.errors import ConfigError, DataError, MissingFileError
from collavo.records import Turn
from tests.datasets.conversations import row, talk

pytestmark = pytest.mark.usefixtures("own_cache")

ROOT = Path("/data")


def opened(path: Path, **fields: Any) -> LlavaSource:
    return LlavaSource(parse_source({"path": str(path), **fields}))


def test_conversations_of_a_file(write: Callable[..., Path], tmp_path: Path) -> None:
    rows = [
        row(1),
        row(2, image=["x.png", "y.png"], conversations=talk("<image><image> Compare.", "Same ")),
        row(3, image=None, conversations=talk("Hi", "Hello 狗 é", "And?", "Bye")),
    ]
    source = opened(write(rows), kind="image", crayon_text=False, name="mine", images=tmp_path)
    first, second, third = source[0], source[1], source[2]
    assert first.sample_id == "mine:1" and first.task == "mine" and first.kind == "image"
    assert first.turns == (Turn("user", "What is 1?"), Turn("assistant", "A dog 1."))
    assert first.images[0].path == tmp_path / "a/1.jpg" and not first.crayon_text
    assert [i.label for i in second.images] == [str(tmp_path / n) for n in ("x.png", "y.png")]
    assert second.turns == (Turn("user", "Compare."), Turn("assistant", "Same "))
    assert [t.text for t in third.turns] == ["Hi", "Hello 狗 é", "And?", "Bye"]
    assert [source.num_images(i) for i in range(3)] == [1, 2, 0]
    assert [source.has_image(i) for i in range(3)] == [True, True, False]
    assert [source.num_turns(i) for i in range(3)] == [2, 2, 4]
    assert source.length(2) >= len("HiHello 狗 éAnd?Bye".encode()) and source.bad.count == 0
    again = pickle.loads(pickle.dumps(source))
    assert again[2] == third


@pytest.mark.parametrize("block", [1, 7, 64, 4 << 20])
@pytest.mark.parametrize("shape", ["array", "indented", "lines", "commas", "utf8"])
def test_rows_lie_where_the_index_says(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, block: int, shape: str
) -> None:
    monkeypatch.setattr(scan, "BLOCK", block)
    rows = [row(n, note='} ] " \\ 狗é😀\u2028' * n, deep=[{"a": [n, 1e5, None]}]) for n in range(6)]
    text = {
        "array": json.dumps(rows),
        "indented": json.dumps(rows, indent=1),
        "lines": "\n".join(json.dumps(r) for r in rows) + "\n\n",
        "commas": ",\r\n".join(json.dumps(r) for r in rows),
        "utf8": "\ufeff" + json.dumps(rows, ensure_ascii=False),
    }[shape]
    path = write(text)
    data = path.read_bytes()
    found = [json.loads(data[f.start : f.start + f.size]) for f in scan_rows(path)]
    assert found == rows


def test_ids_that_repeat_or_lack(write: Callable[..., Path]) -> None:
    rows = [row(1), row(2), row(1), row(1, id=7), row(1)]
    del rows[1]["id"]
    source = opened(write(rows))
    assert [source[i].sample_id for i in range(5)] == [
        *("data:1", "data:row2", "data:1#2", "data:7", "data:1#3"),
    ]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_ids_and_texts_beyond_ascii(write: Callable[..., Path], ascii_only: bool) -> None:
    rows = [row(1, id="狗"), row(2, id="é", image=None), row(1, id="狗")]
    rows[0]["conversations"][1]["value"] = "狗" * 20
    source = opened(write(rows, ensure_ascii=ascii_only))
    assert [source[i].sample_id for i in range(2)] == ["data:狗", "data:狗#2"]
    assert source.bad.first[0][0] == "data:é"
    assert source.length(0) >= 60 and source[0].turns[1].text == "狗" * 20


def test_half_a_character_is_no_fault(write: Callable[..., Path]) -> None:
    text = json.dumps([row(1, id="\ud83d")]).replace("A dog", "\\ud83d dog")
    source = opened(write(text))
    assert source[0].turns[1].text == "\ufffd dog 1." and source[0].sample_id == "data:\ufffd"


def test_the_index_is_kept_until_the_file_changes(
    write: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write([row(1), row(2)])
    first = opened(path)
    kept = list((tmp_path / "cache").rglob("*.safetensors"))
    assert len(kept) == 1
    stamp = kept[0].stat().st_mtime_ns
    assert opened(path).fingerprint() == first.fingerprint()
    assert kept[0].stat().st_mtime_ns == stamp
    write([row(10), row(2), row(3)])
    assert len(opened(path)) == 3 and opened(path).fingerprint() != first.fingerprint()
    for file in (tmp_path / "cache").rglob("*.safetensors"):
        file.write_bytes(b"broken")
    assert len(opened(path)) == 3
    assert "cannot be read" in caplog.text
    with pytest.raises(DataError, match="row 2: the file has changed since it was indexed"):
        first[1]


def test_a_cache_that_cannot_be_written_is_no_fault(
    write: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("COLLAVO_CACHE", str(tmp_path / "file"))
    assert len(opened(write([row(1)]))) == 1
    assert "cannot be kept at" in caplog.text


BAD_ROWS = [
    ({"conversations": None}, "'conversations' must be a list of turns; it has 'id', 'image'"),
    ({"conversations": []}, "'conversations' is empty"),
    ({"conversations": ["a"]}, "turn 1 must be an object with 'from' and 'value', got str 'a'"),
    ({"conversations": [{"value": "a"}]}, "turn 1 does not say who speaks: it has value"),
    ({"conversations": [{"from": "gpt4", "value": "a"}]}, "turn 1 is from str 'gpt4'; it may be"),
    ({"conversations": [{"from": "human", "value": 3}]}, "turn 1 must have a text in 'value'"),
    ({"conversations": talk("<image> a", "b")[::-1]}, "turn 1 is from the assistant and should be"),
    (
        {"conversations": [*talk("<image> a"), *talk("b")]},
        "turn 2 is from the user and should be from the assistant: the user begins",
    ),
    ({"conversations": talk("<image> a", "b", "c")}, "the last turn is the user's and has no ans"),
    ({"conversations": talk("<image> a", " \n")}, "turn 2 has no text"),
    ({"conversations": talk("", "b"), "image": None}, "turn 1 has no text"),
    ({"conversations": talk("<image> a", "see <image>")}, "turn 2 is an answer with '<image>'"),
    ({"conversations": talk("a", "b")}, "it has 1 images and 0 '<image>'; mark each image's place"),
    ({"image": None}, "it has 1 '<image>' and no 'image'; remove the tag or name the image"),
    ({"image": ["a.jpg", "b.jpg"]}, "it has 2 images and 1 '<image>'"),
    ({"image": ""}, "'image' is an empty path; name the image, or remove the field"),
    ({"image": 7}, "'image' must be a path or a list of paths, got int 7"),
    ({"image": "../a.jpg"}, "'image': image path '../a.jpg' leaves the dataset folder"),
    ({"image": "file:///etc/a.jpg"}, "name the folder that holds them as the source's images="),
    ({"image": "a/" * 2100}, "is no image path"),
    ({"image": "a\0.jpg"}, "is no image path"),
    ({"image": "https://x.org/a.jpg"}, "'image': images are not downloaded"),
    ({"image": "/etc/a.jpg"}, "'image': image path '/etc/a.jpg' leaves the dataset folder"),
]


@pytest.mark.parametrize("folder", ["images", "bilder é 狗"])
@pytest.mark.parametrize("escaped", [True, False])
def test_paths_below_the_image_folder_are_read(tmp_path: Path, folder: str, escaped: bool) -> None:
    """Absolute and with "..", by the rule that all data follow."""
    root = tmp_path / folder
    root.mkdir()
    paths = ["a.jpg", f"{root}/a.jpg", "x/../a.jpg", f"{root}/x/../a.jpg", f"../{folder}/a.jpg"]
    out = [f"{tmp_path}/a.jpg", f"{root}/../a.jpg", "x/../../a.jpg"]
    rows = [row(k, image=path) for k, path in enumerate([*paths, *out])]
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows, ensure_ascii=escaped), encoding="utf-8")
    source = opened(file, images=str(root))
    assert len(source) == len(paths) and source.bad.count == len(out)
    for k in range(len(paths)):
        found = source[k].images[0].path
        assert found is not None and found.parent.resolve() == root.resolve()
    assert all("leaves the dataset folder" in problem for _, problem in source.bad.first)


@pytest.mark.parametrize(("fields", "problem"), BAD_ROWS)
def test_a_bad_row_is_named_and_left_out(
    write: Callable[..., Path], fields: dict[str, Any], problem: str
) -> None:
    path = write([row(1), row(2, **fields), row(3)])
    source = opened(path)
    assert source.bad.count == 1 and len(source) == 2
    name, said = source.bad.first[0]
    assert name == "data:2" and problem in said
    assert [source[i].sample_id for i in range(2)] == ["data:1", "data:3"]
    assert opened(path).bad == source.bad


def test_the_quick_check_agrees_with_the_thorough_one() -> None:
    good = [
        row(1),
        row(1, image=None, conversations=talk("a", "b", "c", "d")),
        row(1, conversations=talk("<image>", "b")),
        row(1, images=["x"], image=None),
        row(1, conversations=[{"role": "user", "content": "<image>"}, *talk("x", "b")[1:]]),
    ]
    for values in [*good, *(row(2, **fields) for fields, _ in BAD_ROWS)]:
        quick, thorough = measure(values), read_row(values, ROOT)
        if quick is not None:
            assert not thorough.problem and quick[0] == len(thorough.images)
    assert all(not read_row(values, ROOT).problem for values in good)
    assert measure(good[0]) == (1, 2, len("<image>\nWhat is 1?A dog 1."))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<image>\nWhat?", "What?"),
        ("What?\n<image>", "What?"),
        ("See <image> here", "See here"),
        ("One\n<image>\nTwo", "One\nTwo"),
        ("<image><image> an imagem", "an imagem"),
        ("<image>", ""),
    ],
)
def test_only_tags_are_taken_out(text: str, expected: str) -> None:
    assert without_tags(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; fetch it again"),
        ('[{"id": 1}', "the text ends too early"),
        ('[{"id": 1},\n {"id": "2', "line 2: not a JSON list of objects: the text ends too early"),
        ('[{"id": 1}\n{"id": 2}]', r"line 2: .*expected ',' or '\]' after a row"),
        ('[{"id": 1}, 3]', "line 1: .*expected an object, near"),
        ('[{"id": 1}] x', "text follows the end of the list"),
        ('[{"id": 1},\n{"id": 2,,}' + " " * 99 + "]", "line 2: .*Expecting property name"),
        ('{"id": 1}\n]', "line 2: .*expected an object"),
    ],
)
def test_broken_files_are_named(write: Callable[..., Path], text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(DataError, match=message) as caught:
        build_index(path, ROOT)
    assert str(path) in str(caught.value)


def test_files_that_are_no_text_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'[{"id": "caf\xe9"}]')
    with pytest.raises(DataError, match="a byte near position 12 is not UTF-8"):
        build_index(tmp_path / "a.json", ROOT)
    with pytest.raises(MissingFileError, match="b.json is not there"):
        build_index(tmp_path / "b.json", ROOT)
    with pytest.raises(DataError, match="cannot read"):
        build_index(tmp_path, ROOT)


def test_an_image_folder_that_is_not_there(write: Callable[..., Path]) -> None:
    with pytest.raises(MissingFileError, match="source 'data': there is no image folder /none"):
        opened(write([row(1)]), images="/none")


def test_descriptions() -> None:
    text = "llava:/data/x y.json?images=/data&weight=2&kind=image&limit=5&crayon_text=False&name=n"
    expected = SourceSpec("n", "/data/x y.json", "/data", "image", 2.0, False, 5, "llava")
    assert parse_source(text) == expected == parse_source(expected)
    assert parse_source("/a/b.c.jsonl") == SourceSpec("b", "/a/b.c.jsonl", format="llava")
    mapping = {"path": "/a/panoptic_train2017.json", "weight": 3}
    crayon = parse_source(mapping)
    assert crayon.format == "panoptic" and crayon.kind == "image" and not crayon.crayon_text
    assert parse_source(mapping | {"crayon_text": True}).crayon_text
    made = parse_source("miniature:crayon?scenes=7")
    assert (made.name, made.kind, made.scenes) == ("miniature_crayon", "image", 7)
    assert parse_source("/a/folder").format == "auto" and parse_source("m.yaml").format == "mix"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("x.json?wieght=2", "no key 'wieght'; did you mean 'weight'?"),
        ({"path": "x", "zzz": 1}, "no key 'zzz'; it may have name, path, images"),
        ("x.json?weight", "'weight' is not key=value"),
        ("x.json?weight=much", "a source's weight is 'much'; it has to be of type float"),
        ("x.json?weight=-1", "source 'x': weight is -1.0; it has to be 0 or more"),
        ("x.json?weight=nan", "weight is nan"),
        ("x.json?limit=1.5", "limit is '1.5'; it has to be of type int"),
        ("x.json?limit=-2", "limit is -2; it may not be negative"),
        ("x.json?kind=text", "kind is 'text'; it may be vl or image"),
        ("x.json?format=csv", "format is 'csv'; it may be one of auto, llava, folder"),
        ({"path": "x", "crayon_text": "maybe"}, "crayon_text is 'maybe'"),
        ({"path": 7}, "path is 7; it has to be of type str"),
        ({"path": "x", "weight": True}, "weight is True"),
        ("", "has no path"),
        (["x"], "not a list"),
    ],
)
def test_wrong_descriptions_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        parse_source(given)
