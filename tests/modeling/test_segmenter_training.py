"""Training of a Mask2Former: its losses, its task, and what is exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.models.mask2former.modeling_mask2former import (
    dice_loss,
    sigmoid_cross_entropy_loss,
)

from collavo.config import get_cfg
from collavo.datasets.registration.coco_panoptic import COCO_PANOPTIC
from collavo.datasets.segmentation.batches import PanopticPlan
from collavo.datasets.segmentation.example import PanopticExample
from collavo.errors import CheckpointError, ConfigError
from collavo.modeling.architectures.tiny import segmenter as tiny
from collavo.modeling.segmenters import training
from collavo.modeling.segmenters.mask2former import Mask2FormerSegmenter
from collavo.modeling.segmenters.mask2former_loading import load_mask2former
from collavo.modeling.segmenters.mask_loss import Predicted, dense_loss, match, matched_loss
from collavo.modeling.segmenters.new_mask2former import new_mask2former, read_processor
from collavo.modeling.segmenters.panoptic import Thresholds

SIZE = 64


class _Squares:
    """A bright square somewhere on a dark ground."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, row: int) -> PanopticExample:
        panoptic = np.full((SIZE // 2, SIZE // 2), 2, np.uint8)
        y, x = divmod(row, 4)
        panoptic[4 + 4 * y : 16 + 4 * y, 4 + 4 * x : 16 + 4 * x] = 1
        image = np.where(panoptic.repeat(2, 0).repeat(2, 1) == 1, 220, 30)
        return PanopticExample(np.stack([image] * 3).astype(np.uint8), panoptic, (17, 120))

    def name(self, row: int) -> str:
        return f"square {row}"

    def fingerprint(self) -> str:
        return "squares"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny segmenter's shapes at 64 pixels, as they are drawn."""
    folder = tmp_path_factory.mktemp("segmenter")
    tiny.write_segmenter(folder, [c.name for c in COCO_PANOPTIC])
    path = folder / "preprocessor_config.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "size": {"height": SIZE, "width": SIZE}}))
    return folder


@pytest.fixture
def task(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> training.SegmenterTask:
    monkeypatch.setattr(training, "open_sources", lambda *_: [_Squares()])
    monkeypatch.setattr(training, "CALIBRATION_STEPS", 2)
    return training.SegmenterTask.from_config(_cfg(checkpoint), "cpu")


def _cfg(checkpoint: Path, *words: object) -> object:
    fixed = ["SEGMENTER.WEIGHTS", str(checkpoint), "TRAIN.INIT", "random", "TRAIN.BATCH_SIZE", 4]
    return get_cfg(overrides=[*fixed, *words])


def _place(rank: int = 0, world: int = 1) -> SimpleNamespace:
    return SimpleNamespace(share=slice(rank, None, world))


def _found() -> tuple[Predicted, torch.Tensor, torch.Tensor]:
    """Two layers, two images, four queries, five classes and none, masks of nine cells."""
    torch.manual_seed(0)
    masks = torch.rand(2, 3, 9)
    labels = torch.tensor([[4, 1, 0], [2, -1, -1]])
    return Predicted(torch.randn(2, 2, 4, 6), torch.randn(2, 2, 4, 9)), masks, labels


def test_queries_are_paired_with_what_they_show() -> None:
    found, masks, labels = _found()
    masks = masks.round()  # a blurred mask may be fitted better by a blurred prediction
    shown = found.masks.clone()
    shown[1, 0, [3, 0, 1]] = 20 * masks[0] - 10
    weights = {"class": 0.0, "mask": 5.0, "dice": 5.0}
    pairs = match(Predicted(found.classes, shown), masks, labels, weights)
    here = (pairs.layer == 1) & (pairs.image == 0)
    found_pairs = zip(pairs.query[here].tolist(), pairs.segment[here].tolist(), strict=True)
    assert sorted(found_pairs) == [(0, 1), (1, 2), (3, 0)]
    assert len(pairs.layer) == 2 * 4 and not (pairs.segment[pairs.image == 1] > 0).any()
    broken = Predicted(found.classes, torch.full_like(shown, torch.nan))
    assert len(match(broken, masks, labels, weights).layer) == 8


def test_losses_are_those_of_transformers() -> None:
    found, masks, labels = _found()
    pairs = match(found, masks, labels, {"class": 2.0, "mask": 5.0, "dice": 5.0})
    ours = matched_loss(found, masks, labels, pairs, no_object=0.1)
    for layer in range(2):
        of = pairs.layer == layer
        image, query, segment = (x[of] for x in (pairs.image, pairs.query, pairs.segment))
        logits, targets = found.masks[layer, image, query], masks[image, segment]
        cross = sigmoid_cross_entropy_loss(logits, targets, 1)
        assert torch.allclose(ours["mask"][layer], cross)
        assert torch.allclose(ours["dice"][layer], dice_loss(logits, targets, 1))
        wanted = torch.full((2, 4), 5)
        wanted[image, query] = labels[image, segment]
        weight = torch.tensor([1, 1, 1, 1, 1, 0.1])
        mean = torch.nn.functional.cross_entropy(
            found.classes[layer].flatten(0, 1), wanted.flatten(), weight
        )
        # four segments, and four of the eight queries stand for none
        assert torch.allclose(ours["class"][layer] / (4 + 4 * 0.1), mean)


def test_the_dense_head_learns_whose_cell_it_is() -> None:
    masks = torch.tensor([[[1.0, 0.4, 0.0, 0.0], [0.0, 0.5, 0.3, 1.0]]])
    wanted = torch.tensor([[1, 2, 5, 2]])  # the third cell is of no segment for the most part
    logits = 30.0 * torch.nn.functional.one_hot(wanted, 6).float().mT.unflatten(2, (2, 2))
    assert dense_loss(logits, masks, torch.tensor([[1, 2]])) < 1e-3
    assert dense_loss(logits, masks, torch.tensor([[1, 3]])) > 20


def test_it_decodes_as_transformers_does(task: training.SegmenterTask) -> None:
    whole = task.model.eval()
    pixels = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        theirs = whole.segmenter(pixel_values=pixels)
        transformer = whole.segmenter.model.transformer_module
        contents, places = (
            e.weight[:, None].repeat(1, 2, 1)
            for e in (transformer.queries_features, transformer.queries_embedder)
        )
        ours = whole._decode(whole._levels(pixels), contents, places)
    assert torch.allclose(ours.classes[-1], theirs.class_queries_logits, atol=1e-5)
    assert torch.allclose(ours.masks[-1], theirs.masks_queries_logits.flatten(2), atol=1e-4)
    assert len(ours.classes) == len(transformer.decoder.layers) + 1


def test_shares_of_a_step_add_up(task: training.SegmenterTask) -> None:
    task.model.eval()  # batch norms would see other batches
    whole = task.load(3, _place())
    totals = task.counts(whole)
    halves = [task.load(3, _place(rank, 2)) for rank in range(2)]
    assert torch.equal(sum(task.counts(half) for half in halves), totals)
    with torch.no_grad():
        one = task.loss(task.model, whole, totals)
        two = [task.loss(task.model, half, totals) for half in halves]
    assert torch.allclose(one.total, sum(part.total for part in two), rtol=1e-4)
    assert torch.allclose(one.total, torch.stack(list(one.scalars.values())).sum())
    assert task.sample_ids(whole)[::2] == task.sample_ids(halves[0])


def test_a_few_steps_lower_the_loss(task: training.SegmenterTask) -> None:
    optimizer = torch.optim.AdamW(task.model.parameters(), 2e-3)
    losses = []
    for step in range(12):
        batch = task.load(step, _place())
        found = task.loss(task.model.train(), batch, task.counts(batch))
        optimizer.zero_grad()
        found.total.backward()
        optimizer.step()
        losses.append(found.total.item())
    assert losses[-1] < 0.8 * losses[0]


def test_every_parameter_learns(task: training.SegmenterTask) -> None:
    batch = task.load(0, _place())
    task.loss(task.model, batch, task.counts(batch)).total.backward()
    idle = [name for name, p in task.model.named_parameters() if p.grad is None]
    assert not idle


def test_the_export_is_a_checkpoint(
    task: training.SegmenterTask, checkpoint: Path, tmp_path: Path
) -> None:
    before = {name: p.clone() for name, p in task.model.named_parameters()}
    task.export(tmp_path)
    assert {f.name for f in tmp_path.iterdir()} == {
        "config.json", "model.safetensors", "preprocessor_config.json"
    }  # fmt: skip
    fields = json.loads((tmp_path / "config.json").read_text())
    assert fields["collavo"] == {"recipe": training.RECIPE, "trained_on": []}
    loaded = load_mask2former(tmp_path)
    pixels = torch.randn(1, 3, SIZE, SIZE)
    with torch.no_grad():
        one = task.model.segmenter.eval()(pixel_values=pixels).masks_queries_logits
        two = loaded(pixel_values=pixels).masks_queries_logits
    assert (one - two).abs().max() < 0.05 * one.abs().max()
    assert all(torch.equal(p, before[name]) for name, p in task.model.named_parameters())
    assert not Mask2FormerSegmenter.from_pretrained(tmp_path, (4, 4)).untrained


def test_the_export_brings_the_thresholds_of_its_training(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "open_sources", lambda *_: [_Squares()])
    monkeypatch.setattr(training, "CALIBRATION_STEPS", 1)
    cfg = _cfg(checkpoint, "SEGMENTER.MASK_THRESHOLD", 0.5)
    training.SegmenterTask.from_config(cfg, "cpu").export(tmp_path)
    segmenter = Mask2FormerSegmenter.from_pretrained(tmp_path, (4, 4))
    assert segmenter.thresholds == Thresholds(mask=0.5)


def test_running_statistics_follow_from_the_weights(
    task: training.SegmenterTask, tmp_path: Path
) -> None:
    task.export(tmp_path / "one")
    for module in task.model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.fill_(3.0)
    task.export(tmp_path / "two")
    one, two = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("one", "two"))
    assert one == two


def test_a_probe_changes_nothing(task: training.SegmenterTask) -> None:
    task.model.train()
    assert torch.equal(task.probe(), task.probe()) and task.model.training


def test_new_weights_follow_from_the_seed(checkpoint: Path) -> None:
    one, two, other = (new_mask2former(checkpoint, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "TRAIN.DATA is empty: name what to train the segmenter on"),
        (["llava:/data/x.json"], "cannot be trained on llava:/data/x.json; take miniature:panop"),
        (["miniature:vl"], "cannot be trained on miniature:vl"),
    ],
)
def test_data_of_another_kind_is_refused(checkpoint: Path, data: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        training.SegmenterTask.from_config(_cfg(checkpoint, "TRAIN.DATA", data), "cpu")


def test_the_processor_has_to_give_squares(checkpoint: Path, tmp_path: Path) -> None:
    assert read_processor(checkpoint).size == SIZE
    fields = json.loads((checkpoint / "preprocessor_config.json").read_text())
    for size, message in (
        ({"height": 64, "width": 96}, "size is 64 x 96; a segmenter is trained on squares"),
        ({"shortest_edge": 800}, "names no size with height and width"),
    ):
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({**fields, "size": size}))
        with pytest.raises(CheckpointError, match=message):
            read_processor(tmp_path)


def test_a_checkpoint_brings_its_own_thresholds(checkpoint: Path, tmp_path: Path) -> None:
    assert Mask2FormerSegmenter.from_pretrained(checkpoint, (4, 4)).thresholds == Thresholds()
    for file in checkpoint.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    path = tmp_path / "config.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "collavo": {"thresholds": {"mask": 0.7}}}))
    own = Mask2FormerSegmenter.from_pretrained(tmp_path, (4, 4))
    assert own.thresholds == Thresholds(mask=0.7)
    words = ["SEGMENTER.WEIGHTS", str(tmp_path), "SEGMENTER.THRESHOLD", "0.6"]
    mixed = Mask2FormerSegmenter.from_config(get_cfg(overrides=words), (4, 4))
    assert mixed.thresholds == Thresholds(0.6, 0.7, 0.8)
    given = Mask2FormerSegmenter.from_pretrained(tmp_path, (4, 4), Thresholds(mask=0.9))
    assert given.thresholds.mask == 0.9 and given.fingerprint() != own.fingerprint()
    path.write_text(json.dumps({**fields, "collavo": {"thresholds": {"mask": "high"}}}))
    with pytest.raises(CheckpointError, match="threshold mask: 'high'; there are score, mask"):
        Mask2FormerSegmenter.from_pretrained(tmp_path, (4, 4))


def test_plans_take_a_batch_of_the_config(checkpoint: Path) -> None:
    plan = PanopticPlan([_Squares()], 4, 30, 0)
    assert plan.batch(0, slice(None)).order.shape == (4, 30)


def test_a_training_is_told_by_the_weights_that_it_begins_with(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "own")
    monkeypatch.setattr(training, "open_sources", lambda *_: [_Squares()])

    def told(*words: object) -> object:
        return training.SegmenterTask.from_config(_cfg(folder, *words), "cpu").fingerprint()

    own, drawn = told("TRAIN.INIT", "weights"), told()
    assert own != drawn
    file = folder / "model.safetensors"
    save_file({k: v + 1 for k, v in load_file(file).items()}, file, {"format": "pt"})
    assert told("TRAIN.INIT", "weights") != own
    assert told() == drawn, "new weights take its shapes alone"
