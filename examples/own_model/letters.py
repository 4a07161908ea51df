"""A model of one's own: letters through a GRU, under the mean colour of the image.

It fills the declared members of `Architecture` alone, and evaluates, trains, resumes and merges.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers.modeling_outputs import CausalLMOutputWithPast

from collavo.modeling.architectures.base import Architecture
from collavo.modeling.architectures.merge import Merged
from collavo.modeling.llms.chat import ANSWER, IMAGES, USER, ChatTemplate, Span
from collavo.registry import ARCHITECTURES

IMAGE, END = 256, 0


class Letters:
    """Bytes, and one id for an image."""

    image_token_id = IMAGE

    def encode(self, text: str, add_bos: bool = True) -> list[int]:
        parts = text.split("<image>")
        ids = [token for part in parts for token in (IMAGE, *part.encode())][1:]
        return ids


@ARCHITECTURES.register("letters")
class LetterModel(Architecture):
    """Writes letter by letter what it was shown in training."""

    image_size, grid = 8, (1, 1)
    image_token_id = IMAGE
    template = ChatTemplate(
        (Span(f"{IMAGES}{USER}\n"),), (Span(f"{USER}\n"),), (Span(f"{ANSWER}\0", learnt=True),)
    )

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.letters = nn.Embedding(IMAGE + 1, width)
        self.colour = nn.Linear(3, width)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, 256)

    @classmethod
    def from_config(cls, cfg, device=None):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(cfg.RANDOM_SEED)
            model = cls()
        if cfg.MODEL.WEIGHTS:
            model.load_state_dict(load_file(Path(cfg.MODEL.WEIGHTS) / "letters.safetensors"))
            model.origin = (cfg.MODEL.WEIGHTS, "")
        return model.eval()

    def fingerprint(self):
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def render(self, question, crayon_text):
        return self.template.render(question)

    def tokenize(self, prompt):
        return Letters().encode(prompt)

    def known_tokenizer(self):
        return Letters()

    def forward(
        self,
        input_ids,
        visuals=(),
        crayon=None,
        attention_mask=None,
        labels=None,
        logits_to_keep=0,
        reduction="mean",
    ):
        colours = torch.zeros(len(input_ids), 3)
        rows = (input_ids == IMAGE).any(1).nonzero().flatten().tolist()
        for row, visual in zip(rows, visuals, strict=True):
            colours[row] = visual.tensors["pixel_values"].float().mean((1, 2)) / 255
        hidden, _ = self.gru(self.letters(input_ids) + self.colour(colours)[:, None])
        logits = self.head(hidden)
        loss = None
        if labels is not None:
            targets = labels[:, 1:].flatten()
            kept = targets != -100
            loss = functional.cross_entropy(
                logits[:, :-1].flatten(0, 1)[kept], targets[kept], reduction=reduction
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits)

    @torch.no_grad()
    def generate(self, prompts, visuals, crayon, generation):
        answers = []
        for prompt, shown in zip(prompts, visuals, strict=True):
            ids = list(prompt)
            for _ in range(generation.max_new_tokens):
                logits = self(torch.tensor([ids]), tuple(shown)).logits
                ids.append(int(logits[0, -1].argmax()))
                if ids[-1] == END:
                    break
            text = bytes(i for i in ids[len(prompt) :] if i != END)
            answers.append(text.decode(errors="replace"))
        return answers

    def save_stage(self, folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), Path(folder) / "letters.safetensors")

    @classmethod
    def merge_stage(cls, source, target, dtype=None):
        target.mkdir(parents=True)
        shutil.copyfile(source / "letters.safetensors", target / "letters.safetensors")
        return Merged(source, (), 0, 8, 16, (target / "letters.safetensors").stat().st_size)
