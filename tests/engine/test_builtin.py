"""The built-in tiny model on the built-in miniature, as a user without data or weights runs it."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from collavo.cli.main import main


@pytest.fixture
def evaluate(tmp_path, monkeypatch):
    for name in ("DATASET", "DATASET2", "VLDATASET", "DETECTRON2_DATASETS"):
        monkeypatch.delenv(name, raising=False)

    def run(*options: str, **keys: object) -> tuple[int, dict, bytes]:
        words = [f"{k.replace('__', '.')}={v}" for k, v in keys.items()]
        code = main(["eval", *options, "--overrides", f"SAVE_DIR={tmp_path}", *words])
        files = sorted(tmp_path.glob("*/*/results.json"), key=lambda f: f.stat().st_mtime_ns)
        predictions = files[-1].with_name("predictions.jsonl").read_bytes()
        return code, json.loads(files[-1].read_text()), predictions

    return run


def test_pope_and_mme_share_prefixes_and_change_no_answer(evaluate):
    code, results, predictions = evaluate(
        "--limit", "6", "--verify", "4", DATASETS__TEST="pope_test,mme", VIS__SAMPLES=1
    )
    assert code == 0
    assert results["flags"] == {
        "miniature": True, "untrained": results["flags"]["untrained"], "subset": True,
        "failures": False, "builtin_model": True, "repeats_references": False,
        "repeats_questions": False,
    }  # fmt: skip
    assert results["verify"] == {"samples": 4, "flips": []}
    assert results["timings"]["prefill_saved"] > 1
    assert results["config"]["GENERATION"]["MAX_NEW_TOKENS"] == 5
    for keys in ({"EVAL__BATCH_SIZE": 3}, {"EVAL__REUSE": "vision"}, {"EVAL__REUSE": "none"}):
        again = evaluate("--limit", "6", "--fresh", DATASETS__TEST="mme", VIS__SAMPLES=0, **keys)
        assert again[0] == 0 and again[2] == predictions, keys


def test_on_a_users_own_data_the_tiny_model_says_what_it_is(evaluate, tmp_path, caplog, capsys):
    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.png")
    row = {"question_id": 0, "image": "a.png", "question": "Is it red?", "answer": "yes"}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    code, results, _ = evaluate(DATASETS__TEST=tmp_path / "own.jsonl", VIS__SAMPLES=0)
    assert code == 0 and results["dataset"] == f"jsonl:{tmp_path / 'own.jsonl'}"
    assert results["flags"]["builtin_model"] and not results["flags"]["miniature"]
    assert results["published"] == []
    assert results["model"]["weights"] == results["model"]["segmenter_weights"] == "built-in tiny"
    assert "own.jsonl is answered by the built-in tiny model" in caplog.text
    assert f"is taken for jsonl:{tmp_path}" in caplog.text
    printed = capsys.readouterr().out
    assert "model: collavo (built-in tiny), segmenter: mask2former (built-in tiny)" in printed
    assert "[builtin_model]" in printed and "Published" not in printed


def test_pope_is_crossed_with_what_the_segmenter_saw(evaluate):
    code, results, _ = evaluate("--limit", "12", DATASETS__TEST="pope_test")
    assert code == 0
    tables = {t["title"]: t for t in results["tables"]}
    seen = tables["POPE: answers against what the segmenter saw"]
    assert sum(row[3] + row[4] for row in seen["rows"]) == 12


def test_crayon_maps_are_taken_from_the_cache(evaluate, tmp_path, monkeypatch):
    from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter

    keys = {"DATASETS__TEST": "pope_test", "CRAYON__CACHE": tmp_path / "maps", "VIS__SAMPLES": 0}
    first = evaluate("--limit", "20", **keys)
    monkeypatch.setattr(
        Mask2FormerSegmenter, "segment", lambda *a: pytest.fail("segmented once more")
    )
    assert evaluate("--limit", "20", "--fresh", **keys)[2] == first[2]


def test_likelihoods_of_yes_and_no(evaluate):
    code, results, _ = evaluate(
        "--limit", "24", DATASETS__TEST="pope_test", EVAL__SCORING="likelihood", VIS__SAMPLES=0
    )
    assert code == 0 and 0 <= results["likelihood"]["auroc"] <= 1


def test_likelihoods_of_choices_with_and_without_image(evaluate):
    code, results, predictions = evaluate(
        "--samples", "4,11,116,123,130", DATASETS__TEST="scienceqa_test",
        EVAL__SCORING="likelihood", VIS__SAMPLES=0,
    )  # fmt: skip
    rows = [json.loads(line) for line in predictions.decode().splitlines()]
    assert code == 0 and results["counts"]["answered"] == len(rows) == 5
    assert {bool(row["image"]) for row in rows} == {True, False}
    assert all(row["parsed"] is not None for row in rows)
