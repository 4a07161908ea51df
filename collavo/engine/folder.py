"""The folder of a run: where it is, whether it may be written, whose it is, how it ended."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.config import dump
from collavo.engine import fingerprint as fp
from collavo.engine.accelerator import Processes
from collavo.engine.markers import Suspects
from collavo.engine.store import Store, writing_failed
from collavo.engine.tasks import Task
from collavo.errors import EXIT_CRASH

if TYPE_CHECKING:
    from collavo.engine.models import Model

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """A run folder that is ready.

    Args:
        store: Its files; the main process holds its lock.
        launch: The number of this launch in it.
        suspects: What earlier launches died of.
    """

    store: Store
    launch: int
    suspects: Suspects


def open_folder(task: Task, model: Model, processes: Processes, datasets: int) -> Opened:
    """Opens the run folder in the main process and tells the others where it is."""
    note = f"{task.number}/launch"
    if not processes.is_main:
        told = processes.board.wait(note)
        return Opened(Store(Path(told["folder"])), told["launch"], Suspects(**told["suspects"]))
    from collavo.engine.models import fingerprint_items

    items = fingerprint_items(task, model)
    folder = run_folder(task, items, datasets)
    store = Store(folder)
    store.lock.acquire()
    try:
        if task.cfg.EVAL.FRESH:
            store.clear()
        fp.check_folder(folder, items)
        store.repair()
        launch = store.next_launch()
        suspects = Suspects.read(folder, launch)
        fp.write_items(folder, items)
        (folder / "config.yaml").write_text(dump(task.cfg), encoding="utf-8")
        write_exit_code(folder, EXIT_CRASH)  # what stands there if this launch is killed
    except OSError as error:
        store.lock.release()
        raise writing_failed(folder, error) from error
    except BaseException:
        store.lock.release()
        raise
    logger.info("%s: results go to %s", task.name, folder)
    if not task.cfg.EVAL.RUN_DIR:
        for other, count in fp.of_other_code(folder.parent, items, folder).items():
            logger.info(
                "%s holds %d answers of the same settings made by other code; they are not used",
                *(other, count),
            )
    processes.board.put(
        note, {"folder": str(folder), "launch": launch, "suspects": suspects.note()}
    )
    return Opened(store, launch, suspects)


def run_folder(task: Task, items: Mapping[str, Any], datasets: int) -> Path:
    """Returns the folder of a run: EVAL.RUN_DIR, or `<SAVE_DIR>/<dataset>/<fingerprint>`."""
    if task.cfg.EVAL.RUN_DIR:
        given = Path(task.cfg.EVAL.RUN_DIR).expanduser()
        return given / task.folder_name if datasets > 1 else given
    return parent_folder(task) / fp.fingerprint(items)


def check_writable(folder: Path) -> None:
    """Finds out before a model is loaded whether results can be written.

    Raises:
        StoreError: They cannot.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise writing_failed(folder, error) from error


def write_exit_code(folder: Path, code: int) -> None:
    """Leaves the exit code in the run folder, since `accelerate launch` turns each into 1."""
    try:
        (folder / "exit_code").write_text(f"{code}\n", encoding="ascii")
    except OSError as error:
        logger.warning("cannot write %s: %s", folder / "exit_code", error)


def parent_folder(task: Task) -> Path:
    """Returns the folder that run folders of a dataset are made in, or EVAL.RUN_DIR."""
    if task.cfg.EVAL.RUN_DIR:
        return Path(task.cfg.EVAL.RUN_DIR).expanduser()
    return Path(task.cfg.SAVE_DIR).expanduser() / task.folder_name
