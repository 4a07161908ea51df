"""A task of a few numbers, and a script that trains it as `lbk_entry.py train` would a model."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from collavo.engine.training.task import LossParts, Place


class ToyModel(nn.Module):
    """Two linears and one that is never to be trained."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.body = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.0))
        self.head = nn.Linear(16, 4)
        self.lm_head = nn.Linear(4, 4)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.lm_head(self.head(self.body(x)))


class ToyTask:
    """Learns the class of points; some batches can be poisoned, or kill the process."""

    name = "toy"
    steps_per_epoch = 10

    def __init__(self, batch_size: int, dropout: float, poison: set[int], kill: int) -> None:
        self.model: Any = ToyModel()
        self.model.body[2].p = dropout
        self.batch_size, self.poison, self.kill = batch_size, poison, kill

    @classmethod
    def from_config(cls, cfg: Any, device: str, is_main: bool = True) -> ToyTask:
        poison = {int(s) for s in os.environ.get("TOY_POISON", "").split(",") if s}
        kill = int(os.environ.get("TOY_KILL", "-1"))
        return cls(cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.PLORA_DROPOUT, poison, kill)

    def kind(self, step: int) -> str:
        return ""

    def load(self, step: int, place: Place) -> tuple[int, Tensor, Tensor, list[int]]:
        generator = torch.Generator().manual_seed(1000 + step)
        x = torch.randn(self.batch_size, 6, generator=generator)
        y = (x[:, :4] * 2 + x[:, 1:5]).argmax(1)
        if step in self.poison:
            x[0] = float("nan")
        ids = list(range(self.batch_size))[place.share]
        return step, x[place.share], y[place.share], ids

    def counts(self, batch: Any) -> Tensor:
        return torch.tensor([len(batch[2])], dtype=torch.float64)

    def tokens(self, batch: Any) -> int:
        return len(batch[2])

    def sample_ids(self, batch: Any) -> list[str]:
        return [f"toy:{batch[0]}-{number}" for number in batch[3]]

    def loss(self, model: nn.Module, batch: Any, totals: Tensor) -> LossParts:
        step = batch[0]
        if step == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if step == int(os.environ.get("TOY_INTERRUPT", "-1")):
            os.kill(os.getpid(), signal.SIGINT)
        if step == int(os.environ.get("TOY_FULL", "-1")):  # as if the disk took no more
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
        logits = model(batch[1])
        each = F.cross_entropy(logits, batch[2], reduction="none") / totals[0]
        right = (logits.argmax(1) == batch[2]).double().sum() / totals[0]
        return LossParts(each.sum(), {"accuracy": right})

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        save_file(self.model.state_dict(), folder / "model.safetensors")

    def probe(self) -> Tensor:
        was = self.model.training
        self.model.eval()
        with torch.no_grad():
            found = self.model(torch.ones(1, 6))
        self.model.train(was)
        return found

    def fingerprint(self) -> Mapping[str, Any]:
        return {"toy": hashlib.sha256(b"toy").hexdigest()}


def main(words: list[str]) -> int:
    """Trains the toy; `words` are those of `lbk_entry.py train`."""
    from collavo.cli.main import main as collavo_main
    from collavo.engine.training import tasks

    tasks.TASKS["vlm"] = (__name__, "ToyTask")
    return collavo_main(["train", *words])


if __name__ == "__main__":
    sys.modules["toy_task"] = sys.modules["__main__"]
    raise SystemExit(main(sys.argv[1:]))
