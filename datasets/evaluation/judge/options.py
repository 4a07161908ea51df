"""Which option an answer means: MMBench's protocol, also for SEED-Bench and AI2D.

Source of the prompts and of the tries: open-compass/VLMEvalKit, vlmeval/dataset/utils/
multiple_choice.py (build_prompt, build_prompt_cn, extract_answer_from_item) and smp/vlm.py
(build_option_str), Apache-2.0. There a random option follows three replies without a letter; here
that is a failure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from collavo.datasets.evaluation.choice_rules import UNREADABLE, can_infer
from collavo.datasets.evaluation.judge.calls import Call, UnusableError
from collavo.datasets.evaluation.judge.judge import Ask, Protocol

TRIES = 3

PROMPT = (
    "You are an AI assistant who will help me to match "
    "an answer with several options of a single-choice question. "
    "You are provided with a question, several options, and an answer, "
    "and you need to find which option is most similar to the answer. "
    "If the meaning of all options are significantly different from the answer, output Z. "
    "Your should output a single uppercase character in A, B, C, D (if they are valid options), "
    "and Z. \n"
    "Example 1: \n"
    "Question: What is the main object in image?\n"
    "Options: A. teddy bear B. rabbit C. cat D. dog\n"
    "Answer: a cute teddy bear\nYour output: A\n"
    "Example 2: \n"
    "Question: What is the main object in image?\n"
    "Options: A. teddy bear B. rabbit C. cat D. dog\n"
    "Answer: Spider\nYour output: Z\n"
    "Example 3: \n"
)
ENDING = "Question: {}?\nOptions: {}\nAnswer: {}\nYour output: "

PROMPT_CN = (
    "你是一个帮助我匹配答案与单选题中多个选项的 AI 助手。"
    "你会被提供：一个问题，多个选项，一个答案。你的任务是找到与答案意义最相近的选项。"
    "如果所有选项的意义都与答案显著不同，则输出 Z。"
    "你应该输出一个单个的大写字母，例如 A, B, C, D（如果它们是有效选项），或 Z。"
    "例 1:"
    "问题: 图中最主要的物体是什么?\n选项: A. 泰迪熊 B. 兔子 C. 猫 D. 狗\n"
    "答案: 一只可爱的泰迪熊\n输出: A\n"
    "例 2: \n"
    "问题: 图中最主要的物体是什么?\n选项: A. 泰迪熊 B. 兔子 C. 猫 D. 狗\n"
    "答案: 蜘蛛\n输出: Z\n"
    "例 3: \n"
)
ENDING_CN = "问题: {}?\n选项: {}\n答案: {}\n输出: "

_CHINESE = re.compile("[\u4e00-\u9fff]")

Options = Sequence[str] | Mapping[str, str]
"""The options in order, or by letter."""


def option_prompt(question: str, options: Options, answer: str) -> str:
    """Words the question to the judge, in Chinese where the question holds Chinese."""
    listed = "There are several options: \n"
    listed += "".join(f"{letter}. {text}\n" for letter, text in lettered(options).items())
    head, ending = (PROMPT_CN, ENDING_CN) if _CHINESE.search(question) else (PROMPT, ENDING)
    return head + ending.format(question, listed, answer)


def lettered(options: Options) -> dict[str, str]:
    """Gives options their letters."""
    if isinstance(options, Mapping):
        return dict(options)
    return {chr(ord("A") + k): text for k, text in enumerate(options)}


def option_protocol(
    protocol: str, item: str, question: str, options: Options, answer: str
) -> Protocol:
    """Makes the function that finds the letter of an option, "Z" for none of them."""

    def choose(ask: Ask) -> str:
        prompt = option_prompt(question, options, answer)
        said = []
        for attempt in range(TRIES):
            text = ask(Call(protocol, item, prompt, attempt=attempt)).text
            letter = can_infer(text, lettered(options))
            if letter != UNREADABLE:
                return letter
            said.append(text)
        raise UnusableError(f"no letter in {TRIES} replies: {', '.join(map(shown, said))}")

    return choose


def shown(text: str) -> str:
    """Shortens a reply for a message."""
    return repr(text if len(text) <= 80 else text[:77] + "...")
