"""A command in a process of its own, which ends when the ablation that started it is gone."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(words: Sequence[str]) -> int:
    """Runs a command.

    Args:
        words: The process id of the ablation, then the command's words.
    """
    from collavo.cli.main import main as command
    from collavo.lifetime import end_with_parent

    end_with_parent(int(words[0]))
    return command(list(words[1:]))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
