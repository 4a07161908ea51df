"""`eval` with a judge, on a model that costs nothing: failures, resumption, questions unseen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from collavo.cli.main import main
from collavo.errors import EXIT_FAILED_SAMPLES, EXIT_OK


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("mm-vet/images/a.png", "HallusionBench/hallusion_bench/VS/chart/0_1.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new("RGB", (20, 12), (200, 30, 30)).save(tmp_path / name)
    questions = {
        f"v1_{k}": {"imagename": "a.png", "question": f"{k}?", "answer": "a", "capability": ["rec"]}
        for k in range(3)
    }
    (tmp_path / "mm-vet/mm-vet.json").write_text(json.dumps(questions))
    rows = [
        {
            "category": "VS", "subcategory": "chart", "visual_input": visual, "set_id": "0",
            "figure_id": visual, "question_id": "0", "question": "Is it?", "gt_answer": "1",
            "gt_answer_details": "It is.", "filename": file,
        }
        for visual, file in (("0", None), ("1", "./VS/chart/0_1.png"))
    ]  # fmt: skip
    (tmp_path / "HallusionBench/HallusionBench.json").write_text(json.dumps(rows))
    return tmp_path


def test_a_judge_that_fails_and_comes_back(
    serve: Any, fault: Any, data: Path, repository: Path, secret: str
) -> None:
    broken = [True]

    def answer(request: dict[str, Any], number: int) -> Any:
        text = request["messages"][0]["content"]
        if "teacher" in text:
            return "unclear" if "Assess the correctness" in text else "same"
        return fault(500) if broken[0] and " | a | " in text and "1? | a" in text else "0.5"

    server = serve(answer)
    words = [
        "eval", "--user_dir", str(repository / "tests/engine/plugin/fakes.py"), "--overrides",
        "DATASETS.TEST=mm-vet,hallusionbench", f"DATASETS.ROOT={data}", "MODEL.NAME=fake",
        "SEGMENTER.NAME=fake_segments", f"SAVE_DIR={data / 'results'}", "VIS.SAMPLES=0",
        "JUDGE.MODEL=m", f"JUDGE.BASE_URL={server.url}", "JUDGE.RETRIES=0", "EVAL.BOOTSTRAP=0",
    ]  # fmt: skip

    def results(name: str) -> dict[str, Any]:
        (file,) = (data / "results" / name).glob("*/results.json")
        return json.loads(file.read_text())

    assert main(words) == EXIT_FAILED_SAMPLES
    failed = results("mm-vet")
    assert failed["headline"] is None and failed["counts"]["answered"] == 3
    assert "1 of 3 judgements of MM-Vet failed" in failed["not_judged"]
    # The dataset after it was evaluated all the same; unclear is right where nothing was shown.
    judged = results("hallusionbench")
    assert judged["headline"]["aAcc"] == 50.0 and judged["parser"] == "official"
    (file,) = (data / "results/hallusionbench").glob("*/predictions.jsonl")
    unseen = json.loads(file.read_text().splitlines()[0])
    assert (unseen["question_id"], unseen["image"]) == ("VS_chart_0_0_0", "")
    assert (unseen["correct"], unseen["parsed"]) == (True, "unclear") and unseen["answer"]

    asked, broken[0] = len(server.requests), False
    assert main(words) == EXIT_OK
    assert results("mm-vet")["headline"] == {"total": 50.0}
    assert len(server.requests) == asked + 1
    text = "".join(p.read_bytes().decode("latin-1") for p in data.rglob("*") if p.is_file())
    assert secret not in text
