"""Asks a language model on this machine, by Hugging Face transformers."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

from collavo.datasets.evaluation.judge.backends import Backend
from collavo.datasets.evaluation.judge.calls import Call, FatalJudgeError, RefusedError, Reply
from collavo.modeling.pretrained import content_of, load_pretrained

DEFAULT_TOKENS = 256
"""Tokens of a reply at most where the protocol sets no limit."""


def local_identity(model: str, revision: str) -> str:
    """Names a model on this machine by its content; an endpoint may have one of the same name."""
    return f"local {content_of(model, revision)}"


class LocalBackend(Backend):
    """A causal language model of the Hugging Face kind, one call at a time.

    Loaded at the first call: a run whose replies are all stored needs no model.

    Args:
        model: A folder or a hub id.
        revision: The hub id's revision; empty for the newest.
        device: "auto", "cpu" or "cuda".
        trust_remote_code: Run code that the model brings along.
    """

    parallel = False

    def __init__(
        self,
        model: str,
        revision: str = "",
        device: str = "auto",
        trust_remote_code: bool = False,
    ) -> None:
        super().__init__(model)
        self._trust = trust_remote_code
        self._revision, self._device = revision or None, device
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    @cached_property
    def identity(self) -> str:
        """The content of the model's folder, or a hub id with its revision."""
        return local_identity(self.model, self._revision or "")

    def complete(self, call: Call) -> Reply:
        with self._lock:
            model, tokenizer = self._load()
            return self._generate(model, tokenizer, call)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            cuda = torch.cuda.is_available() if self._device == "auto" else self._device == "cuda"
            dtype = torch.bfloat16 if cuda else torch.float32
            given: dict[str, Any] = {"revision": self._revision, "trust_remote_code": self._trust}
            tokenizer = load_pretrained(AutoTokenizer, self.model, "JUDGE.MODEL", **given)
            model = load_pretrained(
                AutoModelForCausalLM, self.model, "JUDGE.MODEL", dtype=dtype, **given
            )
            self._loaded = model.to("cuda" if cuda else "cpu").eval(), tokenizer
        return self._loaded

    def _generate(self, model: Any, tokenizer: Any, call: Call) -> Reply:
        import torch

        tokens = self._tokens(tokenizer, call)
        limit = getattr(model.config, "max_position_embeddings", None)
        room = call.max_tokens or DEFAULT_TOKENS
        if limit and len(tokens) + room > limit:
            raise RefusedError(
                f"the prompt takes {len(tokens)} tokens and the reply {room}, the model has "
                f"{limit} positions"
            )
        ids = torch.tensor([tokens], device=model.device)
        options: dict[str, Any] = {"do_sample": False, "num_beams": 1}
        if call.temperature > 0:
            options |= {"do_sample": True, "temperature": call.temperature}
        pad = tokenizer.pad_token_id
        options["pad_token_id"] = pad if pad is not None else tokenizer.eos_token_id
        seed = int(call.key(self.model)[:8], 16)
        # The seed is the call's own, so that a reply does not hang on what was asked before.
        with torch.random.fork_rng(), torch.inference_mode():
            torch.manual_seed(seed)
            try:
                out = model.generate(
                    ids, attention_mask=torch.ones_like(ids), max_new_tokens=room, **options
                )
            except torch.OutOfMemoryError as error:
                raise FatalJudgeError(f"no memory for the judge: {error}") from error
        new = out[0, len(tokens) :]
        text = tokenizer.decode(new, skip_special_tokens=True)
        if not text.strip():
            raise RefusedError("an empty reply")
        return Reply(text, self.model, len(tokens), len(new))

    @staticmethod
    def _tokens(tokenizer: Any, call: Call) -> list[int]:
        if not tokenizer.chat_template:
            text = f"{call.system}\n\n{call.prompt}" if call.system else call.prompt
            return list(tokenizer(text)["input_ids"])
        messages = [{"role": "user", "content": call.prompt}]
        if call.system:
            messages.insert(0, {"role": "system", "content": call.system})
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
