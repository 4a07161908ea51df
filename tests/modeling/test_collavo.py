"""CoLLaVO's forward pass, its loss and gradients, and its ways of answering."""

from __future__ import annotations

import random

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from collavo.config import get_cfg
from collavo.errors import CheckpointError, ConfigError, DataError
from collavo.modeling.adapters.targets import plora_linears
from collavo.modeling.architectures.base import Generation
from collavo.modeling.architectures.collavo import CoLLaVO
from collavo.modeling.image_policies.base import VisualInput
from collavo.modeling.image_policies.square import square_input
from collavo.records import CrayonPrompt
from collavo.registry import ARCHITECTURES

IMAGE = 40
CONFIG = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 2,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000,
    "vocab_size": IMAGE,
    "vision_config": {
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
    },
}
GREEDY = Generation(num_beams=1, max_new_tokens=6)
BEAMS = Generation(num_beams=3, max_new_tokens=6)


@pytest.fixture(scope="module")
def model() -> CoLLaVO:
    torch.manual_seed(0)
    made = CoLLaVO(CONFIG, rank=4, dropout=0.0).eval()
    with torch.no_grad():
        for _, linear in plora_linears(made.llm):
            linear.up.weight.normal_(std=0.2)
            if linear.crayon_up is not None:
                linear.crayon_up.weight.normal_(std=0.2)
        for parameter in made.llm.parameters():
            parameter.mul_(3)  # tokens that stand clear of each other
    return made


def images(count: int) -> tuple[list[VisualInput], CrayonPrompt]:
    draw = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, 3, 56, 56), dtype=torch.uint8, generator=draw)
    semantic = torch.randint(0, 5, (count, 4, 4), generator=draw)
    number = torch.randint(0, 3, (count, 4, 4), generator=draw)
    visuals = [square_input(image, 16) for image in pixels]
    return visuals, CrayonPrompt(semantic, number, [None] * count)


def each(visuals: list[VisualInput]) -> list[tuple[VisualInput, ...]]:
    """One image a prompt."""
    return [(visual,) for visual in visuals]


def prompts(*lengths: tuple[int, int]) -> list[list[int]]:
    draw = random.Random(0)
    words = [[[draw.randrange(3, IMAGE) for _ in range(n)] for n in pair] for pair in lengths]
    return [[1, *before, IMAGE, *after] for before, after in words]


def test_a_batch_gives_each_row_what_it_gets_alone(model: CoLLaVO) -> None:
    rows = prompts((2, 5), (4, 9), (2, 7))
    visuals, crayon = images(3)
    width = max(map(len, rows))
    ids = torch.tensor([[2] * (width - len(r)) + r for r in rows])
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
    with torch.no_grad():
        whole = model(ids, visuals, crayon, mask).logits
        assert whole.shape == (3, width + 15, IMAGE)
        for i, row in enumerate(rows):
            part = CrayonPrompt(crayon.semantic[i : i + 1], crayon.number[i : i + 1], [None])
            alone = model(torch.tensor([row]), visuals[i : i + 1], part).logits
            torch.testing.assert_close(whole[i, -alone.shape[1] :], alone[0], atol=1e-4, rtol=1e-4)
        last = model(ids, visuals, crayon, mask, logits_to_keep=2).logits
    torch.testing.assert_close(last, whole[:, -2:])


def test_the_crayon_is_the_projected_sum_of_both_tables(model: CoLLaVO) -> None:
    visuals, crayon = images(2)
    with torch.no_grad():
        embeds = model.embed_images(visuals, crayon)
        tables = model.crayon.seg_prompt_embed.weight, model.crayon.seg_num_embed.weight
        cells = tables[0][crayon.semantic.flatten()] + tables[1][crayon.number.flatten()]
        expected = model.crayon_projector.project(cells)
    assert embeds.crayon is not None and embeds.index is not None
    assert len(embeds.crayon) <= 15
    torch.testing.assert_close(embeds.crayon[embeds.index], expected)
    joined = type(embeds).join(embeds.split([1, 1]))
    assert joined.crayon is not None and joined.index is not None
    torch.testing.assert_close(joined.crayon[joined.index], expected)
    assert torch.equal(joined.embeds, embeds.embeds)
    with pytest.raises(ValueError, match="with and without a crayon"):
        type(embeds).join([embeds, type(embeds)(embeds.embeds, embeds.counts)])


def test_the_loss_is_the_next_token_s_on_labels_alone(model: CoLLaVO) -> None:
    rows = prompts((2, 6), (2, 6))
    visuals, crayon = images(2)
    ids = torch.tensor(rows)
    labels = ids.clone()
    labels[:, :6] = -100
    with torch.no_grad():
        found = model(ids, visuals, crayon, labels=labels)
        bare = model(ids, visuals, crayon, labels=labels, logits_to_keep=None)
    assert bare.logits is None
    logits = found.logits[:, -6:-1].flatten(0, 1)
    expected = F.cross_entropy(logits[1:5], labels[0, 6:]) + F.cross_entropy(
        logits[6:10], labels[1, 6:]
    )
    # positions -5 .. -1 of each row are predicted from -6 .. -2; the first of them has no label
    torch.testing.assert_close(found.loss, expected / 2, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(bare.loss, found.loss)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("same_place", [False, True])
def test_gradients_reach_all_that_trains(checkpointing: bool, same_place: bool) -> None:
    torch.manual_seed(0)
    model = CoLLaVO(CONFIG, rank=4, dropout=0.1).train()
    if checkpointing:
        model.gradient_checkpointing_enable()
    for _, linear in plora_linears(model.llm):
        torch.nn.init.normal_(linear.up.weight, std=0.1)
        if linear.crayon_up is not None:
            torch.nn.init.normal_(linear.crayon_up.weight, std=0.1)
    rows = prompts((2, 6), (2, 6) if same_place else (4, 4))
    visuals, crayon = images(2)
    ids = torch.tensor(rows)
    model(ids, visuals, crayon, labels=ids.masked_fill(ids == IMAGE, -100)).loss.backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert without == []
    frozen = {n.split(".")[0] for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"vision_encoder"} and not model.vision_encoder.training
    held = dict(model.named_parameters())
    for name in ("crayon.seg_prompt_embed.weight", "projector.layers.0.weight"):
        assert held[name].grad is not None and held[name].grad.abs().sum() > 0
    assert model.state.active is None


@pytest.mark.parametrize("generation", [GREEDY, BEAMS], ids=["greedy", "beams"])
@pytest.mark.parametrize("crayon_on", [True, False])
@pytest.mark.parametrize("places", [(2, 2), (2, 5)], ids=["same place", "other place"])
def test_all_ways_give_the_same_tokens(
    model: CoLLaVO, generation: Generation, crayon_on: bool, places: tuple[int, int]
) -> None:
    """Plain, prefill for each question, shared prefix: three questions on two images."""
    first, second = prompts((places[0], 6), (places[1], 11))
    visuals, crayon = images(2)
    maps = crayon if crayon_on else None
    suffixes = [[7, 8, 9], [11, 12], [7, 8, 9, 30]]
    owners = [1, 0, 1]
    whole = [[*(second if o else first), *s] for o, s in zip(owners, suffixes, strict=True)]
    with torch.no_grad():
        chosen = torch.tensor(owners)
        every = None
        if maps is not None:
            every = CrayonPrompt(maps.semantic[chosen], maps.number[chosen], [None] * 3)
        embeds = model.embed_images([visuals[owner] for owner in owners], every)
        plain = model.generate_ids(whole, embeds, generation)
        alone = [
            model.generate_ids([row], part, generation)[0]
            for row, part in zip(whole, embeds.split([1, 1, 1]), strict=True)
        ]
        assert alone == plain
        for reuse in ("prefix", "vision"):
            contexts = model.encode(each(visuals), maps, [first, second], reuse)
            assert all(c.nbytes > 0 for c in contexts)
            assert model.answer_ids(contexts, suffixes, owners, generation) == plain
    assert len({tuple(row) for row in plain}) == 3


def test_merged_image_weights_change_no_token(model: CoLLaVO) -> None:
    rows = prompts((2, 6), (2, 11))
    visuals, crayon = images(2)
    found = []
    for merges in (False, True):
        model.merges_images = merges
        contexts = model.encode(each(visuals), crayon, rows)
        assert all((m.merged is not None) is merges for _, m in plora_linears(model.llm))
        found.append(contexts)
    model.merges_images = False
    for before, after in zip(*found, strict=True):
        assert before.num_tokens == after.num_tokens
        for a, b in zip(before.cache.keys, after.cache.keys, strict=True):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    model.train().eval()
    assert all(m.merged is None for _, m in plora_linears(model.llm))


@pytest.mark.parametrize("beams", [1, 3])
def test_draws_depend_on_the_question_alone(model: CoLLaVO, beams: int) -> None:
    generation = Generation(beams, 6, do_sample=True, temperature=3.0, top_p=0.9, seed=5)
    rows = prompts((2, 6), (2, 9), (4, 9))
    visuals, crayon = images(3)
    with torch.no_grad():
        embeds = model.embed_images(visuals, crayon)
        together = model.generate_ids(rows, embeds, generation)
        for i, part in enumerate(embeds.split([1, 1, 1])):
            assert model.generate_ids([rows[i]], part, generation) == [together[i]]
        contexts = model.encode(each(visuals), crayon, [r[:-3] for r in rows])
        ends = [r[-3:] for r in rows]
        shared = model.answer_ids(contexts, ends, [0, 1, 2], generation)
        assert shared == together
        other = Generation(beams, 6, do_sample=True, temperature=3.0, top_p=0.9, seed=6)
        assert model.generate_ids(rows, embeds, other) != together


def test_prompts_without_an_image_are_answered(model: CoLLaVO) -> None:
    rows = [[1, 5, 6, 7], [1, 9]]
    with torch.no_grad():
        both = model.generate_ids(rows, None, BEAMS)
        assert both == [model.generate_ids([r], None, BEAMS)[0] for r in rows]
    assert model.generate([], [], None, BEAMS) == []


def test_only_image_tokens_are_touched_by_plora(model: CoLLaVO) -> None:
    """Text before the image has the bare LLM's hidden states."""
    [row] = prompts((5, 4))
    visuals, crayon = images(1)
    with torch.no_grad():
        whole = model(torch.tensor([row]), visuals, crayon).logits
        bare = model.llm(torch.tensor([row[:6]])).logits
    torch.testing.assert_close(whole[:, :6], bare, atol=1e-4, rtol=1e-4)


def test_wrong_inputs_are_named(model: CoLLaVO) -> None:
    [row] = prompts((2, 3))
    visuals, crayon = images(1)
    ids = torch.tensor([row])
    with pytest.raises(DataError, match="0 images came with 1 image tokens"):
        model(ids)
    with pytest.raises(DataError, match="2 images came with 1 image tokens"):
        model(ids, images(2)[0])
    with pytest.raises(DataError, match=r"\(28, 28\) pixels; the model takes 56 x 56"):
        model(ids, [square_input(visuals[0].tensors["pixel_values"][:, :28, :28], 16)])
    short = CrayonPrompt(crayon.semantic[:, :3], crayon.number[:, :3], [None])
    with pytest.raises(DataError, match=r"crayon map is \(1, 3, 4\)"):
        model(ids, visuals, short)
    with pytest.raises(DataError, match="has 136 tokens; the model takes 128"):
        model.encode(each(visuals), crayon, [[1] * 120 + [IMAGE]])
    contexts = model.encode(each(visuals), crayon, [row])
    with pytest.raises(DataError, match="has 142 tokens; the model takes 128"):
        model.answer_ids(contexts, [[5] * 120], [0], GREEDY)
    with pytest.raises(ValueError, match="'prefix' or 'vision'"):
        model.encode(each(visuals), crayon, [row], reuse="all")
    with pytest.raises(CheckpointError, match=r"no tokenizer.model"):
        model.tokenize("text")


def test_the_built_in_model_answers_in_words() -> None:
    model = ARCHITECTURES.get("collavo").from_config(get_cfg(overrides=["DEVICE", "cpu"]))
    assert not model.untrained and model.uses_crayon and model.supports_prefix
    prompt = model.render("Is there a dog in the image?", "The image includes (#1 dog).")
    ids = model.tokenize(prompt)
    assert ids.count(model.image_token_id) == 1
    tokenizer = model.known_tokenizer()
    ends = model.stop_ids(Generation(stop="turn_end"))
    assert ends == [2, tokenizer.turn_end_id]
    assert model.stop_ids(Generation(stop="original")) == [2]
    yes = tokenizer.encode(" yes it is", add_bos=False)
    rows = [[*yes, ends[1], *yes], [*yes, 2], yes]
    assert model.texts(rows) == ["yes it is"] * 3
    visuals = [(model.prepare(Image.new("RGB", (64, 48), (100, 100, 100))),)]
    contexts = model.encode(visuals, None, [ids[:-2]])
    answer = model.answer(contexts, [ids[-2:]], [0], GREEDY)
    assert answer == model.generate([ids], visuals, None, GREEDY)
    assert model.answer(contexts, [], [], GREEDY) == []


def test_attention_can_be_chosen() -> None:
    eager = CoLLaVO.from_config(get_cfg(overrides=["LLM.ATTN", "eager", "DEVICE", "cpu"]))
    plain = CoLLaVO.from_config(get_cfg(overrides=["DEVICE", "cpu"]))
    ids = eager.tokenize(eager.render("What is this?", None))
    visuals = eager.squares(torch.full((1, 3, 224, 224), 9, dtype=torch.uint8))
    with torch.no_grad():
        a, b = (m(torch.tensor([ids]), visuals, logits_to_keep=1).logits for m in (eager, plain))
    assert eager.llm.config._attn_implementation == "eager"
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    contexts = [m.encode([visuals], None, [ids[:-1]])[0] for m in (eager, plain)]
    torch.testing.assert_close(
        contexts[0].cache.values[-1], contexts[1].cache.values[-1], atol=1e-4, rtol=1e-4
    )
    with pytest.raises(ConfigError, match="flash"):
        CoLLaVO.from_config(get_cfg(overrides=["LLM.ATTN", "flash_attention_2", "DEVICE", "cpu"]))
