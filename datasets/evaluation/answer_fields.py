"""What a field of a row of predictions is by its name, and the text that its value holds."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Role(Enum):
    """What a field may hold.

    - MODEL: the model's text, whatever stands beside it (`pred`, `model_answer`, `outputs`).
    - EITHER: the model's text in one toolkit, the reference or the question in another (`answer`,
      `text`, a conversation).
    - READ: what some parser made of the model's text (`parsed_ans`, `pred_letter`).
    - REFERENCE: the right answer (`gt_answer`, `label`).
    - ASIDE: neither (ids, images, prompts, scores, settings).
    - UNKNOWN: a name that says nothing.
    """

    MODEL = "model"
    EITHER = "either"
    READ = "read"
    REFERENCE = "reference"
    ASIDE = "aside"
    UNKNOWN = "unknown"


_REFERENCE = frozenset(
    "gt gts gold golden groundtruth ground truth target targets label labels ref refs reference "
    "references correct solution expected true".split()
)
_MODEL = frozenset(
    "pred preds predict predicted prediction predictions output outputs response responses resp "
    "resps completion completions generated gen generation generations reply replies hypothesis "
    "hypotheses hyp decoded model llm vlm mllm lvlm assistant".split()
)
_MODEL_ALONE = frozenset("model llm vlm mllm lvlm".split())
"""By themselves they name the model; `model_answer` and `model_text` are what it said."""

_ANSWER = frozenset("answer answers ans".split())
_READ = frozenset(
    "parsed parse extracted extraction extract normalized normalised cleaned clean processed "
    "postprocessed letter choice option char".split()
)
_ASIDE = frozenset(
    "id ids idx index uid pid qid name path file filename url dir folder image images img video "
    "videos audio picture photo figure hash question questions prompt query instruction "
    "instructions input inputs category subcategory type task subtask subject split dataset source "
    "hint context passage options choices candidates meta metadata config kwargs params args "
    "settings time timestamp date seconds latency token tokens length len count num score scores "
    "prob probs logprob logprobs logits confidence judge check review hit log acc accuracy error "
    "status finish reason format version language lang level difficulty grade usage thinking "
    "thought thoughts reasoning rationale explanation cot crayon system round object created unit "
    "precision skill topic entry".split()
)

_CONVERSATIONS = ("messages", "conversation", "conversations", "turns")
_EITHER = ("text", "caption", "content", "result", *_CONVERSATIONS)

_DEEPEST = 12
"""Levels of lists and objects around a text; an answer stands in four at most."""

_INSIDE = (
    *("message", "messages", "content", "text", "value", "generated_text", "output_text"),
    *("answer", "response", "body", "choices", "candidates", "parts", "outputs", "output"),
)
"""Where the text of an object stands: replies of OpenAI's, Anthropic's and Gemini's interfaces,
vLLM's outputs, the pipelines of transformers."""

_ASSISTANT = ("assistant", "gpt", "model", "bot")


@cache
def role_of(name: str) -> Role:
    """Tells what a field of this name may hold; the words of the name decide."""
    words = frozenset(word.lower() for word in _WORDS.findall(name))
    lower = name.strip().lower()
    if words & _REFERENCE:
        return Role.REFERENCE
    # OpenAI writes a reply's texts under `choices`, a benchmark the options of its question.
    if lower == "choices":
        return Role.EITHER
    if words & _ASIDE or words <= _MODEL_ALONE or len(lower) <= 1:
        return Role.ASIDE
    if words & _MODEL:
        return Role.READ if words & _READ else Role.MODEL
    if words & _ANSWER:
        return Role.READ if words & _READ else Role.EITHER
    if lower in _EITHER:
        return Role.EITHER
    return Role.READ if words & _READ else Role.UNKNOWN


def texts_in(value: Any, depth: int = 0) -> list[str]:
    """Lists the texts of the model that a field holds, however deep; equal ones once.

    A conversation holds its last turn of the assistant, parts of one message are one text.

    Args:
        value: The field's value, of JSON or of a table.
        depth: Levels above it.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool) or value is None or depth > _DEEPEST:
        return []
    if isinstance(value, int | float):
        return [] if isinstance(value, float) and not math.isfinite(value) else [str(value)]
    if isinstance(value, Mapping):
        return _of_object(value, depth)
    if not isinstance(value, list | tuple):
        return []
    if value and all(isinstance(x, Mapping) and _speaker(x) for x in value):
        said = [turn for turn in value if _speaker(turn) in _ASSISTANT]
        return texts_in(said[-1], depth + 1) if said else []
    if len(value) > 1 and all(_is_number(x) for x in value):
        return [json.dumps(value)]  # a box
    found = [text for item in value for text in texts_in(item, depth + 1)]
    if found and all(isinstance(x, Mapping) and isinstance(x.get("text"), str) for x in value):
        typed = all("type" in x for x in value) or all(set(x) == {"text"} for x in value)
        found = ["".join(x["text"] for x in value)] if typed else found
    return list(dict.fromkeys(found))


def _of_object(value: Mapping[str, Any], depth: int) -> list[str]:
    if _speaker(value) and _speaker(value) not in _ASSISTANT:
        return []
    for key in _INSIDE:
        found = texts_in(value[key], depth + 1) if key in value else []
        if found:
            return found
    return []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _speaker(turn: Mapping[str, Any]) -> str:
    speaker = turn.get("role", turn.get("from"))
    return speaker.lower() if isinstance(speaker, str) else ""


def holds_reply(name: str, value: Any) -> bool:
    """Tells whether a value can be what its EITHER field is called for.

    `choices` is a reply only as OpenAI writes it: a list of texts, or of letters with texts, is a
    question's options.
    """
    if name.strip().lower() != "choices":
        return True
    if not isinstance(value, list) or not all(isinstance(x, Mapping) for x in value):
        return False
    return len(value) == 1 or any(x.keys() & {"message", "finish_reason", "index"} for x in value)


def may_rival(name: str) -> bool:
    """Tells whether an EITHER field may be the answer beside one that is the model's by name."""
    words = {word.lower() for word in _WORDS.findall(name)}
    return bool(words & _ANSWER) or name.strip().lower() == "text"


def inside(values: Mapping[str, Any], name: str) -> Any:
    """Returns a field by its name, or along a dotted path (`choices.0.message.content`).

    Raises:
        KeyError: There is no such field.
    """
    if name in values:
        return values[name]
    node: Any = values
    for part in name.split("."):
        if isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        else:
            raise KeyError(name)
    return node


def named(names: Iterable[str]) -> str:
    """Lists fields for a message."""
    return ", ".join(repr(str(name)) for name in names) or "no fields"
