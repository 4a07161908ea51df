"""The store of a run: complete lines on disk as answers come, locks, resuming by set difference."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collavo.errors import ConfigError, UserError
from collavo.json_files import parse_object

PARTS, STARTED, CHECKS = "parts", "started", "checks"


class StoreError(UserError):
    """The run folder cannot be written; what is in it stays valid."""


@dataclass(frozen=True)
class Stored:
    """What is on disk of one sample.

    Args:
        sample_id: The sample.
        digest: sha256 of the image that was answered, empty without image.
        answer: The raw text, None where it failed.
        crayon_text: The sentence about the objects that stood in the prompt.
        error: Why it failed.
        extra: Anything else worth keeping (likelihoods, the classes that were seen).
    """

    sample_id: str
    digest: str = ""
    answer: str | None = None
    crayon_text: str = ""
    error: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Its line in a part file."""
        row: dict[str, Any] = {"id": self.sample_id, "image": self.digest, "answer": self.answer}
        if self.crayon_text:
            row["crayon"] = self.crayon_text
        if self.error is not None:
            row["error"] = self.error
        if self.extra:
            row["extra"] = dict(self.extra)
        return json.dumps(row, ensure_ascii=False)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Stored:
        """Reads the object of one line.

        Raises:
            StoreError: A field lacks or is of another type.
        """
        found = cls(
            row.get("id", ""),
            row.get("image", ""),
            row.get("answer"),
            row.get("crayon", ""),
            row.get("error"),
            row.get("extra", {}),
        )
        texts = (found.sample_id, found.digest, found.crayon_text)
        optional = (found.answer, found.error)
        good = all(isinstance(x, str) for x in texts) and found.sample_id != ""
        good = good and all(x is None or isinstance(x, str) for x in optional)
        if not (good and isinstance(found.extra, Mapping)):
            raise _damaged(f"{json.dumps(row)[:120]} is no answer to a sample")
        return found


class Appender:
    """Appends complete lines to one file that no other process writes.

    Args:
        path: The file; it is made with its folder at the first line.
        durable: Force each batch to the disk, so that it outlives the machine too.
    """

    def __init__(self, path: Path, durable: bool = True) -> None:
        self.path, self.durable = path, durable
        self._fd: int | None = None
        self._end = 0

    def write(self, lines: Iterable[str]) -> None:
        """Writes lines, all of them or (on an error) none.

        Raises:
            StoreError: The disk is full or cannot be written.
        """
        data = "".join(line + "\n" for line in lines).encode()
        if not data:
            return
        try:
            if self._fd is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                self._end = os.fstat(self._fd).st_size
            self._write_all(data)
            if self.durable:
                os.fsync(self._fd)
            self._end += len(data)
        except OSError as error:
            if self._fd is not None:
                os.ftruncate(self._fd, self._end)
            raise writing_failed(self.path, error) from error

    def _write_all(self, data: bytes) -> None:
        assert self._fd is not None, "opened by write"
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def close(self) -> None:
        """Closes the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def writing_failed(path: Path, error: OSError) -> StoreError:
    """Words an error of the disk for the user."""
    kept = "what was finished is kept; start the run again to go on from there"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(f"the disk is full: cannot write {path}. Free some space; {kept}")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(
            f"cannot write {path}: {error.strerror}. Choose another folder with SAVE_DIR or make "
            "this one writable"
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG):
        return StoreError(
            f"cannot write {path}: {error.strerror}. Choose a folder that can be made with SAVE_DIR"
        )
    return StoreError(f"cannot write {path}: {error.strerror or error}; {kept}")


class RunLock:
    """Holds a run folder for one launch; the kernel gives it back when its owner dies.

    A POSIX record lock: it works over NFS, and child processes do not inherit it.

    Args:
        path: The lock file, which also says who holds it.
        key: The configuration key that names such a folder, for messages.
    """

    _held: set[Path] = set()

    def __init__(self, path: Path, key: str = "EVAL.RUN_DIR") -> None:
        self.path, self.key = path, key
        self._file: Any = None

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
            ConfigError: Another run holds it.
            StoreError: The folder cannot be written.
        """
        key = self.path.resolve()
        if key in RunLock._held:
            raise ConfigError(f"this process already runs in {self.path.parent}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "a+", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise writing_failed(self.path, error) from error
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            owner = file.read().strip() or "another process"
            file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise writing_failed(self.path, error) from error
            raise ConfigError(
                f"another run is at work in {self.path.parent} ({owner}): wait for it, or give "
                f"this one a folder of its own with {self.key}"
            ) from error
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        except OSError as error:
            with suppress(OSError):  # which tries to write once more
                file.close()
            raise writing_failed(self.path, error) from error
        self._file = file
        RunLock._held.add(key)

    def release(self) -> None:
        """Gives the lock back."""
        if self._file is not None:
            RunLock._held.discard(self.path.resolve())
            self._file.close()
            self._file = None


class Store:
    """The files of one run folder.

    Args:
        folder: `<SAVE_DIR>/<dataset>/<fingerprint>`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = RunLock(folder / "lock")

    def clear(self) -> None:
        """Removes what earlier runs left here, and nothing else."""
        for name in (PARTS, STARTED, CHECKS, "pictures"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for name in ("fingerprint.json", "exit_code", "predictions.jsonl", "config.yaml"):
            file = self.folder / name
            if file.is_dir():  # damaged; nothing of ours is a folder of that name
                shutil.rmtree(file, ignore_errors=True)
            file.unlink(missing_ok=True)
        for file in self.folder.glob("results.*"):
            file.unlink()

    def next_launch(self) -> int:
        """Returns the number of this launch: one more than any that left a file."""
        files = [f for d in (PARTS, STARTED) for f in (self.folder / d).glob("*.jsonl")]
        return max((launch_of(f) for f in files), default=0) + 1

    def appender(self, kind: str, launch: int, rank: int, durable: bool = True) -> Appender:
        """Returns the appender of this launch's and this process's own file."""
        return Appender(self.folder / kind / f"{launch:04d}-{rank:04d}.jsonl", durable)

    def repair(self) -> None:
        """Cuts half a line off the end of any file; call it with the lock held only."""
        for kind in (PARTS, STARTED):
            for file in sorted((self.folder / kind).glob("*.jsonl")):
                data = file.read_bytes()
                end = data.rfind(b"\n") + 1
                if end < len(data):
                    os.truncate(file, end)

    def read(self) -> dict[str, Stored]:
        """Reads what is on disk of each sample.

        Where a sample stands more than once, the later launch wins, then the later line; an answer
        always wins over a failure of the same image.
        """
        texts: dict[str, str] = {}
        found: dict[str, Stored] = {}
        for row in rows_of(self.folder / PARTS):
            new = Stored.from_row(row)
            # one text object for the questions of an image, which are very many
            crayon = texts.setdefault(new.crayon_text, new.crayon_text)
            new = replace(new, crayon_text=crayon)
            old = found.get(new.sample_id)
            if old and new.answer is None and old.answer is not None and old.digest == new.digest:
                continue
            found[new.sample_id] = new
        return found


def launch_of(file: Path) -> int:
    """Returns the launch number in the name of a part or marker file."""
    number = file.stem.split("-")[0]
    return int(number) if number.isdigit() else 0


def rows_of(folder: Path) -> Iterable[dict[str, Any]]:
    """Yields the objects of all complete lines of a folder's files, in launch and process order.

    Half a line at the end of a file (its writer died) is passed over.

    Raises:
        StoreError: A line in the midst of a file is no JSON object.
    """
    for file in sorted(folder.glob("*.jsonl")):
        yield from rows_of_file(file)


def rows_of_file(file: Path) -> Iterable[dict[str, Any]]:
    """Yields the objects of the complete lines of one file.

    Raises:
        StoreError: A complete line is no JSON object.
    """
    with open(file, "rb") as stream:
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            yield parse_object(line, f"{file}:{number}", _damaged)


def _damaged(said: str) -> StoreError:
    return StoreError(
        f"a line of the run is damaged: {said}. Remove that line to answer its sample again, or "
        "start anew with --fresh"
    )
