"""The chat templates by name; evaluation, training and `ask` write with the same."""

from __future__ import annotations

import difflib

from collavo.errors import ConfigError
from collavo.modeling.llms.chat import ANSWER, IMAGE_TOKEN, IMAGES, USER, ChatTemplate, Span

SYSTEM = (
    "AI assistant should give helpful and detailed answers to user after fully understanding an "
    "image. "
)
"""Source: CoLLaVO commit fb419fa, collavo/arch/arch_collavo.py."""

_COLLAVO_END = "[UNUSED_TOKEN_145]"
_COLLAVO_ANSWER = f"{_COLLAVO_END}\n[UNUSED_TOKEN_146]assistant\n"

CHAT_TEMPLATES: dict[str, ChatTemplate] = {
    # CoLLaVO's evaluation prompt (`eval_process`), byte for byte; further turns and the end of an
    # answer as InternLM-XComposer2.
    "collavo": ChatTemplate(
        first=(Span(f"{SYSTEM}{IMAGES} [UNUSED_TOKEN_146]user\n{USER}{_COLLAVO_ANSWER}"),),
        later=(Span(f"\n[UNUSED_TOKEN_146]user\n{USER}{_COLLAVO_ANSWER}"),),
        answer=(Span(f"{ANSWER}{_COLLAVO_END}", learnt=True),),
        slot=True,
    ),
    # The prompt of its demo (`demo_process`).
    "collavo_demo": ChatTemplate(
        first=(Span(f"{SYSTEM}{IMAGES} USER: {USER} ASSISTANT:"),),
        later=(Span(f" USER: {USER} ASSISTANT:"),),
        answer=(Span(f" {ANSWER}{_COLLAVO_END}", learnt=True),),
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
codefuse-ai/CodeFuse-MFT-VLM commit 46e9a3c, ByungKwanLee/CoLLaVO commit fb419fa
(collavo/arch/arch_collavo.py)."""


def register_chat_template(name: str, template: ChatTemplate) -> None:
    """Adds a template under a name of its own.

    Raises:
        ValueError: Another template has that name.
    """
    if CHAT_TEMPLATES.setdefault(name, template) != template:
        raise ValueError(f"chat template {name!r} is already registered; choose another name")


def get_chat_template(name: str, key: str = "TRAIN.TEMPLATE") -> ChatTemplate:
    """Returns the template called `name`.

    Args:
        name: Its name.
        key: The configuration key that holds it, for messages.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in CHAT_TEMPLATES:
        close = difflib.get_close_matches(name, CHAT_TEMPLATES, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        allowed = ", ".join(CHAT_TEMPLATES)
        raise ConfigError(f"{key} is {name!r}; it may be one of {allowed}.{hint}")
    return CHAT_TEMPLATES[name]
