"""CoLLaVO's prompt templates, byte for byte: the one of its evaluation and the one of its demo."""

from __future__ import annotations

from dataclasses import dataclass

from collavo.errors import ConfigError, DataError

IMAGE_TOKEN = "<image>"
SYSTEM = (
    "AI assistant should give helpful and detailed answers to user after fully understanding an "
    f"image. {IMAGE_TOKEN}"
)
"""Source: CoLLaVO commit fb419fa, collavo/arch/arch_collavo.py."""


@dataclass(frozen=True)
class Template:
    """What stands around the body of a prompt.

    Args:
        before: From the start of the prompt to the body; holds the image placeholder once.
        after: From the body to where the answer begins.
        turn_end: Text that begins the end of an answer's turn, if the model writes it out.
    """

    before: str
    after: str
    turn_end: str

    def render(self, question: str, crayon_text: str | None = None) -> str:
        """Returns the whole prompt: system, image placeholder, crayon text, question, answer mark.

        Args:
            question: As the pipeline words it.
            crayon_text: The sentence about the objects, or None to leave it out.

        Raises:
            DataError: The question or the crayon text holds the image placeholder itself.
        """
        for part in (question, crayon_text or ""):
            if IMAGE_TOKEN in part:
                raise DataError(
                    f"the text {part[:80]!r} holds {IMAGE_TOKEN!r}, which the template places "
                    "itself, once; remove it from the text"
                )
        body = question if crayon_text is None else f"{crayon_text} {question}"
        return f"{self.before}{body}{self.after}"


TEMPLATES = {
    "eval": Template(
        before=f"{SYSTEM} [UNUSED_TOKEN_146]user\n",
        after="[UNUSED_TOKEN_145]\n[UNUSED_TOKEN_146]assistant\n",
        turn_end="[UNUSED_TOKEN_145]",
    ),
    "demo": Template(
        before=f"{SYSTEM} USER: ",
        after=" ASSISTANT:",
        turn_end="[UNUSED_TOKEN_145]",
    ),
}
"""Source: CoLLaVO commit fb419fa, `eval_process` and `demo_process` (arch_collavo.py)."""


def get_template(name: str) -> Template:
    """Returns the template called `name`.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in TEMPLATES:
        raise ConfigError(
            f"CRAYON.TEMPLATE is {name!r}; it may be one of {', '.join(sorted(TEMPLATES))}"
        )
    return TEMPLATES[name]


def render(question: str, crayon_text: str | None, template: str = "eval") -> str:
    """Returns the whole prompt for `question` in the named template; see `Template.render`."""
    return get_template(template).render(question, crayon_text)
