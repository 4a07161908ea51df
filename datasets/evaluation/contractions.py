"""The English contractions that VQA's answer normaliser restores ("dont" becomes "don't").

Source: GT-Vision-Lab/VQA vqaEval.py; the tables of mmf and VLMEvalKit are the same.
"""

from __future__ import annotations

_WORDS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am might've mightn't
mightn't've must've mustn't needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's they'd
they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've
when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
would've wouldn't wouldn't've y'all y'all'd've y'all'll you'd you'd've you'll you're you've
""".split()


def _spellings(word: str) -> list[str]:
    """The word without one of its apostrophes, each in turn."""
    return [word[:i] + word[i + 1 :] for i, letter in enumerate(word) if letter == "'"]


CONTRACTIONS = {spelling: word for word in _WORDS for spelling in _spellings(word)} | {
    "somebody'd": "somebodyd"
}
"""Spelling without an apostrophe -> the contraction.

The authors' four keys with capitals (Im, Ive, ...) are left out, as words are in lower case when
they are looked up, and so are let's and she's, which stand for themselves.
"""
