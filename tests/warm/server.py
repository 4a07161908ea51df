"""Forks processes that have imported what takes seconds; see start.py, which talks to it.

It reads one JSON object a line: argv, cwd, env, out and err (files). It answers {"pid": …} for each
and {"pid": …, "code": …} when a process has ended, in subprocess's numbers.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import sys
import threading
import traceback
from typing import Any

MODULES = (
    *("collavo.modeling.adapters.quantize", "torch._dynamo", "bitsandbytes", "accelerate"),
    *(
        "matplotlib.backends.backend_agg",
        "matplotlib.figure",
        "matplotlib.dates",
        "PIL.JpegImagePlugin",
        "rich.console",
        "rich.table",
    ),
    *("collavo.cli.eval", "collavo.cli.merge", "collavo.cli.train", "collavo.cli.launch"),
    *("collavo.engine.run", "collavo.engine.training.run", "collavo.engine.training.vlm_task"),
    *("collavo.modeling.segmenters.mask2former", "collavo.modeling.segmenters.precomputed"),
    "accelerate.commands.launch",
)


def serve() -> dict[str, Any] | None:
    """Forks until its input ends; returns None there, and in each new process what it shall be."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pending = b""
    while True:
        ready = select.select([sys.stdin, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_ended()
        if sys.stdin not in ready:
            continue
        read = os.read(0, 1 << 16)
        if not read:
            return None
        *lines, pending = (pending + read).split(b"\n")
        for line in lines:
            if not (pid := os.fork()):
                os.close(woken)
                os.close(wake)
                return json.loads(line)
            _tell(pid=pid)


def _tell_ended() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(pid=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**message: int) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def become(argv: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """Runs a script as a process of its own would, and ends as one."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    with open(os.devnull) as nothing, open(out, "ab") as stdout, open(err, "ab") as stderr:
        for target, file in enumerate((nothing, stdout, stderr)):
            os.dup2(file.fileno(), target)
    sys.argv = argv
    sys.path[0] = os.path.dirname(argv[0])
    try:
        runpy.run_path(argv[0], run_name="__main__")
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    # what an interpreter does at its end, but for taking down the modules that all share: that
    # takes longer than most scripts
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    for module in MODULES:
        importlib.import_module(module)
    gc.freeze()
    if request := serve():
        become(**request)
