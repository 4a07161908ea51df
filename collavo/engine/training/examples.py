"""Turns conversations into batches: images read and mapped, crayon made, text encoded."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from collavo.datasets.instruction.collate import Batch, Example, collate
from collavo.datasets.instruction.mix import Mix, Ref
from collavo.engine.crayons import CrayonMaker
from collavo.engine.images import Loaded
from collavo.engine.plan import Unit
from collavo.engine.prepare import pictures_of
from collavo.errors import DataError
from collavo.modeling.llms.chat import ChatTemplate, cut, encode
from collavo.records import Conversation, CrayonPrompt, ImageRef

if TYPE_CHECKING:
    from collavo.modeling.image_policies.base import VisualInput
    from collavo.modeling.llms.chat import ChatTokenizer

logger = logging.getLogger(__name__)


class ExampleMaker:
    """Makes a batch of conversations.

    Args:
        mix: The sources.
        visual: Makes of an image what the model takes.
        crayons: Makes the Crayon Prompts.
        tokenizer: The model's.
        template: How conversations are written.
        pad_id: Stands at padding.
        max_length: Tokens of a conversation, those of its images too; the end of a longer one is
            cut off.
        max_bad_images: Broken images to go on with; their conversations are left out.
    """

    def __init__(
        self,
        mix: Mix,
        visual: Callable[[ImageRef], VisualInput],
        crayons: CrayonMaker,
        tokenizer: ChatTokenizer,
        template: ChatTemplate,
        pad_id: int,
        max_length: int,
        max_bad_images: int = 0,
    ) -> None:
        self._mix, self._visual, self._crayons = mix, visual, crayons
        self._tokenizer, self._template, self._pad_id = tokenizer, template, pad_id
        self._max_length = max_length
        self._max_bad, self._bad = max_bad_images, set[str]()

    def __call__(self, refs: Sequence[Ref]) -> Batch:
        """Makes the batch.

        Raises:
            DataError: More images than allowed are broken, or none of the conversations is usable.
        """
        usable = self.read(refs)
        prompt = self._crayon([image for _, images in usable for image in images])
        examples, begin = [], 0
        for conversation, images in usable:
            end = begin + len(images)
            examples.append(self._example(conversation, images, _part(prompt, begin, end)))
            begin = end
        return collate(examples, self._pad_id, side="right")

    @property
    def makes_maps(self) -> bool:
        """Whether images get crayon maps."""
        return self._crayons.makes_maps

    def read(self, refs: Sequence[Ref]) -> list[tuple[Conversation, list[Loaded]]]:
        """Reads conversations with their images, and segments where they are annotated.

        Raises:
            DataError: More images than allowed are broken, or none of the conversations is usable.
        """
        usable: list[tuple[Conversation, list[Loaded]]] = []
        for ref in refs:
            try:
                usable.append(self._open(ref))
            except DataError as error:
                self._count(f"{self._mix.names[ref.source]}, row {ref.row}", error)
        if not usable:
            raise DataError(
                f"none of the {len(refs)} conversations of this process's share of a step can be "
                f"used ({', '.join(sorted(self._bad))}); mend or remove them"
            )
        return usable

    def _open(self, ref: Ref) -> tuple[Conversation, list[Loaded]]:
        """Reads a conversation and its images.

        Crayon instructions get the maps of their own annotation: a segmenter would number the
        objects in another order than the answers do.
        """
        conversation = self._mix[ref]
        images = [self._read(image) for image in conversation.images]
        segments = self._mix.segments(ref)
        if segments is not None:
            for image in images:
                image.segments = (segments,)
        return conversation, images

    def _read(self, ref: ImageRef) -> Loaded:
        try:
            data = ref.read()
        except OSError as error:
            raise DataError(f"{ref.label} cannot be read: {error}") from error
        loaded = Loaded(Unit(ref.label, (ref,), (), (), 1.0))
        loaded.digests = (hashlib.sha256(data).hexdigest(),)
        loaded.visuals = (self._visual(ImageRef(data=data, name=ref.label)),)
        return loaded

    def _count(self, name: str, error: DataError) -> None:
        """Counts a broken image; the same one in a later epoch is not counted again."""
        if name not in self._bad:
            self._bad.add(name)
            logger.warning("%s is left out: %s", name, error)
        if len(self._bad) > self._max_bad:
            raise DataError(
                f"{len(self._bad)} conversations have broken images, last {name} "
                f"({error}); TRAIN.MAX_BAD_IMAGES is {self._max_bad}. Mend or remove them, or "
                "allow more: they are then left out and reported"
            ) from error

    def _crayon(self, images: Sequence[Loaded]) -> CrayonPrompt | None:
        if not images or not self._crayons.segments_images:
            return None
        pictures = pictures_of([image.visuals[0] for image in images], "cpu")
        return self._crayons.make(images, pictures)[0]

    def _example(
        self, conversation: Conversation, images: Sequence[Loaded], crayon: CrayonPrompt | None
    ) -> Example:
        text = None
        if conversation.crayon_text and crayon is not None and crayon.text:
            text = crayon.text[0]
        encoded = encode(self._template, conversation.turns, text, len(images), self._tokenizer)
        visuals = tuple(image.visuals[0] for image in images)
        widths = [visual.num_tokens for visual in visuals]
        encoded = cut(encoded, self._max_length, self._tokenizer.image_token_id, widths)
        return Example(
            encoded.ids,
            encoded.labels,
            visuals,
            text,
            crayon,
            conversation.sample_id,
            conversation.task,
            conversation.kind,
        )


def _part(prompt: CrayonPrompt | None, begin: int, end: int) -> CrayonPrompt | None:
    """The Crayon Prompt of some images of a batch."""
    if prompt is None or begin == end:
        return None
    semantic, number = prompt.semantic, prompt.number
    return CrayonPrompt(
        None if semantic is None else semantic[begin:end],
        None if number is None else number[begin:end],
        prompt.text[begin:end],
    )
