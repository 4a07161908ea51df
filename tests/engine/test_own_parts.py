"""A model of parts: encoder, projector and image policy of one's own, over the built-in LLM.

They are chosen by configuration alone, and evaluate, train, reload and merge.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from collavo.cli.main import main
from collavo.config import get_cfg
from collavo.engine.models import generation_of, load_model
from collavo.errors import ConfigError
from collavo.plugins import load_user_dir
from collavo.registry import UnknownNameError
from tests.warm import start

PLUGIN = Path(__file__).parent / "plugin" / "parts.py"
BUILTIN = start.ROOT / "collavo" / "assets" / "tiny" / "collavo"
PARTS = {
    "MODEL.NAME": "vlm",
    "MODEL.VISION_ENCODER": "strips",
    "MODEL.PROJECTOR": "both_levels",
    "MODEL.LLM": "internlm2",
    "MODEL.TEMPLATE": "collavo",
    "MODEL.IMAGE_POLICY": "strip_height",
    "GENERATION.NUM_BEAMS": 1,
    "GENERATION.MAX_NEW_TOKENS": 4,
    "DEVICE": "cpu",
}
MODULES = (
    "[{'module': 'vision_encoder'}, {'module': 'projector'}, {'module': 'llm', 'mode': 'lora'}]"
)


def words(**keys: Any) -> list[str]:
    """The command line of settings over those of the parts."""
    given = PARTS | {name.replace("__", "."): value for name, value in keys.items()}
    pairs = [(key, value) for key, value in given.items() if value is not None]
    overrides = [str(word) for pair in pairs for word in pair]
    return ["--user_dir", str(PLUGIN), "--overrides", *overrides]


def loaded(**keys: Any) -> Any:
    load_user_dir(str(PLUGIN))
    given = PARTS | {name.replace("__", "."): value for name, value in keys.items()}
    cfg = get_cfg(overrides=[str(word) for pair in given.items() for word in pair])
    return load_model(cfg).architecture


def own_rows(folder: Path) -> str:
    """Questions on images of several widths, on two of them together, and on none."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = ((64, 32), (32, 64), (90, 30), (64, 32))
    for k, size in enumerate(sizes):
        Image.new("RGB", size, (60 * k, 10, 200 - 40 * k)).save(folder / f"{k}.png")
    asked = [[f"{k % 4}.png"] for k in range(8)] + [["0.png", "2.png"], []]
    rows = [
        {"id": k, "question": f"Is it {k}?", "answer": "yes", **({"images": i} if i else {})}
        for k, i in enumerate(asked)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"jsonl:{folder / 'rows.jsonl'}"


def predictions(folder: Path) -> bytes:
    (found,) = folder.glob("*/*/predictions.jsonl")
    return found.read_bytes()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a short training of all of it left."""
    folder = tmp_path_factory.mktemp("trained")
    train(folder / "run")
    return folder / "run"


def train(folder: Path) -> None:
    """Trains for three steps, or goes on from what is there."""
    given = words(
        TRAIN__DATA="[miniature:vl]",
        TRAIN__MODULES=MODULES,
        TRAIN__MAX_STEPS=3,
        TRAIN__BATCH_SIZE=2,
        TRAIN__SAVE_STEPS=1,
        TRAIN__KEEP_LAST=3,
        OPTIMIZER__LR=0.01,
        TRAIN__DIR=folder,
    )
    done = start.run([start.ROOT / "lbk_entry.py", "train", *given], {})
    assert done.returncode == 0, done.stderr[-2000:]


def test_it_evaluates_images_of_any_width_alone_and_together(tmp_path: Path, no_root: None) -> None:
    rows = own_rows(tmp_path / "data")
    answers = {}
    for reuse in ("prefix", "vision", "none"):
        run = words(SAVE_DIR=tmp_path / reuse, DATASETS__TEST=rows, EVAL__REUSE=reuse)
        assert main(["eval", *run]) == 0
        found = [json.loads(line) for line in predictions(tmp_path / reuse).splitlines()]
        assert not any(row.get("error") for row in found)
        answers[reuse] = [row["answer"] for row in found]
    assert len(answers["prefix"]) == 10
    assert answers["prefix"] == answers["vision"] == answers["none"]
    model, cfg = loaded(), get_cfg(overrides=[word for pair in PARTS.items() for word in pair])
    for row, names in ((found[0], "0"), (found[2], "2"), (found[8], "02"), (found[9], "")):
        assert row["prompt"].count("<image>") == max(len(names), 1)
        shown = tuple(model.prepare(Image.open(tmp_path / f"data/{k}.png")) for k in names)
        ids = model.tokenize(row["prompt"])
        ids = ids if names else [i for i in ids if i != model.image_token_id]
        assert model.generate([ids], [shown], None, generation_of(cfg)) == [row["answer"]]


def test_two_processes_give_the_same_bytes(tmp_path: Path, no_root: None) -> None:
    rows = own_rows(tmp_path / "data")
    one = words(SAVE_DIR=tmp_path / "one", DATASETS__TEST=rows)
    two = words(SAVE_DIR=tmp_path / "two", DATASETS__TEST=rows, EVAL__BATCH_SIZE=3)
    assert main(["eval", *one]) == 0
    done = start.run_ranks([start.ROOT / "lbk_entry.py", "eval", *two], "multi_cpu.yaml", 2, {})
    assert done.returncode == 0, done.stderr[-2000:]
    assert predictions(tmp_path / "one") == predictions(tmp_path / "two")


def answers_of(model: Any, folder: Path) -> list[str]:
    own_rows(folder)
    visuals = [model.prepare(Image.open(folder / f"{k}.png").convert("RGB")) for k in range(4)]
    ids = model.tokenize(model.render("What is it?", None))
    cfg = get_cfg(overrides=["GENERATION.NUM_BEAMS", 1, "GENERATION.MAX_NEW_TOKENS", 6])
    asked = [(visual,) for visual in visuals]
    return model.generate([ids] * 4, asked, None, generation_of(cfg))


def logits_of(model: Any, folder: Path) -> torch.Tensor:
    own_rows(folder)
    visual = model.prepare(Image.open(folder / "2.png").convert("RGB"))
    ids = torch.tensor([model.tokenize(model.render("What is it?", None))])
    with torch.no_grad():
        return model(ids, (visual,)).logits


def test_what_was_trained_is_loaded_again_and_merged(trained: Path, tmp_path: Path) -> None:
    (export,) = trained.glob("export")
    stage = json.loads((export / "stage.json").read_text())
    assert stage["model"] == "vlm" and stage["adapters"] == ["default"]
    assert {"vision_encoder.norm.running_mean", "projector.linear.weight"} <= set(stage["trained"])
    fresh, again = loaded(), loaded(MODEL__WEIGHTS=export)
    assert fresh.untrained and not again.untrained
    assert fresh.fingerprint() != again.fingerprint()
    assert int(again.vision_encoder.norm.num_batches_tracked) >= 3  # one batch a step, or more
    merge = ["merge", "--from", str(export), "--to", str(tmp_path / "whole"), "--dtype", "fp32"]
    assert main([*merge, *words()]) == 0
    whole = loaded(MODEL__WEIGHTS=tmp_path / "whole")
    there = [logits_of(model, tmp_path / "data") for model in (fresh, again, whole)]
    assert not torch.allclose(there[0], there[1], atol=1e-3)
    torch.testing.assert_close(there[1], there[2], atol=1e-4, rtol=1e-4)
    assert answers_of(again, tmp_path / "data") == answers_of(whole, tmp_path / "data")
    assert main(["eval", *words(MODEL__WEIGHTS=tmp_path / "whole", SAVE_DIR=tmp_path / "runs",
                                DATASETS__TEST=own_rows(tmp_path / "data"))]) == 0  # fmt: skip


def test_a_training_goes_on_with_the_statistics_of_its_norms(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run", symlinks=True)
    shutil.rmtree(tmp_path / "run" / "export")
    (tmp_path / "run" / "checkpoints" / "latest").unlink()
    for step in (2, 3):
        shutil.rmtree(tmp_path / "run" / "checkpoints" / f"step-{step:08d}")
    train(tmp_path / "run")
    whole, resumed = (
        load_file(folder / "export" / "trained.safetensors")
        for folder in (trained, tmp_path / "run")
    )
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_stage_of_parts_is_told_from_collavos(
    trained: Path, capsys: pytest.CaptureFixture
) -> None:
    given = ["MODEL.WEIGHTS", str(trained / "export"), "DATASETS.TEST", "pope_test"]
    assert main(["eval", "--overrides", *given]) == 2
    assert "is a stage of the model 'vlm': set MODEL.NAME vlm" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"MODEL.VISION_ENCODER": "flat"},
            "MODEL.PROJECTOR 'both_levels' takes 2 levels; MODEL.VISION_ENCODER 'flat' gives 1 "
            "level(s) of (patches, width) (3, 12)",
        ),
        ({"MODEL.PROJECTOR": "wrong_width"}, "'wrong_width' makes (1, 3, 129) of an image"),
        (
            {"MODEL.VISION_ENCODER": "clip_vit", "MODEL.PROJECTOR": "mlp"},
            "MODEL.VISION_ENCODER 'clip_vit' does not fit the other parts (images are (16, 24) pix",
        ),
        (
            {"MODEL.PROJECTOR": "pairs"},
            "MODEL.PROJECTOR 'pairs' does not fit the other parts",
        ),
        (
            {"MODEL.PROJECTOR": "halved"},
            "MODEL.IMAGE_POLICY 'strip_height' counts 3 visual tokens; MODEL.PROJECTOR 'halved' ma",
        ),
        ({"MODEL.TEMPLATE": "colavo"}, "MODEL.TEMPLATE is 'colavo'"),
        ({"MODEL.LLM": ""}, "MODEL.LLM is empty"),
        ({"INPUT.IMAGE_SIZE": 48}, "MODEL.VISION_ENCODER 'strips' takes images of 16 pixels"),
        ({"VISION.WEIGHTS": str(BUILTIN)}, "the vision encoder Strips reads no weights of its own"),
        ({"LLM.WEIGHTS": "nowhere/at/all"}, "LLM.WEIGHTS 'nowhere/at/all': there is no such fold"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_words(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError) as told:
        loaded(**keys)
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"MODEL.PROJECTOR": "both_level"}, "Unknown projector 'both_level'. Did you mean: both_l"),
        ({"MODEL.VISION_ENCODER": "clip_vits"}, "Did you mean: clip_vit"),
        ({"MODEL.NAME": "colavo"}, "Unknown model 'colavo'. Did you mean: collavo"),
    ],
)
def test_unknown_parts_are_refused_with_the_nearest(keys: dict[str, str], said: str) -> None:
    with pytest.raises(UnknownNameError) as told:
        loaded(**keys)
    assert said in str(told.value)


def test_other_parts_than_the_checkpoints_are_refused(trained: Path) -> None:
    with pytest.raises(ConfigError, match="MODEL.PROJECTOR is 'mlp', but the checkpoint was made"):
        loaded(MODEL__WEIGHTS=trained / "export", MODEL__PROJECTOR="mlp")
    with pytest.raises(ConfigError, match="MODEL.VISION_ENCODER is 'strips', but a checkpoint of"):
        loaded(MODEL__NAME="collavo")


def test_an_image_beyond_the_llms_positions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from collavo.modeling.llms.internlm2 import InternLM2

    build = InternLM2.build.__func__

    def short(cls: Any, config: Any, attn: str = "sdpa") -> Any:
        return build(cls, {**config, "max_position_embeddings": 200}, attn)

    monkeypatch.setattr(InternLM2, "build", classmethod(short))
    given = {"MODEL.VISION_ENCODER": "clip_vit", "MODEL.PROJECTOR": "mlp"}
    with pytest.raises(ConfigError, match="an image takes 256 tokens and the LLM 200 positions"):
        loaded(**given, **{"MODEL.IMAGE_POLICY": "pad"})
