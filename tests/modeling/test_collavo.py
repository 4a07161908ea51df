"""CoLLaVO's forward pass, its loss and gradients, and its ways of answering."""

from __future__ import annotations

import random

import pytest
import torch
from torch.nn import functional as F

from collavo.config import get_cfg
from collavo.errors import CheckpointError, ConfigError, DataError
from collavo.modeling.adapters.targets import plora_linears
from collavo.modeling.architectures import collavo_answers
from collavo.modeling.architectures.base import Generation
from collavo.modeling.architectures.collavo import CoLLaVO
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


def images(count: int) -> tuple[torch.Tensor, CrayonPrompt]:
    draw = torch.Generator().manual_seed(count)
    pixels = torch.randint(0, 256, (count, 3, 56, 56), dtype=torch.uint8, generator=draw)
    semantic = torch.randint(0, 5, (count, 4, 4), generator=draw)
    number = torch.randint(0, 3, (count, 4, 4), generator=draw)
    return pixels, CrayonPrompt(semantic, number, [None] * count)


def prompts(*lengths: tuple[int, int]) -> list[list[int]]:
    draw = random.Random(0)
    words = [[[draw.randrange(3, IMAGE) for _ in range(n)] for n in pair] for pair in lengths]
    return [[1, *before, IMAGE, *after] for before, after in words]


def test_a_batch_gives_each_row_what_it_gets_alone(model: CoLLaVO) -> None:
    rows = prompts((2, 5), (4, 9), (2, 7))
    pixels, crayon = images(3)
    width = max(map(len, rows))
    ids = torch.tensor([[2] * (width - len(r)) + r for r in rows])
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
    with torch.no_grad():
        whole = model(ids, pixels, crayon, mask).logits
        assert whole.shape == (3, width + 15, IMAGE)
        for i, row in enumerate(rows):
            part = CrayonPrompt(crayon.semantic[i : i + 1], crayon.number[i : i + 1], [None])
            alone = model(torch.tensor([row]), pixels[i : i + 1], part).logits
            torch.testing.assert_close(whole[i, -alone.shape[1] :], alone[0], atol=1e-4, rtol=1e-4)
        last = model(ids, pixels, crayon, mask, logits_to_keep=2).logits
    torch.testing.assert_close(last, whole[:, -2:])


def test_the_crayon_is_the_projected_sum_of_both_tables(model: CoLLaVO) -> None:
    pixels, crayon = images(2)
    with torch.no_grad():
        sight = model.see(pixels, crayon)
        tables = model.crayon.seg_prompt_embed.weight, model.crayon.seg_num_embed.weight
        cells = tables[0][crayon.semantic.flatten()] + tables[1][crayon.number.flatten()]
        expected = model.crayon_projector.project(cells).view(2, 16, 32)
    assert sight.features is not None and sight.index is not None
    assert len(sight.features) <= 15
    torch.testing.assert_close(sight.features[sight.index], expected)
    joined = type(sight).join(sight.split())
    assert joined.features is not None and joined.index is not None
    torch.testing.assert_close(joined.features[joined.index], expected)
    assert torch.equal(joined.image, sight.image)
    with pytest.raises(ValueError, match="with and without a crayon"):
        type(sight).join([sight, type(sight)(sight.image)])


def test_the_loss_is_the_next_token_s_on_labels_alone(model: CoLLaVO) -> None:
    rows = prompts((2, 6), (2, 6))
    pixels, crayon = images(2)
    ids = torch.tensor(rows)
    labels = ids.clone()
    labels[:, :6] = -100
    with torch.no_grad():
        found = model(ids, pixels, crayon, labels=labels)
        bare = model(ids, pixels, crayon, labels=labels, logits_to_keep=None)
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
    pixels, crayon = images(2)
    ids = torch.tensor(rows)
    model(ids, pixels, crayon, labels=ids.masked_fill(ids == IMAGE, -100)).loss.backward()
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
    pixels, crayon = images(2)
    maps = crayon if crayon_on else None
    suffixes = [[7, 8, 9], [11, 12], [7, 8, 9, 30]]
    owners = [1, 0, 1]
    whole = [[*(second if o else first), *s] for o, s in zip(owners, suffixes, strict=True)]
    with torch.no_grad():
        chosen = torch.tensor(owners)
        every = None
        if maps is not None:
            every = CrayonPrompt(maps.semantic[chosen], maps.number[chosen], [None] * 3)
        sight = model.see(pixels[chosen], every)
        plain = collavo_answers.plain(model, whole, sight, generation)
        alone = [
            collavo_answers.plain(model, [row], part, generation)[0]
            for row, part in zip(whole, sight.split(), strict=True)
        ]
        assert alone == plain
        for reuse, over in (
            ("prefix", collavo_answers.over_prefixes),
            ("vision", collavo_answers.over_sights),
        ):
            contexts = model.encode(pixels, maps, [first, second], reuse)
            assert all(c.nbytes > 0 for c in contexts)
            assert over(model, contexts, suffixes, owners, generation) == plain
    assert len({tuple(row) for row in plain}) == 3


def test_merged_image_weights_change_no_token(model: CoLLaVO) -> None:
    rows = prompts((2, 6), (2, 11))
    pixels, crayon = images(2)
    found = []
    for merges in (False, True):
        model.merges_images = merges
        contexts = model.encode(pixels, crayon, rows)
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
    pixels, crayon = images(3)
    with torch.no_grad():
        sight = model.see(pixels, crayon)
        together = collavo_answers.plain(model, rows, sight, generation)
        for i, part in enumerate(sight.split()):
            assert collavo_answers.plain(model, [rows[i]], part, generation) == [together[i]]
        contexts = model.encode(pixels, crayon, [r[:-3] for r in rows])
        ends = [r[-3:] for r in rows]
        shared = collavo_answers.over_prefixes(model, contexts, ends, [0, 1, 2], generation)
        assert shared == together
        other = Generation(beams, 6, do_sample=True, temperature=3.0, top_p=0.9, seed=6)
        assert collavo_answers.plain(model, rows, sight, other) != together


def test_prompts_without_an_image_are_answered(model: CoLLaVO) -> None:
    rows = [[1, 5, 6, 7], [1, 9]]
    with torch.no_grad():
        both = collavo_answers.plain(model, rows, None, BEAMS)
        assert both == [collavo_answers.plain(model, [r], None, BEAMS)[0] for r in rows]
    assert model.generate([], None, None, BEAMS) == []


def test_only_image_tokens_are_touched_by_plora(model: CoLLaVO) -> None:
    """Text before the image has the bare LLM's hidden states."""
    [row] = prompts((5, 4))
    pixels, crayon = images(1)
    with torch.no_grad():
        whole = model(torch.tensor([row]), pixels, crayon).logits
        bare = model.llm(torch.tensor([row[:6]])).logits
    torch.testing.assert_close(whole[:, :6], bare, atol=1e-4, rtol=1e-4)


def test_wrong_inputs_are_named(model: CoLLaVO) -> None:
    [row] = prompts((2, 3))
    pixels, crayon = images(1)
    ids = torch.tensor([row])
    with pytest.raises(DataError, match="0 images came with 1 image tokens"):
        model(ids)
    with pytest.raises(DataError, match="2 images came with 1 image tokens"):
        model(ids, images(2)[0])
    with pytest.raises(DataError, match=r"\(28, 28\) pixels; the model takes 56 x 56"):
        model(ids, pixels[:, :, :28, :28])
    short = CrayonPrompt(crayon.semantic[:, :3], crayon.number[:, :3], [None])
    with pytest.raises(DataError, match=r"crayon map is \(1, 3, 4\)"):
        model(ids, pixels, short)
    with pytest.raises(DataError, match="has 136 tokens; the model takes 128"):
        model.encode(pixels, crayon, [[1] * 120 + [IMAGE]])
    contexts = model.encode(pixels, crayon, [row])
    with pytest.raises(DataError, match="has 142 tokens; the model takes 128"):
        collavo_answers.over_prefixes(model, contexts, [[5] * 120], [0], GREEDY)
    with pytest.raises(ValueError, match="'prefix' or 'vision'"):
        model.encode(pixels, crayon, [row], reuse="all")
    with pytest.raises(CheckpointError, match=r"no tokenizer.model"):
        model.tokenize("text")


def test_the_built_in_model_answers_in_words() -> None:
    model = ARCHITECTURES.get("collavo").from_config(get_cfg(overrides=["DEVICE", "cpu"]))
    assert not model.untrained and model.uses_crayon and model.supports_prefix
    prompt = model.render("Is there a dog in the image?", "The image includes (#1 dog).")
    ids = model.tokenize(prompt)
    assert ids.count(model.image_token_id) == 1
    tokenizer = model.known_tokenizer()
    ends = collavo_answers.stop_ids(model, Generation(stop="turn_end"))
    assert ends == [2, tokenizer.turn_end_id]
    assert collavo_answers.stop_ids(model, Generation(stop="original")) == [2]
    yes = tokenizer.encode(" yes it is", add_bos=False)
    rows = [[*yes, ends[1], *yes], [*yes, 2], yes]
    assert collavo_answers.texts(model, rows) == ["yes it is"] * 3
    size = (1, 3, model.image_size, model.image_size)
    pixels = torch.full(size, 100, dtype=torch.uint8)
    contexts = model.encode(pixels, None, [ids[:-2]])
    answer = model.answer(contexts, [ids[-2:]], [0], GREEDY)
    assert answer == model.generate([ids], pixels, None, GREEDY)
    assert model.answer(contexts, [], [], GREEDY) == []


def test_attention_can_be_chosen() -> None:
    eager = CoLLaVO.from_config(get_cfg(overrides=["LLM.ATTN", "eager", "DEVICE", "cpu"]))
    plain = CoLLaVO.from_config(get_cfg(overrides=["DEVICE", "cpu"]))
    ids = eager.tokenize(eager.render("What is this?", None))
    pixels = torch.full((1, 3, 224, 224), 9, dtype=torch.uint8)
    with torch.no_grad():
        a, b = (m(torch.tensor([ids]), pixels, logits_to_keep=1).logits for m in (eager, plain))
    assert eager.llm.config._attn_implementation == "eager"
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    contexts = [m.encode(pixels, None, [ids[:-1]])[0] for m in (eager, plain)]
    torch.testing.assert_close(
        contexts[0].cache.values[-1], contexts[1].cache.values[-1], atol=1e-4, rtol=1e-4
    )
    with pytest.raises(ConfigError, match="flash"):
        CoLLaVO.from_config(get_cfg(overrides=["LLM.ATTN", "flash_attention_2", "DEVICE", "cpu"]))
