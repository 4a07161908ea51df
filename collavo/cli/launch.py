"""`accelerate launch` for `bash run`: the same, without its own traceback after a command's error.

`python -m collavo.cli.launch ARGS` takes the arguments of `accelerate launch`.
"""

from __future__ import annotations

import subprocess
import sys

from collavo.errors import EXIT_CRASH, EXIT_INTERRUPTED, EXIT_USAGE


def main() -> int:
    """Launches, and returns the exit code: the command's own where one process was started."""
    from accelerate.commands.launch import main as launch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        launch()
    except subprocess.CalledProcessError as error:
        return error.returncode if error.returncode > 0 else 128 - error.returncode
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        print(f"process {rank} ended with {failure.exitcode}", file=sys.stderr)
        return EXIT_CRASH
    except ImportError as error:  # DeepSpeed, which accelerate looks for before all else
        print(f"error: {error}; or: pip install 'collavo[deepspeed]'", file=sys.stderr)
        return EXIT_USAGE
    except (KeyboardInterrupt, SignalException):
        return EXIT_INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
