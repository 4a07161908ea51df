"""Starts scripts in processes that have imported torch before they begin.

A Python that imports torch and the engine takes five seconds of a core before it does anything.
Most tests of commands want a process of their own, but not its start: they take a fork of one that
stands ready. What begins cold in earnest is tested with `subprocess`.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ACCEL = ROOT / "configs" / "accel"
LIMIT = 600.0
"""Seconds after which only a fault can be the reason."""


class Process:
    """A process of a script, with the words of `subprocess.Popen`; a session of its own.

    Args:
        argv: The script and its words.
        env: Its whole environment; by default this one's.
        cwd: Its working folder.
        merged: Whether errors go to the output.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
        merged: bool = False,
    ) -> None:
        self.args = [str(word) for word in argv]
        self.returncode: int | None = None
        self._out = _server().new_file()
        self._err = self._out if merged else _server().new_file()
        self.pid = _server().fork(
            argv=self.args,
            cwd=str(cwd),
            env=dict(os.environ if env is None else env),
            out=str(self._out),
            err=str(self._err),
        )

    def poll(self) -> int | None:
        if self.returncode is None:
            _server().listen(0)
            self.returncode = _server().codes.pop(self.pid, None)
        return self.returncode

    def wait(self, timeout: float = LIMIT) -> int:
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.args, timeout)
            _server().listen(0.5)
        return code

    def communicate(self, timeout: float = LIMIT) -> tuple[str, str]:
        """Waits for the end and returns what it wrote to stdout and to stderr."""
        self.wait(timeout)
        return self._out.read_text(), "" if self._err == self._out else self._err.read_text()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(15)

    def kill(self) -> None:
        self.send_signal(9)


def run(
    argv: Sequence[str | Path], env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Runs a script to its end."""
    process = Process(argv, env, cwd)
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def run_ranks(
    argv: Sequence[str | Path], accel: str, processes: int, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a script in several processes that know of each other, as `accelerate launch` does.

    One that fails ends the others, and its exit code is the whole's.

    Args:
        argv: The script and its words.
        accel: The name of a file in configs/accel.
        processes: How many.
        env: Their environment, without rank and world.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = []
    for rank in range(processes):
        own = dict(os.environ if env is None else env)
        own |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        own |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        own |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
        script = Path(__file__).with_name("rank.py")
        ranks.append(Process([script, ACCEL / accel, *argv], own))
    end = time.monotonic() + LIMIT
    while any(rank.poll() is None for rank in ranks):
        failed = next((rank for rank in ranks if rank.poll()), None)
        if failed or time.monotonic() > end:
            for rank in ranks:
                rank.kill()
            break
        _server().listen(0.5)
    else:
        failed = next((rank for rank in ranks if rank.poll()), None)
    said = [rank.communicate() for rank in ranks]
    out, err = ("".join(texts) for texts in zip(*said, strict=True))
    code = ranks[0].wait() if failed is None else failed.wait()
    return subprocess.CompletedProcess(ranks[0].args, code, out, err)


class _Server:
    """The process that forks, and the codes of what has ended."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.codes: dict[int, int] = {}
        self._pids: list[int] = []
        self._pending = b""
        self._folder = Path(tempfile.mkdtemp())
        self._files = itertools.count()
        atexit.register(self.close)

    def close(self) -> None:
        """Ends it; what it forked and still runs is ended by who started it."""
        with self.process:
            self.process.kill()
        shutil.rmtree(self._folder)

    def new_file(self) -> Path:
        """Makes an empty file, which is there until the tests end."""
        file = self._folder / str(next(self._files))
        file.touch()
        return file

    def fork(self, **request: object) -> int:
        """Starts one process and returns its number."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        end = time.monotonic() + LIMIT
        while not self._pids:
            assert time.monotonic() < end, "the process that forks does not answer"
            self.listen(1.0)
        return self._pids.pop(0)

    def listen(self, seconds: float) -> None:
        """Reads what the server has to say, and waits so long for it."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return
        read = os.read(self.process.stdout.fileno(), 1 << 16)
        assert read, f"the process that forks has ended with {self.process.wait()}"
        *lines, self._pending = (self._pending + read).split(b"\n")
        for message in map(json.loads, lines):
            if "code" in message:
                self.codes[message["pid"]] = message["code"]
            else:
                self._pids.append(message["pid"])


_servers: list[_Server] = []


def _server() -> _Server:
    if not _servers:
        _servers.append(_Server())
    return _servers[0]
