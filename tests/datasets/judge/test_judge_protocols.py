"""What the protocols ask, byte for byte, and what they make of replies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from collavo.datasets.evaluation.judge import (
    hallusionbench,
    llavabench,
    mathvista,
    mmvet,
    options,
)
from collavo.datasets.evaluation.judge.calls import Call, JudgeError, Reply, UnusableError
from collavo.datasets.evaluation.judge.judge import Judge

Serve = Callable[[Callable[[dict[str, Any], int], Any]], Any]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Said:
    """Replies in turn, and what was asked."""

    def __init__(self, *replies: str) -> None:
        self.replies, self.calls = list(replies), []

    def __call__(self, call: Call) -> Reply:
        self.calls: list[Call] = [*self.calls, call]
        return Reply(self.replies[len(self.calls) - 1], "gpt-4-0613")


def test_prompts_are_the_authors_bytes() -> None:
    # Hashes of the texts in the authors' sources, which were compared when these were written:
    # MM-Vet@acde843e, MathVista@53d52587, LLaVA@c121f043 (rule.json), HallusionBench@744007c2,
    # VLMEvalKit@e8e78f05.
    assert _sha(mmvet.PROMPT) == "d1b3e0a5b4e72c88"
    assert _sha(mathvista.DEMO) == "2c251ab9e219c5d7"
    assert _sha(llavabench.RULE) == "2ce22b562d600886"
    assert _sha(hallusionbench.correctness_prompt("", "", "")) == "3bfcb5a1051ecb08"
    assert _sha(hallusionbench.consistency_prompt("", "")) == "f64e79ca61f68345"
    assert _sha(options.option_prompt("q", ["x", "y"], "a")) == "6c7377724115c432"
    assert _sha(options.option_prompt("图", ["x", "y"], "a")) == "1026f0fd0542495c"


def test_mmvet_words_its_question() -> None:
    prompt = mmvet.grade_prompt("What is x?", "-1<AND>-5<OR>1", "x = {3} | y")
    assert prompt == mmvet.PROMPT + "\nWhat is x? | -1 <AND> -5 <OR> 1 | x = {3} | y | "
    assert (
        "--- | --- | --- | ---\nWhat is x in the equation? | -1 <AND> -5 | x = 3 | 0.0\n" in prompt
    )


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("0.5", 0.5), ("1", 1.0), ("0.0 (totally wrong)", 0.0), ("1.0\n", 1.0), ("1e-1", 0.1),
        (" 0.5", None), ("", None), ("1.1", None), ("-0.1", None), ("nan", None), ("half", None),
        ("0.5.", None), ("0,5", None),
    ],
)  # fmt: skip
def test_mmvet_reads_a_score(reply: str, score: float | None) -> None:
    assert mmvet.score_of(reply) == score


def test_mmvet_asks_again_warmer_each_time() -> None:
    said = _Said("Correct", "", "2", "one", "0.7 |")
    grade = mmvet.grade_protocol("i", "q", "t", "a", run=2)(said)
    assert grade == mmvet.Grade(0.7, "0.7", "gpt-4-0613")
    assert [c.temperature for c in said.calls] == [0, 0, 0.5, 1.0, 1.5]
    assert [c.attempt for c in said.calls] == [0, 1, 2, 3, 4]
    assert {(c.max_tokens, c.run, c.protocol) for c in said.calls} == {(3, 2, "mmvet")}
    first = mmvet.grade_prompt("q", "t", "a")
    assert [c.prompt.removeprefix(first) for c in said.calls] == ["", *[mmvet.AGAIN] * 4]
    with pytest.raises(UnusableError, match=r"no score in 5 replies: 'a', 'b', 'c', 'd', 'e'"):
        mmvet.grade_protocol("i", "q", "t", "a")(_Said(*"abcde"))


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("correct", "1"), ("Correct.", "1"), ("INCORRECT", "0"), ("It is not incorrect", "0"),
        ("unclear", "2"), ("I do not know", "2"), ("“correct”", "1"),
    ],
)  # fmt: skip
def test_hallusionbench_reads_correctness(reply: str, code: str) -> None:
    assert hallusionbench.correctness_of(reply) == code
    said = _Said(reply)
    assert hallusionbench.correctness_protocol("i", "Q?", "D", "A")(said) == code
    assert said.calls[0].prompt.endswith(
        'generate "unclear". \n\n Question:Q?\nReference answer: D\nPrediction answer:A\nOutput:'
    )


@pytest.mark.parametrize(
    ("reply", "same"), [("same", "1"), ("Same.", "1"), ("different", "0"), ("well", "0")]
)
def test_hallusionbench_reads_consistency(reply: str, same: str) -> None:
    said = _Said(reply)
    assert hallusionbench.consistency_protocol("i", "A", "F")(said) == same
    assert said.calls[0].prompt.endswith('"different". \n\n response1:A\nresponse2: F\nOutput:')


def test_mathvista_takes_what_is_extracted() -> None:
    said = _Said(" 14\n")
    assert mathvista.extraction_protocol("i", "Hint: h\nQuestion: q", "It is 14.")(said) == "14"
    end = "Extracted answer: B\n\nHint: h\nQuestion: q\n\nIt is 14.\n\nExtracted answer: "
    assert said.calls[0].prompt.endswith(end)
    assert (said.calls[0].temperature, said.calls[0].max_tokens) == (0, 1024)


@pytest.mark.parametrize(
    ("review", "scores"),
    [
        ("8 10\nBoth are fine.", (8, 10)), ("8,10", (8, 10)), ("9 6.5", (9, 6.5)),
        ("8, 10", None), ("8  10", None), ("8", None), ("8 10 9", None), ("a b\n1 2", None),
        ("", None), ("8 10 ", None), ("nan 5", None), ("inf 5", None),
    ],
)  # fmt: skip
def test_llavabench_reads_two_scores(review: str, scores: tuple[float, float] | None) -> None:
    assert llavabench.scores_of(review) == scores


def test_llavabench_reviews() -> None:
    said = _Said("I think", "7 8\nwell")
    found = llavabench.review_protocol("i", "C", "Q", "R", "A")(said)
    assert found == llavabench.Review(7, 8, "7 8\nwell")
    call = said.calls[0]
    assert call.prompt == (
        "[Context]\nC\n\n[Question]\nQ\n\n[Assistant 1]\nR\n\n[End of Assistant 1]\n\n"
        f"[Assistant 2]\nA\n\n[End of Assistant 2]\n\n[System]\n{llavabench.RULE}\n\n"
    )
    assert call.system.startswith("You are a helpful and precise assistant")
    assert (call.temperature, call.max_tokens) == (0.2, 1024)
    with pytest.raises(UnusableError, match="no two scores in 3 reviews"):
        llavabench.review_protocol("i", "C", "Q", "R", "A")(_Said("a", "b", "c"))


def test_options_are_chosen_by_the_judge(serve: Serve, judge_at: Callable[..., Judge]) -> None:
    def answer(request: dict[str, Any], number: int) -> str:
        text = request["messages"][0]["content"]
        return "Z" if "Answer: a spider\n" in text else "The answer is B."

    judge = judge_at(serve(answer))
    assert judge.choose_option("What is it", ["a dog", "a cat"], "a kitten") == "B"
    found = judge.choose_options(
        {
            "m:1": ("What {is} it", ["a dog", "a cat"], "a kitten {}"),
            "m:2": ("What is it", {"A": "a dog", "C": "a cat"}, "a spider"),
        },
        protocol="mmbench",
    )
    assert found == {"m:1": "B", "m:2": "Z"}
    assert judge.asked


def test_no_letter_is_a_failure_and_is_asked_anew(
    serve: Serve, judge_at: Callable[..., Judge]
) -> None:
    replies = ["hm"]
    server = serve(lambda request, number: replies[0])
    judge = judge_at(server)
    with pytest.raises(JudgeError, match=r"no letter in 3 replies: 'hm', 'hm', 'hm'"):
        judge.choose_option("q", ["a", "b"], "c")
    assert len(server.requests) == 3
    replies[0] = "A"
    assert judge_at(server).choose_option("q", ["a", "b"], "c") == "A"
    assert len(server.requests) == 4
