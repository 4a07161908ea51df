"""Shows what a stage trains."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from collavo.engine.training.trainable import Trained, trainable_rows
from collavo.terminal import console


def show_trainable(stage: str, model: nn.Module, trained: Sequence[Trained]) -> None:
    """Prints name, shape, count and learning rate of what is trained, to stderr."""
    from rich.table import Table

    whole = sum(p.numel() for p in model.parameters())
    count = sum(item.parameter.numel() for item in trained)
    share = count / max(1, whole)
    table = Table(title=f"{stage} trains {count:,} numbers, {share:.2%} of those in the model")
    for name in ("parameter", "shape", "of them", "numbers", "lr", "in steps of"):
        right = name in ("of them", "numbers", "lr")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for name, shape, times, numbers, lr, side in trainable_rows(trained):
        table.add_row(name, shape, str(times), f"{numbers:,}", f"{lr:g}", side or "all kinds")
    console(stderr=True).print(table)
