"""How yes/no answers are read: the authors' rules of POPE and MME, and those of other toolkits."""

from __future__ import annotations

from collavo.datasets.evaluation.evalai import without_punctuation_vlmevalkit
from collavo.datasets.evaluation.parsing import Parser
from collavo.registry import PARSERS

_NEGATIONS = frozenset(("No", "not", "no"))


@PARSERS.register("pope.official", "pope.authors", "pope.llava")
class OfficialPope(Parser):
    """POPE's authors: "no" if a word before the first period is No, no or not; else "yes".

    So an empty answer is "yes", and so is "NO". Nothing is stripped: words part at spaces only.
    Source: AoiDragon/POPE evaluate.py; LLaVA's eval_pope.py is the same.
    """

    def parse(self, text: str) -> str:
        words = text.split(".")[0].replace(",", "").split(" ")
        return "yes" if _NEGATIONS.isdisjoint(words) else "no"


@PARSERS.register("pope.collavo")
class CoLLaVOPope(OfficialPope):
    """CoLLaVO's POPE: the authors' rule on the answer in lower case, so that "NO" is "no".

    Source: ByungKwanLee/CoLLaVO pope_evaluation.py.
    """

    def parse(self, text: str) -> str:
        return super().parse(text.lower())


@PARSERS.register("pope.lmms_eval")
class LmmsEvalPope(Parser):
    """The POPE of lmms-eval: the whole answer, stripped and in lower case, must be yes or no.

    Its recall leaves out answers that are neither. Source: lmms_eval/tasks/pope/utils.py.
    """

    def parse(self, text: str) -> str:
        word = text.lower().strip()
        return word if word in ("yes", "no") else "other"


@PARSERS.register("pope.vlmevalkit")
class VlmEvalKitPope(Parser):
    """The POPE of VLMEvalKit: the answer holds exactly one of the words yes and no, else "other".

    "other" is wrong, and counts as not yes in precision and recall.
    Source: open-compass/VLMEvalKit YOrN_Extraction, process_punctuation, POPE_rating.
    """

    unparsed_is_no = True

    def parse(self, text: str) -> str:
        words = without_punctuation_vlmevalkit(text.lower()).split()
        yes, no = "yes" in words, "no" in words
        return "other" if yes == no else "yes" if yes else "no"


@PARSERS.register("mme.official", "mme.authors", "mme.collavo", "mme.llava")
class OfficialMme(Parser):
    """MME's authors: "yes", else "no", in the first four characters in lower case; else "other".

    So "none" and "know" are "no", and "I see yes" is "other". Nothing is stripped.
    Source: parse_pred_ans in calculation.py of MME's eval_tool; CoLLaVO's is the same.
    """

    def parse(self, text: str) -> str:
        start = text.lower()[:4]
        return next((word for word in ("yes", "no") if word in start), "other")


@PARSERS.register("mme.lmms_eval")
class LmmsEvalMme(OfficialMme):
    """The MME of lmms-eval: as the authors, after strip and without periods; y and n count too.

    Source: lmms_eval/tasks/mme/utils.py.
    """

    def parse(self, text: str) -> str:
        text = text.lower().strip().replace(".", "")
        return {"y": "yes", "n": "no"}.get(text) or super().parse(text)


@PARSERS.register("mme.vlmevalkit")
class VlmEvalKitMme(VlmEvalKitPope):
    """The MME of VLMEvalKit: the answer holds exactly one of the words yes and no, else "other".

    Source: open-compass/VLMEvalKit YOrN_Extraction without a judge, MME_rating.
    """
