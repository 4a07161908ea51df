"""The Crayon Prompt's tables, on distinct pairs."""

from __future__ import annotations

import pytest
import torch

from collavo.errors import ConfigError
from collavo.modeling.crayon.embedding import CrayonEmbedding


def maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    semantic = torch.randint(0, 134, (3, 5, 7), generator=random)
    semantic[:, ::2] = 17
    return semantic, torch.randint(0, 21, (3, 5, 7), generator=random) // 9


def test_pairs_give_what_cells_give():
    semantic, number = maps()
    embedding = CrayonEmbedding(12)
    pairs = embedding.pairs(semantic, number)
    whole = embedding.seg_prompt_embed(semantic) + embedding.seg_num_embed(number)
    assert torch.equal(embedding(pairs)[pairs.index], whole.flatten(1, 2))


def test_pairs_are_distinct_and_all_used():
    semantic, number = maps(1)
    pairs = CrayonEmbedding(4).pairs(semantic, number)
    found = set(zip(pairs.semantic.tolist(), pairs.number.tolist(), strict=True))
    cells = zip(semantic.flatten().tolist(), number.flatten().tolist(), strict=True)
    assert found == set(cells)
    assert len(found) == len(pairs.semantic)
    assert set(pairs.index.flatten().tolist()) == set(range(len(found)))


def test_gradients_reach_the_tables():
    semantic, number = torch.full((1, 2, 2), 5), torch.tensor([[[1, 1], [1, 2]]])
    embedding = CrayonEmbedding(3)
    pairs = embedding.pairs(semantic, number)
    embedding(pairs)[pairs.index].sum().backward()
    gradient = embedding.seg_prompt_embed.weight.grad
    assert gradient is not None
    assert gradient[5].tolist() == [4.0, 4.0, 4.0]
    assert gradient.sum() == 12


def test_published_table_sizes():
    embedding = CrayonEmbedding(8)
    assert embedding.seg_prompt_embed.weight.shape == (134, 8)
    assert embedding.seg_num_embed.weight.shape == (21, 8)


@pytest.mark.parametrize(("value", "where"), [(134, "class"), (-1, "class"), (21, "number")])
def test_rows_that_are_not_there(value, where):
    semantic, number = maps()
    (semantic if where == "class" else number)[0, 0, 0] = value
    with pytest.raises(ConfigError, match=f"{where} row"):
        CrayonEmbedding(4).pairs(semantic, number)
