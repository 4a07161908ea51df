"""Questions and answers about a training scene, worded as the benchmarks' prompts are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from collavo.datasets.miniature.benchmarks import gqa, mme
from collavo.datasets.miniature.benchmarks.mmbench import KINDS, LEAVES
from collavo.datasets.miniature.benchmarks.textvqa import SUFFIX
from collavo.datasets.miniature.describe import description, inventory
from collavo.datasets.miniature.dice import Dice
from collavo.datasets.miniature.knowledge import facts_about
from collavo.datasets.miniature.questions import Asked, ask, options
from collavo.datasets.miniature.scenes import Scene

SHORT_ANSWER = f"\n{SUFFIX}"
OPTION_LETTER = "\nAnswer with the option's letter from the given choices directly."
YES_OR_NO = f" {mme.ENDING}"
"""What the pipelines, or the benchmarks' own files, put after a question."""

Said = tuple[str, str]
"""What is asked, as the model is asked it, and the answer."""

_OWN_WORDING = 0.25
"""How often a yes-no question of MME ends as in its files, not as the pipeline asks it."""

_OPEN = ("count", "color", "side", "relation", "place", "count", "color", "sum", "most")
_CAPTIONS: tuple[tuple[str, Callable[[Scene], str]], ...] = (
    ("Describe this picture in detail.", description),
    ("Describe the image.", description),
    ("What is in the picture?", lambda drawn: f"{inventory(drawn).capitalize()}."),
)


def yes_no(drawn: Scene, task: str, dice: Dice) -> Said | None:
    """Asks one of the two questions of an MME task, each as often; None where it cannot be asked.

    Args:
        drawn: The scene.
        task: One of `mme.SCENE_TASKS`.
        dice: Where the choices are drawn from.
    """
    pair = mme.SCENE_TASKS[task](drawn, _turn(drawn, task, dice), dice)
    if pair is None:
        return None
    return either(*pair, dice)


def either(right: str, wrong: str, dice: Dice) -> Said:
    """Asks one of two questions, that with the answer Yes or that with No, each as often."""
    question, answer = (right, "Yes") if dice.chance(0.5) else (wrong, "No")
    ending = YES_OR_NO if dice.chance(_OWN_WORDING) else SHORT_ANSWER
    return question + ending, answer


def _turn(drawn: Scene, task: str, dice: Dice) -> int:
    """Which of a task's questions: the number to count to, the side, the place."""
    if task == "count":
        return dice.choice(list(drawn.counts().values())) - 1
    if task == "scene":
        return [place.name for place in mme.PLACES].index(drawn.place)
    return dice.integer(0, len(mme.SIDES) - 1)


def open_question(drawn: Scene, dice: Dice) -> Said | None:
    """Asks a question with a short answer, as GQA, VQAv2 and OK-VQA do."""
    asked = _open(drawn, dice)
    return None if asked is None else _short(asked)


def _open(drawn: Scene, dice: Dice) -> Asked | None:
    draw = dice.uniform(0, 1)
    if draw < 0.1:
        facts = facts_about(drawn.counts())
        if not facts:
            return None
        fact = dice.choice(facts)
        return Asked("fact", fact.text, fact.answer, fact.wrong)
    if draw < 0.4:
        return dice.choice(gqa.questions_about(drawn, dice))
    return ask(dice.choice(_OPEN), drawn, dice)


def _short(asked: Asked) -> Said:
    answer = asked.answer.capitalize() if asked.answer in ("yes", "no") else asked.answer
    return asked.text + SHORT_ANSWER, answer


def told_question(drawn: Scene, dice: Dice) -> Said | None:
    """Asks a question with a short answer, but not for a colour."""
    asked = _open(drawn, dice)
    return None if asked is None or "color" in asked.kind else _short(asked)


def choice(drawn: Scene, dice: Dice) -> Said | None:
    """Asks with lettered options, a line each (MMBench) or all on one (SEED-Bench)."""
    return _choice(drawn, dice.choice(KINDS), dice)


def told_choice(drawn: Scene, dice: Dice) -> Said | None:
    """Asks with lettered options, but not for a colour."""
    return _choice(drawn, dice.choice([kind for kind in KINDS if kind != "color"]), dice)


def _choice(drawn: Scene, kind: str, dice: Dice) -> Said | None:
    asked = ask(kind, drawn, dice)
    if asked is None:
        return None
    listed, right = options(asked, LEAVES[kind][2], dice)
    between = dice.choice(("\n", " "))
    lines = between.join(f"{x}. {text}" for x, text in zip("ABCD", listed, strict=False))
    return f"{asked.text}\n{lines}{OPTION_LETTER}", "ABCD"[right]


def caption(drawn: Scene, dice: Dice) -> Said:
    """Asks for a description."""
    question, answer = dice.choice(_CAPTIONS)
    return question, answer(drawn)


Plan = tuple[tuple[Callable[[Scene, Dice], Said | None], float], ...]
"""What is asked about a scene, and how often."""

_EXISTENCE = (lambda drawn, dice: yes_no(drawn, "existence", dice), 0.7)
_COUNT = (lambda drawn, dice: yes_no(drawn, "count", dice), 1.0)
_POSITION = (lambda drawn, dice: yes_no(drawn, "position", dice), 1.0)
_COLOR = (lambda drawn, dice: yes_no(drawn, "color", dice), 1.0)
_SCENE = (lambda drawn, dice: yes_no(drawn, "scene", dice), 0.5)

SHOWN: Plan = (
    _EXISTENCE, _COUNT, _COUNT, _POSITION, _POSITION, _COLOR, _COLOR, _SCENE,
    (open_question, 1.0), (open_question, 1.0), (choice, 0.6),
)  # fmt: skip
"""About a picture, besides POPE's questions."""

TOLD: Plan = (
    _EXISTENCE, _COUNT, _COUNT, _COUNT, _POSITION, _POSITION, _POSITION, _SCENE,
    (told_question, 1.0), (told_question, 1.0), (told_choice, 0.6),
)  # fmt: skip
"""About a sentence that tells the objects: nothing of colours."""

CAPTIONS = 0.15
"""How often a conversation ends with a description."""


def turns_about(drawn: Scene, dice: Dice, plan: Plan = SHOWN) -> list[Said]:
    """Returns different questions about a scene with their answers, at most one a plan's entry."""
    found: dict[str, str] = {}
    for make, probability in plan:
        said = make(drawn, dice) if dice.chance(probability) else None
        if said is not None:
            found.setdefault(*said)
    return dice.shuffled(list(found.items()))


def conversation(turns: Sequence[Said], image: str, name: str) -> dict[str, object]:
    """Returns a row of LLaVA's instruction files; the image stands before the first question.

    Args:
        turns: Questions and answers in order.
        image: The file name below the folder of images; "" for none.
        name: The row's id.
    """
    said: list[dict[str, str]] = []
    for number, (question, answer) in enumerate(turns):
        asked = f"<image>\n{question}" if image and number == 0 else question
        said += [{"from": "human", "value": asked}, {"from": "gpt", "value": answer}]
    return {"id": name, **({"image": image} if image else {}), "conversations": said}
