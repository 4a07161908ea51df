"""Rows as people write them: nothing of them is guessed, and nothing left out without a word."""

from __future__ import annotations

import base64
import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collavo.datasets.evaluation.generic_multi_choice import letters_in
from collavo.datasets.registration.catalog import metadata_of, notes_of, samples_of
from collavo.errors import ConfigError, DataError, UserError
from tests.datasets.own_rows import labels, name_of, read, score

ASKED = {"question": "Which color?", "answer": "red"}
CHOICE = {"question": "Which?", "image": "a.png", "options": ["Apples", "Pears", "Plums"]}

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(80)).decode()


@pytest.mark.parametrize(
    "fields",
    [
        *({name: "a.png"} for name in ("image", "img", "picture", "photo", "filename", "IMAGE")),
        *({name: "a.png"} for name in ("image_name", "image_url", "img_path", "imgname", "Image")),
        *({name: ["a.png"]} for name in ("images", "image_paths", "pics")),
        {"image": {"path": "a.png", "bytes": None}},
        {"image": {"url": "a.png"}},
        {"images": [{"image_url": {"url": "a.png"}}]},
        {"image_1": "a.png", "image_2": None},
        {"image": "", "img": "a.png"},
        {"image": {"bytes": None, "path": None}, "img": {"file": "a.png"}},
        {"images": [["a.png"]]},
        {"image": "a.png", "image_url": "https://there/x/a.png", "video_id": "v1"},
    ],
)
def test_names_that_images_stand_under(folder: Path, fields: dict[str, Any]) -> None:
    assert labels(read(folder, {**ASKED, **fields})) == [["a.png"]]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"screenshot": "a.png"}, "'screenshot' looks like an image"),
        ({"imageFile2x": "a"}, "'imageFile2x' looks like an image"),
        ({"src": "folder/a.JPEG"}, "'src' looks like an image"),
        ({"src": "https://there/a.webp?size=2"}, "'src' looks like an image"),
        ({"blob": "data:image/png;base64,AA"}, "'blob' looks like an image"),
        ({"shots": ["x", "a.png"]}, "'shots' looks like an image"),
        ({"video": "a.mp4"}, "'video' holds a video or audio"),
        ({"image": "a.png", "audio_path": "a.wav"}, "'audio_path' holds a video or audio"),
        ({"file": "talk.MP3"}, "'file' holds a video or audio"),
        ({"question": "<video>\nWhat?"}, "holds <video>"),
        ({"question": "<image>\nWhat?"}, "says <image>, but the row has no image"),
        ({"blob": PNG}, "'blob' looks like an image"),
        ({"blob": {"kind": "image_url", "of": {"url": "a.png"}}}, "'blob' looks like an image"),
        ({"blob": [{"path": "a.png"}]}, "'blob' looks like an image"),
        ({"media": [{"path": "a.mp4"}]}, "'media' holds a video or audio"),
        (
            {"media": [{"type": "video", "url": "https://there/1"}]},
            "'media' holds a video or audio",
        ),
        ({"meta": {"audio": "talks/1"}}, "'meta' holds a video or audio"),
        ({"meta": {"image": "photos/1"}}, "'meta' looks like an image"),
        ({"image": "a.opus"}, "'image' holds a video or audio"),
        ({"images": ["a.mp4"]}, "'images' holds a video or audio"),
        ({"video_id": 7}, "'video_id' holds a video or audio"),
        ({"blob": "data:video/mp4;base64,AA"}, "'blob' holds a video or audio"),
        ({"image": 7}, "must be a path or base64, got 7"),
        ({"image": {"width": 3}}, "object without bytes or path; it has 'width'"),
        ({"image": "a.png", "image_2": "b.png"}, "images stand in 'image' and in 'image_2'"),
    ],
)
def test_an_image_that_is_not_read_is_refused(
    folder: Path, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(DataError, match=said) as error:
        read(folder, {**ASKED, "image": None, **fields})
    assert "line 1" in str(error.value)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image": None, "video": None, "images": [], "audio": ""},
        {"meta": {"image": None, "video_id": "v1", "video": 3, "type": "video"}},
        {"source": "see b.png. It is large", "has_image": False, "height": 300},
        {"image": None, "image_id": 7, "image_type": "chart", "num_images": 0},
        {"image": {"bytes": None, "path": None}, "images": [None, ""], "img": "  "},
    ],
)
def test_questions_without_image_stay_possible(folder: Path, fields: dict[str, Any]) -> None:
    assert labels(read(folder, {**ASKED, **fields})) == [[]]


def test_what_is_not_used_is_named(folder: Path) -> None:
    name = name_of(folder, {**CHOICE, "answer": "B", "why": "x", "level": 3}, {**CHOICE, "why": ""})
    samples_of(name)
    assert list(notes_of(name)) == [
        "fields that are not used, with the rows that have them: 'why' (1), 'level' (1)."
    ]


def test_none_asks_without_whatever_there_is(folder: Path) -> None:
    rows = [{"blob": "a.png"}, {"image": "gone.png"}, {"question": "<image> Which?"}]
    name = name_of(folder, *({**ASKED, **row} for row in rows), options="?images=none")
    assert labels(samples_of(name)) == [[], [], []]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"img_path": "b.png"}, "'img_path'"),
        ({"second": "b.png"}, "'second'"),
        ({"images": ["a.png", "b.png"]}, "'images'"),
        ({"mask": PNG}, "'mask'"),
        ({"img_path": "images/a.png"}, ""),
        ({"images": ["a.png"], "title": "b"}, ""),
    ],
)
def test_images_beside_the_one_that_is_shown_are_told(
    folder: Path, fields: dict[str, Any], told: str
) -> None:
    name = name_of(folder, {**ASKED, "image": "a.png", **fields})
    assert labels(samples_of(name)) == [["a.png"]]
    said = [note for note in notes_of(name) if "is not shown, beside the one in 'image'" in note]
    assert [told in note for note in said] == [True] * bool(told)


def test_questions_without_an_image_are_counted(folder: Path) -> None:
    name = name_of(folder, {**ASKED, "image": "a.png"}, ASKED, ASKED)
    samples_of(name)
    (said,) = notes_of(name)
    assert said.startswith("the question has no image (2 rows, first ") and "line 2" in said


@pytest.mark.parametrize("field", ["images", "image", "numbered"])
def test_several_images(folder: Path, field: str) -> None:
    several: Any = ["b.png", "c.png", "a.png"]
    row = {**ASKED, field: several}
    if field == "numbered":
        row = {**ASKED, "image_10": "a.png", "image_2": "c.png", "image_1": "b.png"}
    assert labels(read(folder, row)) == [["b.png", "c.png", "a.png"]]
    name = name_of(folder, row, options="?images=first")
    assert labels(samples_of(name)) == [["b.png"]]
    assert any("only the first of several images" in what for what in notes_of(name))
    name = name_of(folder, row, options="?images=none")
    assert labels(samples_of(name)) == [[]]
    assert any("not shown" in what for what in notes_of(name))
    with pytest.raises(ConfigError, match="images is 'all'; it may be first or none"):
        read(folder, row, options="?images=all")


@pytest.mark.parametrize(
    "answer",
    [
        *(["A", "C"], "A, C", "A and C", "AC", "CA", "A;C", "A|C", "(A)(C)", '["A", "C"]'),
        *(["Apples", "Plums"], "Apples, Plums", "A. Apples, C. Plums", [0, 2], "0, 2"),
    ],
)
def test_several_right_options_are_a_set(folder: Path, answer: Any) -> None:
    name = name_of(folder, {**CHOICE, "answer": answer}, {**CHOICE, "answer": "B"})
    assert [s.answers for s in samples_of(name)] == [("A", "C"), ("B",)]
    assert metadata_of(name).evaluator_type == "multi_choice"
    assert score(name, ["A, C", "B"])["accuracy"] == 100
    assert score(name, ["A", "B"])["accuracy"] == 50
    assert score(name, ["C and A", "A, B"])["accuracy"] == 50
    assert list(score(name, ["A, C", "B"])["parsers"]) == ["official"]
    for metric in ("choice", "circular", "multiple_choice", "ai2d", "mmmu"):
        with pytest.raises(ConfigError, match=r"1 questions have several right .*metric=multi"):
            samples_of(f"{name}?metric={metric}")


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("A, C", "AC"),
        ("a and c", "AC"),
        ("The answers are A and C.", "AC"),
        ("(A) red\n(C) a cat", "AC"),
        ("A cat", "C"),
        ("dark red and a cat", "BC"),
        ("red and dark red", "AB"),
        ("I think B", "B"),
        ("green", ""),
    ],
)
def test_all_letters_of_an_answer_are_read(text: str, letters: str) -> None:
    options = {"A": "red", "B": "dark red", "C": "a cat", "I": "ink"}
    assert "".join(letters_in(text, options)) == letters


def test_an_option_of_two_letters_is_one_option(folder: Path) -> None:
    (sample,) = read(folder, {**CHOICE, "options": ["A", "C", "AC"], "answer": "AC"})
    assert sample.answers == ("C",)


def test_answers_of_several_people_are_no_set(folder: Path) -> None:
    ten = {**CHOICE, "answer": ["A"] * 9 + ["B"]}
    with pytest.raises(DataError, match=r"A 9x, B 1x.*several people's"):
        read(folder, ten)
    assert read(folder, {**ten, "answer": ["A"] * 10})[0].answers == ("A",)
    asked = {"question": "Is it?", "answers": ["yes", "no", "no"]}
    with pytest.raises(ConfigError, match="'yes_no' does not score"):
        read(folder, asked, options="?metric=yes_no")


@pytest.mark.parametrize(
    "options",
    [
        ["A. Apples", "B. Pears", "C. Plums"],
        ["(A) Apples", "(B) Pears", "(C) Plums"],
        ["a) Apples", "b) Pears", "c) Plums"],
        {"A": "Apples", "B": "Pears", "C": "Plums"},
        {"c": "Plums", "a": "Apples", "b": "Pears"},
        "A: Apples\nB: Pears\nC: Plums",
        "(A) Apples (B) Pears (C) Plums",
        "A. Apples; B. Pears; C. Plums",
        ["[A] Apples", "[B] Pears", "[C] Plums"],
        ["A - Apples", "B - Pears", "C - Plums"],
        ["Option A: Apples", "Option B: Pears", "Option C: Plums"],
    ],
)
@pytest.mark.parametrize(
    "answer",
    [
        *("B", "(b)", "B.", "[B]", "**B**", "B. Pears", "B Pears", "B: pears", "pears", "Pears"),
        *(1, 1.0, "1", ["B"], '["B"]', "Option B", "The answer is B", "Answer: B. Pears"),
    ],
)
def test_options_that_bring_their_letter(folder: Path, options: Any, answer: Any) -> None:
    (sample,) = read(folder, {**CHOICE, "options": options, "answer": answer})
    assert sample.options == ("Apples", "Pears", "Plums")
    assert sample.answers == ("B",)


@pytest.mark.parametrize(
    "options",
    [
        ["B. Pitt", "A. Ford"],
        ["A. Lincoln", "G. Bush"],
        ["A cat", "A dog"],
        ["1. x", "2. y"],
        ["A", "B"],
        ["1.5", "2.5"],
    ],
)
def test_texts_that_begin_like_letters_stay(folder: Path, options: list[str]) -> None:
    (sample,) = read(folder, {**CHOICE, "options": options, "answer": options[1]})
    assert sample.options == tuple(options) and sample.answers == ("B",)


@pytest.mark.parametrize(
    ("fields", "answers"),
    [
        ({"options": {"1": "x", "2": "y"}}, {"1": "A", 2: "B", "x": "A"}),
        ({"options": {"x1": "x", "x2": "y"}}, {"x2": "B"}),
        (
            {"options": ["1. x", "2. y"]},
            {"1": "A", 2: "B", "(2)": "B", "y": "B", 3: ""},
        ),
        ({"options": ["0) x", "1) y"]}, {0: "A", "1": "B"}),
        ({"option_a": "x", "option_b": "y"}, {"B": "B", "x": "A", 0: "A"}),
        ({"option1": "x", "option2": "y"}, {"1": "A", 2: "B", "B": "B"}),
        ({"options": ["5", "6", "7"]}, {"6": "B", 2: "C", 9: ""}),
        ({"options": ["1,000", "2,000"]}, {"1,000": "A", "1000": ""}),
    ],
)
def test_answers_by_the_options_own_names(
    folder: Path, fields: dict[str, Any], answers: dict[Any, str]
) -> None:
    asked = {"question": "Which?", "image": "a.png", **fields}
    for answer, letter in answers.items():
        (sample,) = read(folder, {**asked, "answer": answer})
        assert sample.answers == ((letter,) if letter else ()), answer


def test_answers_that_could_be_two_options_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="name of one option and the text of another"):
        read(folder, {**CHOICE, "options": {"1": "2", "2": "1"}, "answer": "1"})
    rows = [{**CHOICE, "answer": number} for number in (1, 2, 3)]
    with pytest.raises(DataError, match="line 3: .* count from 1, and are read from 0"):
        read(folder, *rows)
    assert read(folder, *rows, {**CHOICE, "answer": 0})[0].answers == ("B",)


@pytest.mark.parametrize(
    ("numbers", "said"), [((1, 2), True), ((0, 1), False), (("A", "B"), False)]
)
def test_numbers_that_might_count_from_one_are_told(
    folder: Path, numbers: tuple[Any, ...], said: bool
) -> None:
    name = name_of(folder, *({**CHOICE, "answer": number} for number in numbers))
    samples_of(name)
    assert any("read as places of options from 0" in note for note in notes_of(name)) == said


def test_options_that_the_question_lists_are_listed_once(folder: Path) -> None:
    name = name_of(folder, {**CHOICE, "question": "Which?\nA. Apples\nB) Pears\n(C) Plums\nSay."})
    (sample,) = samples_of(name)
    assert sample.question == "Which?\nSay."
    assert any("listed once" in note for note in notes_of(name))
    (sample,) = read(folder, {**CHOICE, "question": "Which?\nA. Figs\nB. Pears\nC. Plums"})
    assert "A. Figs" in sample.question


def test_fields_that_lose_are_told(folder: Path) -> None:
    row = {**CHOICE, "choices": ["x", "y"], "A": "z", "answer": "", "label": 1, "gold": "C"}
    name = name_of(folder, row)
    assert samples_of(name)[0].answers == ("B",)
    assert "'choices' (1), 'A' (1), 'gold' (1)" in " ".join(notes_of(name))
    assert read(folder, {"question": "", "text": "Which?", "answers": [], "answer": "x"})[
        0
    ].question == ("Which?")


@pytest.mark.parametrize("word", ["None", "NA", "N/A", "null", "nan", "NaN"])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_options_that_say_none_stay_where_they_are(folder: Path, word: str, where: int) -> None:
    options = ["red", "blue", "green"]
    options[where] = word
    (sample,) = read(folder, {**CHOICE, "options": options, "answer": "C"})
    assert sample.options == tuple(options) and sample.answers == ("C",)
    header = "index\timage_path\tquestion\tA\tB\tC\tanswer\n"
    rows = "\t".join(["1", "a.png", "Which?", *options, "C"]) + "\n"
    (folder / "t.tsv").write_text(header + rows + "2\ta.png\tWhich?\tone\ttwo\t\tA\n")
    first, second = samples_of(f"tsv:{folder / 't.tsv'}")
    assert first.options == tuple(options) and first.answers == ("C",)
    assert second.options == ("one", "two")


@pytest.mark.parametrize("answer", ["D", "E, A", "yellow", 3])
def test_an_answer_that_is_no_option_is_its_rows_fault_alone(folder: Path, answer: Any) -> None:
    name = name_of(folder, {**CHOICE, "answer": answer}, {**CHOICE, "answer": "C"})
    assert [s.answers for s in samples_of(name)] == [(), ("C",)]
    (said,) = [what for what in notes_of(name) if "none of the row's options" in what]
    assert "line 1" in said and "line 2" not in said


def test_annotators_who_disagree_make_no_yes_no(folder: Path) -> None:
    asked = {"question": "Is it?", "image": "a.png"}
    name = name_of(folder, {**asked, "answers": ["yes", "no"]}, {**asked, "answers": ["no"]})
    assert metadata_of(name).evaluator_type == "short_answer"
    name = name_of(folder, {**asked, "answers": ["yes", "Yes."]}, {**asked, "answer": False})
    assert metadata_of(name).evaluator_type == "yes_no"
    ten = name_of(folder, {**asked, "answers": ["yes"] * 6 + ["no"] * 4})
    assert metadata_of(ten).evaluator_type == "vqa_accuracy"


def test_ids_a_million_apart_are_copies_only_of_the_same_question(folder: Path) -> None:
    first = {**CHOICE, "index": 7, "answer": "A"}
    copy = {**first, "index": 1_000_007, "options": ["Plums", "Apples", "Pears"], "answer": "B"}
    assert metadata_of(name_of(folder, first, copy)).evaluator_type == "mmbench"
    others = ({"question": "Another?"}, {"options": ["x", "y", "z"]}, {"image": "b.png"})
    for other in others:
        name = name_of(folder, first, {**copy, **other})
        assert metadata_of(name).evaluator_type == "choice", other
    second = {**first, "index": 8}, {**copy, "index": 1_000_008, "question": "Another?"}
    name = name_of(folder, first, copy, *second)
    assert metadata_of(name).evaluator_type == "choice"
    samples_of(name)
    assert any("1 of the 2 questions whose ids differ" in note for note in notes_of(name))


def test_numbers_that_are_none_and_zero(folder: Path) -> None:
    file = folder / "nan.jsonl"
    file.write_text(
        '{"question": "Q?", "answer": NaN, "image": NaN, "hint": Infinity, "category": 0}\n'
        '{"question": "Q?", "answer": 0, "image": "a.png", "category": "x", "options": NaN}\n'
    )
    first, second = samples_of(f"jsonl:{file}")
    assert (first.answers, first.images, first.category) == ((), (), "0")
    assert "hint" not in first.extra
    assert (second.answers, second.category, second.options) == (("0",), "x", ())


@pytest.mark.parametrize(
    ("value", "category"), [(0, "0"), (0.0, "0"), ("0", "0"), (["a", "b"], "a, b"), (None, "")]
)
def test_categories(folder: Path, value: Any, category: str) -> None:
    assert read(folder, {**ASKED, "category": value})[0].category == category


@pytest.mark.parametrize("form", ["jsonl", "tsv", "list", "mapping"])
def test_one_rule_for_paths(folder: Path, form: str) -> None:
    """Inside the folder absolute paths and ".." are read, outside they are refused with a mend."""
    inside = [str(folder / "a.png"), f"{folder}/images/../a.png", "images/../a.png", "./a.png"]
    outside = ["/etc/passwd", "../x.png", f"{folder}/../x.png", "images/../../x.png"]
    numbers = itertools.count()

    def named(path: str) -> str:
        if form == "tsv":
            file = folder / f"p{next(numbers)}.tsv"
            file.write_text(f"index\timage_path\tquestion\tanswer\n1\t{path}\tQ?\tred\n")
            return f"tsv:{file}"
        value: Any = {"list": [path], "mapping": {"path": path, "bytes": None}}.get(form, path)
        return name_of(folder, {**ASKED, "image": value})

    whole = (folder / "a.png").read_bytes()
    for path in inside:
        (sample,) = samples_of(named(path))
        assert sample.images[0].read() == whole, path
    for path in outside:
        with pytest.raises(DataError, match=r"leaves the dataset folder .*image_root="):
            samples_of(named(path))


def test_image_root_opens_another_folder(folder: Path, tmp_path_factory: Any) -> None:
    lists = tmp_path_factory.mktemp("lists")
    name = name_of(lists, {**ASKED, "image": str(folder / "a.png")})
    with pytest.raises(UserError, match="image_root="):
        samples_of(name)
    (sample,) = samples_of(f"{name}?image_root={folder}")
    assert sample.images[0].read() == (folder / "a.png").read_bytes()


def test_links_below_the_folder_are_followed(folder: Path, tmp_path_factory: Any) -> None:
    blobs = tmp_path_factory.mktemp("blobs")
    (folder / "images" / "c.png").rename(blobs / "0a1b")
    (folder / "images" / "c.png").symlink_to(blobs / "0a1b")
    (sample,) = read(folder, {**ASKED, "image": "images/c.png"})
    assert sample.images[0].read() == (blobs / "0a1b").read_bytes()


def test_encoded_images(folder: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((40, 30), 50).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    assert len(PNG) < 256, "short ones are told from paths by how they begin"
    assert read(folder, {**ASKED, "image": PNG})[0].images[0].read() == base64.b64decode(PNG)
    for value in (text, f"data:image/png;base64,{text}", [text], {"base64": text}):
        (sample,) = read(folder, {**ASKED, "image": value})
        assert sample.images[0].read() == buffer.getvalue()
