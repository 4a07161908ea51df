"""LLaVA-Bench's judge: scores a reference answer and the model's from 1 to 10, side by side.

Source: haotian-liu/LLaVA, llava/eval/eval_gpt_review_bench.py and llava/eval/table/rule.json
(`llava_bench_conv`, `_detail` and `_complex`, which are alike), Apache-2.0. There a review without
two numbers counts as -1 and -1; here that is a failure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from collavo.datasets.evaluation.judge.calls import Call, UnusableError
from collavo.datasets.evaluation.judge.judge import Ask, Protocol
from collavo.datasets.evaluation.judge.options import shown

NAME = "llavabench"
MODEL = "gpt-4-0314"
"""Which model the authors ask (gpt-4-0613 later)."""

TRIES = 3
TEMPERATURE = 0.2
MAX_TOKENS = 1024
ROLE = "Assistant"

SYSTEM = "You are a helpful and precise assistant for checking the quality of the answer."

RULE = (
    "We would like to request your feedback on the performance of two AI assistants in response to "
    "the user question displayed above. The user asks the question on observing an image. For your "
    "reference, the visual content in the image is represented with a few sentences describing the "
    "image. \n"
    "Please rate the helpfulness, relevance, accuracy, level of details of their responses. Each "
    "assistant receives an overall score on a scale of 1 to 10, where a higher score indicates "
    "better overall performance.\n"
    "Please first output a single line containing only two values indicating the scores for "
    "Assistant 1 and 2, respectively. The two scores are separated by a space.\n"
    "In the subsequent line, please provide a comprehensive explanation of your evaluation, "
    "avoiding any potential bias and ensuring that the order in which the responses were presented "
    "does not affect your judgment."
)


@dataclass(frozen=True)
class Review:
    """Scores from 1 to 10 of the reference answer and of the model's, and the whole review."""

    reference: float
    model: float
    text: str


def review_prompt(context: str, question: str, reference: str, answer: str) -> str:
    """Words the question to the judge."""
    return (
        f"[Context]\n{context}\n\n"
        f"[Question]\n{question}\n\n"
        f"[{ROLE} 1]\n{reference}\n\n[End of {ROLE} 1]\n\n"
        f"[{ROLE} 2]\n{answer}\n\n[End of {ROLE} 2]\n\n"
        f"[System]\n{RULE}\n\n"
    )


def scores_of(review: str) -> tuple[float, float] | None:
    """Reads the two scores of a review's first line; None where there are not two."""
    words = review.split("\n")[0].replace(",", " ").split(" ")
    try:
        first, second = (float(word) for word in words)
    except ValueError:
        return None
    return (first, second) if math.isfinite(first + second) else None


def review_protocol(
    item: str, context: str, question: str, reference: str, answer: str
) -> Protocol:
    """Makes the function that reviews one answer."""

    def review(ask: Ask) -> Review:
        prompt = review_prompt(context, question, reference, answer)
        said = []
        for attempt in range(TRIES):
            text = ask(
                Call(NAME, item, prompt, SYSTEM, TEMPERATURE, MAX_TOKENS, attempt=attempt)
            ).text
            scores = scores_of(text)
            if scores is not None:
                return Review(*scores, text)
            said.append(text)
        raise UnusableError(f"no two scores in {TRIES} reviews: {', '.join(map(shown, said))}")

    return review
