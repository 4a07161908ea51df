"""MM-Vet's judge: how right an answer is, from 0 to 1, five tries with rising temperature.

Source: yuweihao/MM-Vet, mm-vet_evaluator.py, Apache-2.0. There a score of 0 follows five replies
without a number; here that is a failure.
"""

from __future__ import annotations

from dataclasses import dataclass

from collavo.datasets.evaluation.judge.calls import Call, UnusableError
from collavo.datasets.evaluation.judge.judge import Ask, Protocol
from collavo.datasets.evaluation.judge.options import shown

NAME = "mmvet"
MODEL = "gpt-4-0613"
"""Which model the authors ask."""

TRIES = 5
WARMER = 0.5
"""What each try adds to the temperature."""

MAX_TOKENS = 3

_MEME = (
    "Can you explain this meme? | This meme is poking fun at the fact that the names of the "
    "countries Iceland and Greenland are misleading. Despite its name, Iceland is known for its "
    "beautiful green landscapes, while Greenland is mostly covered in ice and snow. The meme is "
    "saying that the person has trust issues because the names of these countries do not "
    "accurately represent their landscapes. | "
)

PROMPT = (
    "Compare the ground truth and prediction from AI models, to give a correctness score for the "
    "prediction. <AND> in the ground truth means it is totally right only when all elements in the "
    "ground truth are present in the prediction, and <OR> means it is totally right when any one "
    "element in the ground truth is present in the prediction. The correctness score is 0.0 "
    "(totally wrong), 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, or 1.0 (totally right). Just "
    "complete the last space of the correctness score.\n"
    "\n"
    "Question | Ground truth | Prediction | Correctness\n"
    "--- | --- | --- | ---\n"
    "What is x in the equation? | -1 <AND> -5 | x = 3 | 0.0\n"
    "What is x in the equation? | -1 <AND> -5 | x = -1 | 0.5\n"
    "What is x in the equation? | -1 <AND> -5 | x = -5 | 0.5\n"
    "What is x in the equation? | -1 <AND> -5 | x = -5 or 5 | 0.5\n"
    "What is x in the equation? | -1 <AND> -5 | x = -1 or x = -5 | 1.0\n"
    f"{_MEME}The meme talks about Iceland and Greenland. It's pointing out that despite their "
    "names, Iceland is not very icy and Greenland isn't very green. | 0.4\n"
    f"{_MEME}The meme is using humor to point out the misleading nature of Iceland's and "
    "Greenland's names. Iceland, despite its name, has lush green landscapes while Greenland is "
    "mostly covered in ice and snow. The text 'This is why I have trust issues' is a playful way "
    "to suggest that these contradictions can lead to distrust or confusion. The humor in this "
    "meme is derived from the unexpected contrast between the names of the countries and their "
    "actual physical characteristics. | 1.0\n"
)

AGAIN = "\nPredict the correctness of the answer (digit): "
"""What follows the prompt after a reply without a number."""


@dataclass(frozen=True)
class Grade:
    """One grading: the score in [0, 1], the reply's first word and the model that gave it."""

    score: float
    content: str
    model: str


def grade_prompt(question: str, truth: str, answer: str) -> str:
    """Words the question to the judge."""
    truth = truth.replace("<AND>", " <AND> ").replace("<OR>", " <OR> ")
    return PROMPT + "\n" + " | ".join([question, truth, answer, ""])


def score_of(reply: str) -> float | None:
    """Reads the score of a reply: its first word; None where that is no number in [0, 1]."""
    try:
        score = float(reply.split(" ")[0].strip())
    except ValueError:
        return None
    return score if 0.0 <= score <= 1.0 else None


def grade_protocol(item: str, question: str, truth: str, answer: str, run: int = 0) -> Protocol:
    """Makes the function that grades one answer once."""

    def grade(ask: Ask) -> Grade:
        prompt = grade_prompt(question, truth, answer)
        said = []
        for attempt in range(TRIES):
            # The authors warm up after the second call, not before it.
            call = Call(
                protocol=NAME,
                item=item,
                prompt=prompt + AGAIN if attempt else prompt,
                temperature=WARMER * max(0, attempt - 1),
                max_tokens=MAX_TOKENS,
                run=run,
                attempt=attempt,
            )
            reply = ask(call)
            score = score_of(reply.text)
            if score is not None:
                return Grade(score, reply.text.split(" ")[0].strip(), reply.model)
            said.append(reply.text)
        raise UnusableError(f"no score in {TRIES} replies: {', '.join(map(shown, said))}")

    return grade
