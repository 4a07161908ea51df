"""The chat templates of training, by name."""

from __future__ import annotations

from collections.abc import Mapping

from collavo.errors import ConfigError
from collavo.modeling.llms.chat import ANSWER, IMAGES, USER, ChatTemplate, Span
from collavo.modeling.llms.templates import IMAGE_TOKEN, TEMPLATES

_EVAL = TEMPLATES["eval"]
_COLLAVO_AFTER = f"{USER}{_EVAL.after}"

CHAT_TEMPLATES: Mapping[str, ChatTemplate] = {
    # CoLLaVO's evaluation prompt; further turns and the end of an answer as InternLM-XComposer2.
    "collavo": ChatTemplate(
        first=(Span(_EVAL.before.replace(IMAGE_TOKEN, IMAGES) + _COLLAVO_AFTER),),
        later=(Span(f"\n[UNUSED_TOKEN_146]user\n{_COLLAVO_AFTER}"),),
        answer=(Span(f"{ANSWER}{_EVAL.turn_end}", learnt=True),),
        slot=True,
    ),
    # LLaVA's stage 1: the image and its caption; the question is left out.
    "plain": ChatTemplate(
        first=(Span(IMAGES),),
        later=(),
        answer=(Span(f"{ANSWER}\n", learnt=True),),
        takes_crayon_text=False,
    ),
    # Vicuna v1 as in LLaVA-1.5.
    "v1": ChatTemplate(
        first=(
            Span(
                "A chat between a curious user and an artificial intelligence assistant. The "
                "assistant gives helpful, detailed, and polite answers to the user's questions. "
                f"USER: {IMAGES}{USER} ASSISTANT:"
            ),
        ),
        later=(Span(f"USER: {USER} ASSISTANT:"),),
        answer=(Span(f" {ANSWER}</s>", learnt=True),),
        image=f"{IMAGE_TOKEN}\n",
    ),
    # ChatML as CodeFuse-VLM and Qwen-VL train it: the marks of every turn are learnt, too.
    "qwen": ChatTemplate(
        first=(
            Span("<|im_start|>", learnt=True),
            Span("system\nYou are a helpful assistant."),
            Span("<|im_end|>\n<|im_start|>", learnt=True),
            Span(f"user\n{IMAGES}{USER}"),
            Span("<|im_end|>\n<|im_start|>", learnt=True),
            Span("assistant\n"),
        ),
        later=(
            Span("<|im_start|>", learnt=True),
            Span(f"user\n{USER}"),
            Span("<|im_end|>\n<|im_start|>", learnt=True),
            Span("assistant\n"),
        ),
        answer=(Span(f"{ANSWER}<|im_end|>\n", learnt=True),),
        image=f"Picture {{n}}:<img>{IMAGE_TOKEN}</img>\n",
        bos=False,
    ),
}
"""Source: haotian-liu/LLaVA commit c121f04 (`conv_llava_plain`, `conv_vicuna_v1`),
codefuse-ai/CodeFuse-MFT-VLM commit 46e9a3c, and `templates.py` for CoLLaVO."""


def get_chat_template(name: str) -> ChatTemplate:
    """Returns the template called `name`.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in CHAT_TEMPLATES:
        allowed = ", ".join(CHAT_TEMPLATES)
        raise ConfigError(f"TRAIN.TEMPLATE is {name!r}; it may be one of {allowed}")
    return CHAT_TEMPLATES[name]
