"""Retries what earlier launches died of in a child process, whose death harms nobody.

The child comes before the model is loaded here, so that two never share the memory. It answers the
suspicious questions one by one and stores them as any launch does. Where it dies while this
process lives, the question that it was at is to blame; a death of both (a kill of the whole run, a
machine that goes down) blames nothing.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.config.paths import PACKAGE
from collavo.engine.folder import parent_folder
from collavo.engine.markers import Markers, Suspects
from collavo.engine.plan import Unit, make_units
from collavo.engine.store import STARTED, Store, rows_of_file
from collavo.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, UserError

if TYPE_CHECKING:
    from collavo.engine.tasks import Task

logger = logging.getLogger(__name__)

MOST_CHILDREN = 40
"""Children that one launch starts for a dataset; what is left then is computed last, here."""

_DECIDING = ("LIMIT", "REUSE", "SAMPLES", "SCORING")
_ELSEWHERE = ("DATALOADER", "DEVICE", "EVAL", "JUDGE", "SAVE_DIR", "USER_DIR", "VIS", "WANDB")
"""Keys that may differ, but for those of EVAL that are `_DECIDING`. The child checks the folder's
fingerprint, so these keys only save it from being started in vain."""


def retry_suspects(tasks: Sequence[Task], device: str) -> None:
    """Has a child answer what launches of the same configuration died over.

    Args:
        tasks: The datasets.
        device: The torch device string that this process will compute on.
    """
    for task in tasks:
        for folder in _folders(task, len(tasks)):
            _retry(task, folder, device)


def _folders(task: Task, datasets: int) -> list[Path]:
    """Run folders in which launches of this configuration died. None of them is certain yet."""
    if task.cfg.EVAL.FRESH:
        return []
    parent = parent_folder(task)
    if not task.cfg.EVAL.RUN_DIR:
        places = sorted(parent.glob("*/"))
    else:
        places = [parent / task.folder_name if datasets > 1 else parent]
    return [p for p in places if (p / STARTED).is_dir() and _is_same(task, p / "config.yaml")]


def _is_same(task: Task, file: Path) -> bool:
    from collavo.config import get_cfg

    try:
        return _deciding(get_cfg(file)) == _deciding(task.cfg)
    except UserError:  # of another version, or cut by a crash
        return False


def _deciding(cfg: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in cfg.items() if k not in _ELSEWHERE}
    kept["DATASETS"] = {k: v for k, v in cfg["DATASETS"].items() if k != "TEST"}
    return {**kept, "EVAL": {k: cfg["EVAL"][k] for k in _DECIDING}}


def _retry(task: Task, folder: Path, device: str) -> None:
    for _ in range(MOST_CHILDREN):
        units = _open(task, folder)
        if not units:
            return
        logger.warning(
            "%s: an earlier launch died over %d images or groups of questions; they are tried "
            "one by one in a process of their own",
            *(task.name, len(units)),
        )
        launch = Store(folder).next_launch()
        code = _child(task, folder, device)
        if code == EXIT_OK or not _blame(folder, launch):
            return


def _open(task: Task, folder: Path) -> list[Unit]:
    """Units over which a launch died, with questions that are neither answered nor at fault."""
    store = Store(folder)
    suspects = Suspects.read(folder, store.next_launch())
    units = [u for u in make_units(task.samples) if suspects.is_alone(u)]
    if not units:
        return []
    answered = {i for i, s in store.read().items() if s.answer is not None}
    found = []
    for unit in units:
        image_kills, killers = suspects.at_fault(unit)
        left = {s.sample_id for s in unit.samples} - answered - killers
        if left and not image_kills:
            found.append(unit)
    return found


def _child(task: Task, folder: Path, device: str) -> int:
    """Runs a child to its end and returns its exit code."""
    words = [folder, task.name, device.split(":")[0], task.cfg.EVAL.TIMEOUT, os.getpid()]
    command = [sys.executable, "-m", "collavo.engine.alone", *map(str, words)]
    process = subprocess.Popen(command, env=_environment())
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _environment() -> dict[str, str]:
    """This environment without what a launcher put there: the child is no process of its group."""
    launchers = ("ACCELERATE_", "TORCHELASTIC_", "GROUP_", "ROLE_", "MASTER_")
    own = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    kept = {k: v for k, v in os.environ.items() if k not in own and not k.startswith(launchers)}
    if "LOCAL_RANK" in os.environ:
        kept.pop("OMP_NUM_THREADS", None)
    path = (str(PACKAGE.parent), os.environ.get("PYTHONPATH", ""))
    return {**kept, "PYTHONPATH": os.pathsep.join(p for p in path if p)}


def _blame(folder: Path, launch: int) -> bool:
    """Writes down that a child died, and says whether it was at a question or image then.

    Args:
        folder: The run folder.
        launch: The number that the child had in it.
    """
    store = Store(folder)
    store.lock.acquire()
    try:
        store.repair()
        file = store.appender(STARTED, launch, 0)
        rows = list(rows_of_file(file.path)) if file.path.is_file() else []
        if not rows or "alone" not in rows[-1]:
            return False
        markers = Markers(file)
        markers.died()
        markers.close()
        return True
    finally:
        store.lock.release()


def main(words: Sequence[str]) -> int:
    """Is the child: answers what is suspicious in a run folder.

    Args:
        words: The folder, the dataset, the kind of device, the time limit in seconds, the parent.
    """
    from collavo.config import get_cfg
    from collavo.engine.accelerator import start_processes, terminate_cleanly
    from collavo.engine.models import Models
    from collavo.engine.run import run_suspects
    from collavo.engine.tasks import make_tasks
    from collavo.lifetime import end_with_parent
    from collavo.plugins import load_plugins

    folder, name, device, timeout, parent = words
    end_with_parent(int(parent))
    given = {
        "DATASETS.TEST": name, "DEVICE": device, "EVAL.RUN_DIR": folder, "EVAL.TIMEOUT": timeout,
        "EVAL.FRESH": False, "EVAL.OVERLAP": "off", "VIS.SAMPLES": 0,
    }  # fmt: skip
    overrides = [str(word) for pair in given.items() for word in pair]
    try:
        with terminate_cleanly():
            cfg = get_cfg(Path(folder) / "config.yaml", overrides)
            load_plugins(cfg.USER_DIR)
            (task,) = make_tasks(lambda benchmark: cfg)
            processes = start_processes(cfg.DEVICE, cfg.RANDOM_SEED, float(timeout))
            run_suspects(task, Models(processes.device).get(task.cfg), processes)
    except UserError as error:
        logger.warning("%s", error)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return EXIT_OK


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    raise SystemExit(main(sys.argv[1:]))
