"""HallusionBench's two judges: whether an answer is right, and whether two answers agree.

Source: tianyi-lab/HallusionBench, utils.py (evaluate_by_chatgpt, check_same_by_chatgpt),
BSD-3-Clause; spelling, quotation marks and missing spaces are theirs.
"""

from __future__ import annotations

from collavo.datasets.evaluation.judge.calls import Call
from collavo.datasets.evaluation.judge.judge import Ask, Protocol

MODEL = "gpt-4"
"""Which model the authors ask."""

CORRECTNESS = "hallusionbench.correctness"
CONSISTENCY = "hallusionbench.consistency"

_CORRECTNESS = (
    "Imagine you are an intelligent teacher. Thoroughly read the question, reference answer and "
    "the prediction answer to ensure a clear understanding of the information provided. Assess the "
    "correctness of the predictions. "
    "If the prediction answer does not conflict with the reference answer, please generate "
    "“correct”. If the prediction answer conflict with the reference answer, please generate "
    "“incorrect”. If the prediction answer is unclear about the answer, please generate "
    '"unclear". \n\n Question:'
)
_CONSISTENCY = (
    "Imagine you are an intelligent teacher. Thoroughly read the two responses to two different "
    "questions. Assess the consistency of the information provided within those two responses. "
    "You do not know the specific questions, but you can asssess the consistency among the two "
    "responses by checking for logical conflicts if both responses are correct. "
    "If response1 does not conflict with response2, please generate “same”. Otherwise, generate "
    '"different". \n\n response1:'
)


def correctness_prompt(question: str, truth: str, answer: str) -> str:
    """Words the question whether an answer is right."""
    return (
        f"{_CORRECTNESS}{question}\nReference answer: {truth}\nPrediction answer:{answer}\nOutput:"
    )


def consistency_prompt(answer: str, first: str) -> str:
    """Words the question whether an answer agrees with that to the first figure."""
    return f"{_CONSISTENCY}{answer}\nresponse2: {first}\nOutput:"


def correctness_of(reply: str) -> str:
    """Reads a reply: "0" incorrect, "1" correct, "2" unclear, which is also what else there is."""
    reply = reply.lower()
    return "0" if "incorrect" in reply else "1" if "correct" in reply else "2"


def consistency_of(reply: str) -> str:
    """Reads a reply: "1" where the answers are the same, else "0"."""
    return "1" if "same" in reply.lower() else "0"


def correctness_protocol(item: str, question: str, truth: str, answer: str) -> Protocol:
    """Makes the function that judges one answer."""

    def judge(ask: Ask) -> str:
        prompt = correctness_prompt(question, truth, answer)
        return correctness_of(ask(Call(CORRECTNESS, item, prompt, temperature=1.0)).text)

    return judge


def consistency_protocol(item: str, answer: str, first: str) -> Protocol:
    """Makes the function that compares an answer with that to the first figure."""

    def judge(ask: Ask) -> str:
        prompt = consistency_prompt(answer, first)
        return consistency_of(ask(Call(CONSISTENCY, item, prompt, temperature=1.0)).text)

    return judge
