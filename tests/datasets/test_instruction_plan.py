"""Mixes and plans: shares, epochs without gaps or repeats, kinds of steps, groups by length."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import pytest

from collavo.datasets.instruction.mix import Mix, Ref
from collavo.datasets.instruction.plan import Plan
from collavo.datasets.instruction.shuffle import numbers, order, uniform
from collavo.datasets.instruction.source import BadRows, SourceSpec
from collavo.errors import ConfigError, DataError
from collavo.records import Conversation


@dataclass
class Listed:
    """A source of given lengths; negative ones stand for rows without image."""

    name: str
    lengths: Sequence[int]
    weight: float = 1.0
    kind: str = "vl"
    bad: BadRows = field(default_factory=BadRows)

    @property
    def spec(self) -> SourceSpec:
        return SourceSpec(self.name, f"/{self.name}", kind=self.kind, weight=self.weight)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> Conversation:
        return Conversation(f"{self.name}:{row}", (), (), self.kind, self.name)

    def num_images(self, row: int) -> int:
        return int(self.has_image(row))

    def has_image(self, row: int) -> bool:
        return self.lengths[row] > 0

    def num_turns(self, row: int) -> int:
        return 2

    def length(self, row: int) -> int:
        return abs(self.lengths[row])

    class_names = None

    def segments(self, row: int) -> None:
        return None

    def fingerprint(self) -> str:
        return self.name


def rows_of(plan: Plan, steps: int, start: int = 0) -> list[Ref]:
    return [ref for n in range(start, start + steps) for ref in plan.step(n).refs]


@pytest.mark.parametrize("grouped", [False, True])
def test_epochs_have_every_row_once(grouped: bool) -> None:
    mix = Mix([Listed("a", [n % 7 + 1 for n in range(103)])])
    plan = Plan(mix, 8, seed=3, group_by_length=grouped)
    assert plan.steps_per_epoch == 13 and plan.rows_per_epoch == 103
    taken = [ref.row for ref in rows_of(plan, 13)]
    assert sorted(taken[:103]) == list(range(103))
    assert taken[:20] != sorted(taken[:20])
    if not grouped:
        second = [ref.row for ref in rows_of(plan, 26)][103:206]
        assert sorted(second) == list(range(103)) and second != taken[:103]


def test_a_step_depends_on_its_number_alone() -> None:
    mix = Mix([Listed("a", [1] * 50), Listed("b", [1] * 20, weight=0.5)])
    first, other = Plan(mix, 4, seed=1), Plan(mix, 4, seed=1)
    expected = [first.step(n) for n in range(400)]
    assert [other.step(n) for n in (399, 0, 123, 7)] == [expected[n] for n in (399, 0, 123, 7)]
    assert [Plan(mix, 4, seed=2).step(n) for n in range(5)] != expected[:5]
    # another batch size only cuts the same sequence elsewhere
    assert rows_of(Plan(mix, 8, seed=1), 10) == rows_of(first, 20)
    with pytest.raises(ValueError, match="steps count from 0, got -1"):
        first.step(-1)


def test_sources_of_a_plan_keep_their_order_when_others_come_and_go() -> None:
    alone = Plan(Mix([Listed("a", [1] * 30)]), 30, seed=1).step(0).refs
    both = Plan(Mix([Listed("b", [1] * 30), Listed("a", [1] * 30)]), 60, seed=1).step(0).refs
    assert [r.row for r in both if r.source == 1] == [r.row for r in alone]


@pytest.mark.parametrize(
    ("sizes", "weights"),
    [((600, 400), (6, 4)), ((50, 50, 10), (1, 2, 5)), ((7, 3), (0.1, 99.9)), ((5, 5), (1, 2))],
)
def test_shares_follow_the_weights_and_walks_have_no_gaps(
    sizes: tuple[int, ...], weights: tuple[float, ...]
) -> None:
    sources = [
        Listed(f"s{i}", [1] * n, weight=w)
        for i, (n, w) in enumerate(zip(sizes, weights, strict=True))
    ]
    taken = rows_of(Plan(Mix(sources), 100, seed=0), 200)
    for s, (size, weight) in enumerate(zip(sizes, weights, strict=True)):
        walk = [ref.row for ref in taken if ref.source == s]
        assert len(walk) / len(taken) == pytest.approx(weight / sum(weights), abs=0.01)
        whole = iter(walk)
        for _ in range(len(walk) // size):
            assert sorted(islice(whole, size)) == list(range(size))


def test_sources_of_their_own_share_are_a_pass_over_all() -> None:
    mix = Mix([Listed("a", [1] * 61, weight=61), Listed("b", [1] * 39, weight=39)])
    plan = Plan(mix, 10, seed=0)
    assert len(set(rows_of(plan, 10))) == 100
    assert plan.steps_for(2.5) == 25 and plan.steps_for(0.01) == 1


def test_a_source_of_weight_zero_is_left_out() -> None:
    plan = Plan(Mix([Listed("a", [1] * 9, weight=0), Listed("b", [1] * 5)]), 5, seed=0)
    assert plan.rows_per_epoch == 5
    assert {ref.source for ref in rows_of(plan, 9)} == {1}


def test_kinds_of_steps() -> None:
    mix = Mix(
        [
            Listed("i", [1] * 40, kind="image"),
            Listed("v", [1] * 60, weight=2),
            Listed("w", [1] * 30),
        ]
    )
    plan = Plan(mix, 5, seed=4, image_probability=0.3)
    steps = [plan.step(n) for n in range(4000)]
    share = sum(step.kind == "image" for step in steps) / 4000
    assert share == pytest.approx(0.3, abs=0.03)
    for kind, allowed in (("image", {0}), ("vl", {1, 2})):
        taken = [ref for step in steps if step.kind == kind for ref in step.refs]
        assert {ref.source for ref in taken} == allowed
    images = [ref.row for step in steps if step.kind == "image" for ref in step.refs]
    assert sorted(images[:40]) == sorted(images[40:80]) == list(range(40))
    assert [plan.kind(n) for n in range(50)] == [step.kind for step in steps[:50]]
    late = Plan(mix, 5, seed=4, image_probability=0.3)
    assert late.step(3999) == steps[3999]
    assert plan.steps_per_epoch == 26


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_steps_of_one_kind_alone(chance: float) -> None:
    kind = "image" if chance else "vl"
    plan = Plan(Mix([Listed("a", [1] * 8, kind=kind)]), 4, seed=0, image_probability=chance)
    assert {plan.step(n).kind for n in range(20)} == {kind}


@pytest.mark.parametrize("grouped", [False, True])
def test_one_of_each(grouped: bool) -> None:
    mix = Mix([Listed("a", [1] * 4), Listed("b", [1, -2] * 10), Listed("c", [3] * 7)])
    plan = Plan(mix, 2, seed=0, mode="one_of_each", group_by_length=grouped)
    assert plan.steps_per_epoch == 10 and plan.samples_per_step == 6
    for n in range(10):
        assert [ref.source for ref in plan.step(n).refs] == [0, 0, 1, 1, 2, 2]
    taken = rows_of(plan, 10)
    assert sorted(r.row for r in taken if r.source == 1) == list(range(20))
    small = [r.row for r in taken if r.source == 0]
    assert all(sorted(small[i : i + 4]) == [0, 1, 2, 3] for i in range(0, 20, 4))
    assert len({tuple(small[i : i + 4]) for i in range(0, 20, 4)}) > 1


def test_groups_are_of_one_modality_and_similar_length() -> None:
    lengths = [(1 if n % 3 else -1) * int(v) for n, v in enumerate(numbers("l", 0, 2000) % 900 + 1)]
    source = Listed("a", lengths)
    plan = Plan(Mix([source]), 8, seed=0, group_by_length=True)
    batches = [[lengths[ref.row] for ref in plan.step(n).refs] for n in range(plan.steps_per_epoch)]
    mixed = [i for i, batch in enumerate(batches) if len({n > 0 for n in batch}) == 2]
    assert all(i >= len(batches) - 2 for i in mixed)
    spread = [max(map(abs, b)) - min(map(abs, b)) for b in batches[:-2]]
    assert sum(spread) / len(spread) < 100
    assert [b[0] > 0 for b in batches] != sorted((b[0] > 0 for b in batches), reverse=True)


@pytest.mark.parametrize("sign", [1, -1])
def test_groups_of_one_modality_alone(sign: int) -> None:
    plan = Plan(Mix([Listed("a", [sign] * 10)]), 4, seed=0, group_by_length=True)
    assert Counter(r.row for r in rows_of(plan, 3)[:10]) == Counter(range(10))


def test_a_batch_larger_than_the_data() -> None:
    for grouped in (False, True):
        plan = Plan(Mix([Listed("a", [1, 2, 3])]), 8, seed=0, group_by_length=grouped)
        assert Counter(r.row for r in plan.step(0).refs).total() == 8
        assert plan.steps_per_epoch == 1


@pytest.mark.parametrize(
    ("sources", "error", "message"),
    [
        ([], DataError, "there is no data to train on; name sources in TRAIN.DATA"),
        ([Listed("a", [])], DataError, r"source 'a' \(/a\) has no rows to train on$"),
        (
            [Listed("a", [], bad=BadRows(2, (("a:1", "is odd"),)))],
            DataError,
            "(?s)no rows to train on; 2 rows are unusable:.*a:1: is odd\n  and 1 more",
        ),
        ([Listed("a", [1]), Listed("a", [1])], ConfigError, "several sources are called a; give"),
        ([Listed("a", [1], weight=0)], ConfigError, "all sources have weight 0"),
    ],
)
def test_mixes_without_data_are_refused(
    sources: list[Listed], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Mix(sources)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "a batch has 0 samples"),
        ({"mode": "all"}, "TRAIN.DATA_MODE is 'all'; it may be weighted or one_of_each"),
        ({"image_probability": 1.5}, "TRAIN.IMAGE_STEPS is 1.5"),
        ({"image_probability": 0.5, "mode": "one_of_each"}, "steps cannot be parted by kind"),
        (
            {"image_probability": 0.5},
            "kind 'image' have probability 0.5, and no source .* kind=image; .*IMAGE_STEPS to 0",
        ),
    ],
)
def test_wrong_plans_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Plan(Mix([Listed("a", [1])]), **{"batch_size": 1, "seed": 0} | settings)


def test_a_mix_reads_and_is_told_apart() -> None:
    mix = Mix([Listed("a", [1] * 3), Listed("b", [1] * 2, bad=BadRows(1, (("b:9", "odd"),)))])
    assert mix.segments(Ref(0, 0)) is None
    assert len(mix) == 5 and mix[Ref(1, 1)].sample_id == "b:1" and mix.names == ("a", "b")
    assert mix.bad.count == 1
    prints = {m.fingerprint() for m in (mix, Mix([mix.sources[0]]), Mix([Listed("a", [1] * 4)]))}
    assert len(prints) == 3


def test_random_numbers_are_the_same_everywhere() -> None:
    assert order("key", 6).tolist() == order("key", 6).tolist()
    assert sorted(order("key", 1000).tolist()) == list(range(1000))
    assert uniform("key", 10, 5).tolist() == uniform("key", 0, 15)[10:].tolist()
    assert abs(uniform("key", 0, 20000).mean() - 0.5) < 0.01
    assert numbers("0/kinds", 0, 2).tolist() == [2530520041332671660, 1089923733575525140]
