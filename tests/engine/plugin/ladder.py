"""Models whose prefix depends on what follows it, and models that allow some levels alone.

To be loaded after `fakes`, whose model they change.
"""

from __future__ import annotations

import hashlib
import os

from collavo.modeling.architectures.base import ImageContext
from collavo.modeling.architectures.reuse import ReuseCheck
from collavo.registry import ARCHITECTURES

Fake = ARCHITECTURES.get("fake")


class Checked(Fake):
    """Has a state of the prefix, and compares it."""

    cut = False
    """Whether the state is of another prompt where the prefix is computed by itself."""

    def encode(self, visuals, crayon, prefixes, reuse="prefix"):
        log("encode", reuse)
        contexts = super().encode(visuals, crayon, prefixes, reuse)
        return [
            ImageContext(c.prefix_ids, (c.cache, self.state(c, reuse)), c.num_tokens, c.nbytes)
            for c in contexts
        ]

    def state(self, context, reuse):
        wrong = self.cut and reuse in os.environ.get("FAKE_WRONG", "prefix").split()
        return "computed without what follows" if wrong else ""

    def answer(self, contexts, suffixes, owners, generation):
        plain = [ImageContext(c.prefix_ids, c.cache[0] + c.cache[1], 1) for c in contexts]
        return super().answer(plain, suffixes, owners, generation)

    def score_options(self, contexts, suffixes, owners, options):
        plain = [ImageContext(c.prefix_ids, c.cache[0] + c.cache[1], 1) for c in contexts]
        return super().score_options(plain, suffixes, owners, options)

    def generate(self, prompts, visuals, crayon, generation):
        log("generate", len(prompts))
        return super().generate(prompts, visuals, crayon, generation)

    def check_reuse(self, level, context, suffix, visuals, crayon):
        log("check", level)
        whole = self._seen(visuals, crayon, 0)
        assert context.cache[0] == whole, "the images and the crayon of this very prompt"
        apart = float(os.environ.get("FAKE_APART", "1.8"))
        return ReuseCheck(apart if context.cache[1] else 0.0, 1e-3, "the state")


def log(*words: object) -> None:
    with open(os.environ["LADDER_LOG"], "a") as file:
        file.write(" ".join(map(str, words)) + "\n")


@ARCHITECTURES.register("causal")
class Causal(Checked):
    """Its prefix depends on nothing that follows."""


@ARCHITECTURES.register("two_way")
class TwoWay(Checked):
    """Attends both ways, so that a prefix by itself is another than within a prompt."""

    cut = True


@ARCHITECTURES.register("two_way_wide")
class TwoWayWide(TwoWay):
    """Tells images by their width, as models of native resolution do; the wide ones are wrong."""

    def prepare(self, image):
        from dataclasses import replace

        return replace(super().prepare(image), shape_key=image.width)

    def encode(self, visuals, crayon, prefixes, reuse="prefix"):
        contexts = super().encode(visuals, crayon, prefixes, reuse)
        for context, images in zip(contexts, visuals, strict=True):
            if images[0].shape_key < 30:
                context.cache = (context.cache[0], "")
        return contexts


def _allowing(name: str, levels: tuple[str, ...], base: type[Checked] = Causal) -> None:
    word = hashlib.sha256(name.encode()).hexdigest()[:6]
    made = type(f"Allows{word}", (base,), {"reuse_levels": levels, "__doc__": "As it says."})
    made.__module__ = __name__
    ARCHITECTURES.register(name)(made)


_allowing("only_prefix", ("prefix",))
_allowing("only_expanded", ("expanded", "batch"))
_allowing("only_vision", ("vision", "batch"))
_allowing("only_batch", ("batch",))
_allowing("only_single", ("single",))
_allowing("nothing", ())
_allowing("unordered", ("batch", "vision", "prefix"))
_allowing("unknown_level", ("prefix", "all"))
_allowing("two_way_all", ("prefix", "expanded", "vision", "batch", "single"), TwoWay)
_allowing("two_way_batch", ("prefix", "batch"), TwoWay)
_allowing("two_way_single", ("prefix",), TwoWay)
