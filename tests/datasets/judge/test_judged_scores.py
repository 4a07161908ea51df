"""`score --judge`: MM-Vet, LLaVA-Bench, MathVista and HallusionBench through a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collavo.cli.main import main
from collavo.errors import EXIT_FAILED_SAMPLES, EXIT_OK, EXIT_USAGE

Score = Callable[..., tuple[int, dict[str, Any], str]]

MMVET = {
    f"v1_{k}": {
        "imagename": f"v1_{k}.png",
        "question": f"Question {k}?",
        "answer": "a<AND>b",
        "capability": ["ocr", "math"] if k % 2 else ["rec"],
    }
    for k in range(4)
}
HALLUSION = [
    {
        "category": category, "subcategory": "chart", "visual_input": visual, "set_id": "0",
        "figure_id": figure, "sample_note": "n", "question_id": "0", "question": "Is it so?",
        "gt_answer_details": f"It is {truth}.", "gt_answer": truth, "filename": file,
    }
    for category, visual, figure, truth, file in (
        ("VS", "0", "0", "1", None),
        ("VS", "1", "1", "1", "./VS/chart/0_1.png"),
        ("VS", "2", "2", "0", "./VS/chart/0_2.png"),
    )
]  # fmt: skip


@pytest.fixture
def score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Score:
    """Runs `score`; returns exit code, the last line's object, and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(dataset: str, rows: Any, *words: str, **keys: Any) -> tuple[int, dict[str, Any], str]:
        file = tmp_path / "answers.json"
        file.write_text(json.dumps(rows), encoding="utf-8")
        overrides = ["DATASETS.ROOT", str(tmp_path), "JUDGE.BACKOFF", "0.01", "JUDGE.RETRIES", "1"]
        for key, value in keys.items():
            overrides += [key.replace("__", "."), str(value)]
        given = ["--dataset", dataset, "--predictions", str(file), *words]
        code = main(["score", *given, "--overrides", *overrides])
        out = capfd.readouterr()
        last = out.out.strip().splitlines()[-1] if out.out.strip() else "{}"
        return code, json.loads(last), out.err

    return run


def _write(folder: Path, name: str, value: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(value), encoding="utf-8")


def test_mmvet_in_several_runs(score: Score, serve: Any, tmp_path: Path) -> None:
    _write(tmp_path / "mm-vet", "mm-vet.json", MMVET)

    def answer(request: dict[str, Any], number: int) -> str:
        text = request["messages"][0]["content"]
        return "1.0" if text.endswith("| right | ") else "0.5"

    server = serve(answer)
    rows = {key: "right" if key == "v1_1" else "half" for key in MMVET}
    code, result, _ = score(
        "mm-vet", rows, "--judge", "gpt-4", "--submission", str(tmp_path / "out"),
        JUDGE__BASE_URL=server.url, JUDGE__RUNS=2,
    )  # fmt: skip
    assert code == EXIT_OK and len(server.requests) == 8
    assert result["total"] == 62.5
    assert result["scores"]["capabilities"] == {"rec": 50.0, "ocr": 75.0, "math": 75.0}
    assert result["scores"]["runs"] == [62.5, 62.5]
    assert "Graded 2 times by gpt-4-0613." in result["notes"]
    assert (tmp_path / "results/judgements/mm-vet.jsonl").is_file()
    written = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert json.loads(written["mm-vet.json"]) == rows
    grades = json.loads(written["model_gpt-4-0613-grade-2runs.json"])
    assert grades["v1_1"] == {
        "model": ["gpt-4-0613"] * 2, "content": ["1.0"] * 2, "score": [1.0, 1.0],
    }  # fmt: skip
    assert written["model_gpt-4-0613-cap-score-2runs.csv"] == (
        ',rec,ocr,math,total,std,runs\nmodel,50.0,75.0,75.0,62.5,0.0,"[62.5, 62.5]"\n'
    )
    assert "rec,ocr_math,total" in written["model_gpt-4-0613-cap-int-score-2runs.csv"]
    # The grade file is an answer to the same question, and needs no judge.
    code, again, _ = score("mm-vet", grades)
    assert code == EXIT_OK and again["scores"] == result["scores"]
    assert len(server.requests) == 8


def test_mmvet_without_a_judge_has_no_score(score: Score, tmp_path: Path) -> None:
    _write(tmp_path / "mm-vet", "mm-vet.json", MMVET)
    code, result, _ = score("mm-vet", dict.fromkeys(MMVET, "x"))
    assert code == EXIT_OK and result["headline"] == {}
    assert "MM-Vet is graded by a language model, and none was asked" in result["notes"][0]


def test_a_failed_judgement_is_no_score(
    score: Score, serve: Any, tmp_path: Path, fault: Any, secret: str
) -> None:
    _write(tmp_path / "mm-vet", "mm-vet.json", MMVET)
    broken = [True]

    def answer(request: dict[str, Any], number: int) -> Any:
        if broken[0] and request["messages"][0]["content"].endswith("| three | "):
            return fault(500, f"no {secret}".encode())
        return "0.5"

    server = serve(answer)
    rows = dict(zip(MMVET, ("zero", "one", "two", "three"), strict=True))
    code, result, said = score("mm-vet", rows, "--judge", "m", JUDGE__BASE_URL=server.url)
    assert (code, result) == (EXIT_FAILED_SAMPLES, {})
    assert "1 of 4 judgements of MM-Vet failed" in said and "mm-vet:v1_3, run 1" in said
    assert secret not in said
    broken[0], asked = False, len(server.requests)
    code, result, _ = score("mm-vet", rows, "--judge", "m", JUDGE__BASE_URL=server.url)
    assert code == EXIT_OK and result["total"] == 50.0
    assert len(server.requests) == asked + 1
    written = [p for p in tmp_path.rglob("*") if p.is_file() and secret in p.read_text()]
    assert written == []


def test_a_dry_run_needs_neither_key_nor_server(
    score: Score, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("JUDGE_API_KEY", raising=False)
    _write(tmp_path / "mm-vet", "mm-vet.json", MMVET)
    rows = dict.fromkeys(MMVET, "x")
    words = ("--judge", "gpt-4", "--dry-run")
    code, result, _ = score("mm-vet", rows, *words, JUDGE__RUNS=5, JUDGE__PRICE_PROMPT=30)
    assert code == EXIT_OK
    plan = result["dry_run"]
    assert (plan["calls"], plan["items"], plan["stored"]) == (20, 20, 0)
    assert plan["completion_tokens"] == 60 and plan["prompt_tokens"] > 20 * 500
    assert plan["cost"] == pytest.approx(plan["prompt_tokens"] * 30 / 1e6)
    assert not (tmp_path / "results").exists()
    code, _, said = score("mm-vet", rows, "--dry-run")
    assert code == EXIT_USAGE and "name one by --judge" in said
    code, _, said = score("mm-vet", rows, "--judge", "gpt-4")
    assert code == EXIT_USAGE and "no API key" in said


def test_llavabench(score: Score, serve: Any, tmp_path: Path) -> None:
    folder = tmp_path / "llava-bench-in-the-wild"
    questions = [
        {"question_id": k, "image": "001.jpg", "category": c, "text": f"Q{k}"}
        for k, c in enumerate(("conv", "detail", "complex"))
    ]
    _write(folder, "questions.jsonl", questions)
    _write(folder, "context.jsonl", [{"image": "001.jpg", "caption": ["one", "two"]}])
    _write(folder, "answers_gpt4.jsonl", [{"question_id": k, "text": f"R{k}"} for k in range(3)])
    server = serve(lambda request, number: "8 6.5\nwell")
    rows = [{"question_id": k, "text": f"A{k}"} for k in range(3)]
    code, result, _ = score("llavabench", rows, "--judge", "gpt-4", JUDGE__BASE_URL=server.url)
    assert code == EXIT_OK and result["all"] == 81.2  # 81.25 to even
    assert {r["messages"][1]["content"].split("[Assistant 1]")[0] for r in server.requests} == {
        f"[Context]\none\ntwo\n\n[Question]\nQ{k}\n\n" for k in range(3)
    }
    reviews = [
        {
            "id": 1,
            "question_id": k,
            "category": "llava_bench_conv",
            "content": "..",
            "tuple": [8, s],
        }
        for k, s in enumerate((8, 4, 2))
    ]
    code, result, _ = score("llavabench", reviews)
    assert result["scores"]["conv"] == 100.0 and result["scores"]["complex"] == 25.0
    assert result["all"] == 58.3
    code, _, said = score("llavabench", [*reviews[:2], rows[2]])
    assert code == EXIT_USAGE and "have no review (first: llavabench:2)" in said


def test_mathvista_asks_only_what_rules_cannot_read(
    score: Score, serve: Any, tmp_path: Path
) -> None:
    base = {"image": "images/1.jpg", "unit": None, "precision": None, "metadata": {"task": "t"}}
    problems = {
        "1": {**base, "question": "q1", "choices": ["red", "blue"], "answer": "blue",
              "question_type": "multi_choice", "answer_type": "text"},
        "2": {**base, "question": "q2", "choices": None, "answer": "4",
              "question_type": "free_form", "answer_type": "integer"},
        "3": {**base, "question": "q3", "choices": None, "answer": "1.5", "precision": 1.0,
              "question_type": "free_form", "answer_type": "float"},
    }  # fmt: skip
    _write(tmp_path / "MathVista", "testmini.json", problems)
    server = serve(lambda request, number: " 1.48 " if "about" in str(request) else "(B)")
    rows = {"1": "It is the second one.", "2": " 4 ", "3": "about one and a half"}
    code, result, _ = score(
        "mathvista_testmini", rows, "--judge", "gpt-4", JUDGE__BASE_URL=server.url
    )
    assert code == EXIT_OK and result["accuracy"] == 100.0
    assert len(server.requests) == 2
    code, plain, _ = score("mathvista_testmini", rows)
    assert plain["scores"]["average"] == {
        "accuracy": pytest.approx(100 / 3),
        "correct": 1,
        "total": 3,
    }
    assert "2 of 3 answers are neither a choice nor a number" in plain["notes"][0]


def test_hallusionbench_by_two_judges(
    score: Score, serve: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _write(tmp_path / "HallusionBench", "HallusionBench.json", HALLUSION)

    def answer(request: dict[str, Any], number: int) -> str:
        text = request["messages"][0]["content"]
        if "response1" in text:
            return "same" if text.count("Yes.") == 2 else "different"
        truth = "It is 1." in text
        return "correct" if truth == ("Prediction answer:Yes." in text) else "incorrect"

    server = serve(answer)
    rows = [{**row, "model_prediction": "Yes."} for row in HALLUSION]
    code, result, _ = score("hallusionbench", rows, "--judge", "gpt-4", JUDGE__BASE_URL=server.url)
    assert code == EXIT_OK and len(server.requests) == 3 + 2
    scores = result["scores"]
    assert (scores["aAcc"], scores["qAcc"], scores["fAcc"]) == (66.6667, 0.0, 50.0)
    assert (scores["easy_aAcc"], scores["hard_aAcc"]) == (100.0, 0.0)
    assert scores["language_hallucination"] == 100.0  # as without the figure, and wrong
    assert result["parser"] == "official" and scores["parsers"]["official"]["aAcc"] == 66.6667
    code, plain, _ = score("hallusionbench", rows)
    assert plain["parser"] == "yes_no" and plain["aAcc"] == 66.6667
    assert "language_hallucination" not in plain["scores"]
    assert any("No judge was asked" in note for note in plain["notes"])
    code, chosen, _ = score(
        "hallusionbench", rows, "--parser", "collavo", "--judge", "m", JUDGE__BASE_URL=server.url
    )
    assert chosen["aAcc"] == 50.0 and "was not asked" in caplog.text and len(server.requests) == 5
