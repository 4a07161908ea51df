"""TRAIN.MODULES: what it may say, and what becomes trainable."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from collavo.engine.training.optim import Schedule, parameter_groups
from collavo.engine.training.stage import ModuleRule, read_rules
from collavo.engine.training.trainable import (
    Trained,
    adapter_of,
    check_trainable,
    make_trainable,
    trainable_rows,
)
from collavo.errors import ConfigError

LORA = {"rank": 4, "alpha": 4, "dropout": 0.0, "targets": "all"}


class Model(nn.Module):
    """A tower of three blocks, a projector and an LLM with a head."""

    roles = {"ends": ("tower.position", "llm.lm_head.*")}

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Module()
        self.tower.position = nn.Parameter(torch.zeros(4, 2))
        self.tower.blocks = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        self.projector = nn.Linear(2, 2)
        self.llm = nn.Module()
        self.llm.embed = nn.Embedding(5, 2)
        self.llm.lm_head = nn.Linear(2, 5, bias=False)


def names(model: nn.Module, *entries: Any, **keys: Any) -> list[str]:
    rules = read_rules(entries)
    return [t.name for t in make_trainable(model, rules, 1e-3, 0.1, LORA, False, **keys)]


def test_rules_are_read() -> None:
    assert read_rules(["crayon", {"module": "tower", "mode": "partial", "from": -1, "lr": "1e-4"}])
    assert read_rules([{"module": "llm", "mode": "adapters"}])[0].adapters == ("image", "vl")
    assert read_rules([{"module": "llm", "mode": "lora"}])[0].adapters == ("default",)
    assert read_rules([{"module": "a", "lr": "1e-4"}]) == (ModuleRule("a", lr=1e-4),)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (3, "entry 1 is 3; it must be a mapping such as {module: crayon}"),
        ({"mode": "full"}, "must name its module, not None"),
        ({"module": "a", "mod": "full"}, "has the field 'mod'; Did you mean 'mode'?"),
        ({"module": "a", "mode": "fuul"}, "mode is 'fuul'; allowed: full, frozen, partial"),
        ({"module": "a", "lr": -1}, "lr is -1; it must be a number, at least 0"),
        ({"module": "a", "lr": True}, "lr is True"),
        ({"module": "a", "lr": "fast"}, "lr is 'fast'"),
        ({"module": "a", "mode": "partial"}, "mode partial needs from"),
        ({"module": "a", "from": 2}, "from goes with mode partial, not full"),
        ({"module": "a", "mode": "partial", "from": "x"}, "from is 'x'"),
        ({"module": "a", "adapters": ["x"]}, "adapters go with mode adapters, not full"),
    ],
)
def test_bad_rules_are_named(entry: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=r"TRAIN.MODULES, entry 1") as raised:
        read_rules([entry])
    assert words in str(raised.value)


def test_only_what_is_named_trains() -> None:
    model = Model()
    assert names(model, "projector") == ["projector.weight", "projector.bias"]
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        "projector.weight",
        "projector.bias",
    ]


def test_later_rules_win() -> None:
    found = names(Model(), "llm", {"module": "llm.lm_head", "mode": "frozen"})
    assert found == ["llm.embed.weight"]


def test_roles_and_patterns() -> None:
    assert names(Model(), "ends") == ["tower.position", "llm.lm_head.weight"]
    assert names(Model(), "tower.blocks.*.bias") == [f"tower.blocks.{i}.bias" for i in range(3)]


def test_later_blocks_only() -> None:
    last = {"module": "tower", "mode": "partial", "from": -1}
    assert names(Model(), last) == ["tower.blocks.2.weight", "tower.blocks.2.bias"]
    with pytest.raises(ConfigError, match=r"from is 3, but tower.blocks has 3 blocks"):
        names(Model(), {"module": "tower", "mode": "partial", "from": 3})


def test_unknown_module_suggests() -> None:
    with pytest.raises(ConfigError, match="Did you mean: projector") as raised:
        names(Model(), "projektor")
    assert "Modules and roles: ends, llm, projector, tower" in str(raised.value)


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(ConfigError, match="trains nothing"):
        names(Model(), {"module": "llm", "mode": "frozen"})


def test_what_trains_by_accident_is_an_error() -> None:
    model = Model()
    trained = make_trainable(model, read_rules(["projector"]), 1e-3, 0.0, LORA, False)
    model.llm.lm_head.requires_grad_(True)
    with pytest.raises(ConfigError, match=r"By accident: llm.lm_head.weight; left out: none"):
        check_trainable(model, trained)


def test_trained_parameters_are_float32() -> None:
    model = Model().half()
    make_trainable(model, read_rules(["projector"]), 1e-3, 0.0, LORA, False)
    assert model.projector.weight.dtype == torch.float32
    assert model.llm.lm_head.weight.dtype == torch.float16


def test_groups_by_rate_decay_and_side() -> None:
    trained = make_trainable(
        Model(), read_rules(["projector", {"module": "llm", "lr": 1e-5}]), 1e-3, 0.1, LORA, False
    )
    groups = {(g["lr"], g["weight_decay"]): g["names"] for g in parameter_groups(trained)}
    assert groups == {
        (1e-3, 0.1): ["projector.weight"],
        (1e-3, 0.0): ["projector.bias"],
        (1e-5, 0.1): ["llm.embed.weight", "llm.lm_head.weight"],
    }


def test_rows_take_layers_together() -> None:
    trained = make_trainable(Model(), read_rules(["tower.blocks"]), 1e-3, 0.0, LORA, False)
    assert trainable_rows(trained) == [
        ("tower.blocks.*.weight", "2 x 2", 3, 12, 1e-3, ""),
        ("tower.blocks.*.bias", "2", 3, 6, 1e-3, ""),
    ]


def test_adapter_of_a_name() -> None:
    assert adapter_of("llm.layers.0.q_proj.base.lora_A.image.weight") == "image"
    assert adapter_of("llm.layers.0.q_proj.base.weight") == ""
    assert Trained("x", nn.Parameter(torch.zeros(1)), 1.0, 0.0).side == ""


def test_schedules() -> None:
    cosine = Schedule("cosine", 100, 10, 0.01)
    assert [cosine.factor(s) for s in (0, 4, 9)] == [0.1, 0.5, 1.0]
    assert cosine.factor(10) == 1.0
    assert cosine.factor(55) == pytest.approx(0.505)
    assert cosine.factor(100) == pytest.approx(0.01)
    linear = Schedule("linear", 100, 0.1, 0.0)
    assert linear.warmup_steps == 10
    assert linear.factor(55) == pytest.approx(0.5)
    assert Schedule("constant", 100).factor(99) == 1.0
