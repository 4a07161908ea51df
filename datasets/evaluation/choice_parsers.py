"""The parsers of the multiple-choice benchmarks: which toolkit reads answers by which rule."""

from __future__ import annotations

from collavo.datasets.evaluation import choice_rules as rules
from collavo.datasets.evaluation.choice import LETTERS, ChoiceParser
from collavo.datasets.evaluation.choice_rules import UNREADABLE, Options
from collavo.registry import PARSERS


class _VlmEvalKit(ChoiceParser):
    """VLMEvalKit without a judge: what its matcher cannot read is wrong."""

    rule = staticmethod(rules.can_infer)


@PARSERS.register("scienceqa.official", "scienceqa.authors", "scienceqa.llava")
class OfficialScienceQA(ChoiceParser):
    """ScienceQA as LLaVA reads it: a letter, "X. ...", or one "The answer is X."; not stripped.

    The authors' GPT-3 script reads the sentence alone and draws lots where there is none; here
    that is wrong. Source: haotian-liu/LLaVA eval_science_qa.py.
    """

    rule = staticmethod(rules.llava_letter)


@PARSERS.register("scienceqa.collavo")
class CoLLaVOScienceQA(OfficialScienceQA):
    """CoLLaVO's ScienceQA: LLaVA's rule on the stripped answer.

    Source: ByungKwanLee/CoLLaVO scienceqa_evaluation.py.
    """

    strip = True


@PARSERS.register("scienceqa.lmms_eval")
class LmmsEvalScienceQA(ChoiceParser):
    """lmms-eval's ScienceQA: the letter alone in either case, or a capital before a period."""

    rule = staticmethod(rules.lmms_science)


@PARSERS.register("scienceqa.vlmevalkit")
class VlmEvalKitScienceQA(_VlmEvalKit):
    """VLMEvalKit's ScienceQA: its matcher, exact matching."""


@PARSERS.register("mmbench.official", "mmbench.authors", "mmbench.vlmevalkit")
class OfficialMMBench(_VlmEvalKit):
    """MMBench's authors: VLMEvalKit's matcher, exact matching; unread answers are wrong."""


@PARSERS.register("mmbench.lmms_eval")
class LmmsEvalMMBench(ChoiceParser):
    """lmms-eval's MMBench: an older matcher of the authors, without its judge."""

    rule = staticmethod(rules.lmms_mmbench)
    strip = True


@PARSERS.register("mmbench.exact")
class ExactMMBench(ChoiceParser):
    """The letter alone, to the character."""

    rule = staticmethod(rules.whole_letter)


@PARSERS.register("seed.official", "seed.authors", "seed.llava", "seed.collavo")
class OfficialSeed(ChoiceParser):
    """SEED-Bench's submissions, LLaVA and CoLLaVO: the letter alone, to the character.

    Source: haotian-liu/LLaVA convert_seed_for_submission.py; CoLLaVO seed_evaluation.py.
    """

    rule = staticmethod(rules.whole_letter)


@PARSERS.register("seed.collavo_offline", "seed.internvl")
class FirstCharacterSeed(ChoiceParser):
    """CoLLaVO's later script: the first character in either case; an empty answer is wrong.

    The script stops at an empty answer. Source: ByungKwanLee/CoLLaVO evaluate_seed.py.
    """

    rule = staticmethod(rules.first_character)


@PARSERS.register("seed.lmms_eval")
class LmmsEvalSeed(FirstCharacterSeed):
    """lmms-eval's SEED-Bench: the first character of the stripped answer, in either case."""

    strip = True


@PARSERS.register("seed.vlmevalkit")
class VlmEvalKitSeed(_VlmEvalKit):
    """VLMEvalKit's SEED-Bench: its matcher, exact matching."""


@PARSERS.register("ai2d.official", "ai2d.lmms_eval")
class OfficialAI2D(ChoiceParser):
    """AI2D as lmms-eval reads it: "X." at the start, else the letter alone without punctuation.

    AI2D's authors publish no reader of generated answers. Source: lmms_eval/tasks/ai2d.
    """

    rule = staticmethod(rules.lmms_exact)


@PARSERS.register("ai2d.collavo")
class CoLLaVOAI2D(ChoiceParser):
    """CoLLaVO's AI2D: the first capital letter anywhere; an answer without one is wrong.

    The original stops there. Source: ByungKwanLee/CoLLaVO ai2d_evaluation.py.
    """

    rule = staticmethod(rules.first_capital)


@PARSERS.register("ai2d.collavo_offline")
class CoLLaVOOfflineAI2D(ChoiceParser):
    """CoLLaVO's later script: Python's find in "ABCDE", so an empty answer is A and "BC" is B.

    Source: ByungKwanLee/CoLLaVO evaluate_ai2d.py.
    """

    @staticmethod
    def rule(text: str, options: Options) -> str:
        """Returns the letter at the place that find gives."""
        place = rules.position_in(text, "ABCDE")
        return "ABCDE"[place] if place >= 0 else UNREADABLE


@PARSERS.register("ai2d.internvl", "ai2d.mova")
class InternVLAI2D(ChoiceParser):
    """InternVL's and MoVA's AI2D: the letter alone in either case, stripped."""

    rule = staticmethod(rules.whole_letter_any_case)


@PARSERS.register("ai2d.vlmevalkit")
class VlmEvalKitAI2D(_VlmEvalKit):
    """VLMEvalKit's AI2D: its matcher, exact matching."""


@PARSERS.register("qbench.official", "qbench.authors")
class OfficialQBench(ChoiceParser):
    """Q-Bench: a letter at the start, or the whole text of an option, else VLMEvalKit's matcher.

    The authors let a GPT match answers and options, five times, and publish no script; this is
    the nearest rule without one.
    """

    @staticmethod
    def rule(text: str, options: Options) -> str:
        """Returns the letter of the option that is said."""
        return rules.letter_or_text(text, options) or rules.can_infer(text, options)


@PARSERS.register("qbench.collavo")
class CoLLaVOQBench(ChoiceParser):
    """CoLLaVO's Q-Bench: Python's find in "ABCD" as an index; not found is the LAST option.

    So an empty answer is A, "BC" is B, and "A." is the last option. The stored answer is stripped.
    Source: ByungKwanLee/CoLLaVO evaluate_qbench.py, qbench_evaluation.py.
    """

    strip = True

    @staticmethod
    def rule(text: str, options: Options) -> str:
        """Returns the letter at the place that find gives, in Python's sense."""
        place = rules.position_in(text, "ABCD")
        letter = "ABCD"[place] if place >= 0 else list(options or "D")[place]
        return letter if letter in options else UNREADABLE


@PARSERS.register("qbench.trol", "qbench.exact")
class ExactQBench(ChoiceParser):
    """TroL's Q-Bench: the letter alone, to the character."""

    rule = staticmethod(rules.whole_letter)


@PARSERS.register("qbench.lmms_eval")
class LmmsEvalQBench(ChoiceParser):
    """lmms-eval's Q-Bench: its copy of MMMU's rule; where it draws lots, wrong.

    It stops where several options are named (an import is missing); here the last one counts.
    Source: lmms_eval/tasks/qbench/utils.py.
    """

    strip = True

    @staticmethod
    def rule(text: str, options: Options) -> str:
        """Applies MMMU's rule, in lmms-eval's variant."""
        return rules.mmmu_choice(text, options, list(options), lmms=True)


@PARSERS.register("qbench.vlmevalkit")
class VlmEvalKitQBench(_VlmEvalKit):
    """VLMEvalKit's Q-Bench: its matcher, exact matching."""


@PARSERS.register("mmmu.official", "mmmu.authors")
class OfficialMMMU(ChoiceParser):
    """MMMU's authors, but where they draw lots the answer is wrong.

    Source: MMMU-Benchmark/MMMU mmmu/utils/eval_utils.py.
    """

    @staticmethod
    def rule(text: str, options: Options) -> str:
        """Applies MMMU's rule; with unknown options any of A to I."""
        return rules.mmmu_choice(text, options, list(options) or LETTERS[:9])


@PARSERS.register("mmmu.official_seed42")
class SeededMMMU(OfficialMMMU):
    """MMMU's authors to the letter: where nothing is read, lots with seed 42, in their order."""


@PARSERS.register("mmmu.lmms_eval")
class LmmsEvalMMMU(ChoiceParser):
    """lmms-eval's MMMU: "A " and "A." count, too; where it draws lots, wrong."""

    strip = True

    @staticmethod
    def rule(text: str, options: Options) -> str:
        """Applies MMMU's rule, in lmms-eval's variant."""
        return rules.mmmu_choice(text, options, list(options) or LETTERS[:9], lmms=True)


@PARSERS.register("mmmu.vlmevalkit")
class VlmEvalKitMMMU(_VlmEvalKit):
    """VLMEvalKit's MMMU: its matcher; open questions become A (the answer) or B (another)."""


@PARSERS.register("aokvqa.official", "aokvqa.authors")
class OfficialAOKVQA(ChoiceParser):
    """A-OKVQA: the text of a choice to the character, as the authors compare, or a letter.

    Source: allenai/aokvqa evaluation/eval_predictions.py, which knows texts only.
    """

    @staticmethod
    def rule(text: str, options: Options) -> str:
        """Returns the letter of the choice that the answer is or names."""
        same = [letter for letter, option in options.items() if option == text]
        return same[0] if same else rules.letter_or_text(text, options)


@PARSERS.register("aokvqa.llava")
class LlavaAOKVQA(ChoiceParser):
    """LLaVA's rule of ScienceQA: a letter, "X. ...", or one "The answer is X."."""

    rule = staticmethod(rules.llava_letter)


@PARSERS.register("aokvqa.vlmevalkit")
class VlmEvalKitAOKVQA(_VlmEvalKit):
    """VLMEvalKit's A-OKVQA: its matcher, exact matching."""
