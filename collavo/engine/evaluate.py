"""The one evaluation loop: takes units from the queue, loads them ahead, answers them, stores."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collavo.engine.board import Board, Queue
from collavo.engine.images import ImageLoader, Loaded
from collavo.engine.markers import Markers, Suspects
from collavo.engine.plan import Unit, in_order
from collavo.engine.store import Appender, Stored
from collavo.records import Sample

if TYPE_CHECKING:
    from collavo.engine.compute import Answerer
    from collavo.engine.overlap import Overlap

logger = logging.getLogger(__name__)

_IDLE_AT_ONCE = 256

KILLED = (
    "it ended its process each time it was computed, at last twice alone; remove the folder "
    "'started' of the run to try it again"
)


@dataclass
class Progress:
    """Counts what this process has done; shared counts stand on the board.

    Args:
        board: The board.
        name: The run's name on the board.
        beat: Called at every sign of progress.
        show: Told how many samples all processes of this launch have stored.
    """

    board: Board
    name: str
    beat: Callable[[], None] = field(default=lambda: None)
    show: Callable[[int], None] = field(default=lambda stored: None)

    def moved(self, answered: int = 0) -> None:
        """Says that the process has moved on, with so many samples stored."""
        self.beat()
        self.board.add(f"{self.name}/life/{self.board.rank}", 1)
        self.show(self.board.add(f"{self.name}/stored", answered))

    @property
    def stored(self) -> int:
        """Samples that all processes of this launch have stored."""
        return self.board.add(f"{self.name}/stored", 0)


class DoneFilter:
    """Knows which samples earlier launches answered, and for which image.

    Args:
        stored: What is on disk, by sample id.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        self._digests = {k: s.digest for k, s in stored.items() if s.answer is not None}
        self._answers = {k: s.answer for k, s in stored.items()}

    def __call__(self, sample: Sample, digest: str) -> bool:
        """Says whether the answer on disk is about this very image."""
        return self._digests.get(sample.sample_id) == digest

    def answer_of(self, sample: Sample) -> str | None:
        """The answer on disk, None where there is none."""
        return self._answers.get(sample.sample_id)

    def __len__(self) -> int:
        return len(self._digests)


def evaluate(
    units: Sequence[Unit],
    suspects: Suspects,
    loader: ImageLoader,
    answerer: Answerer,
    markers: Markers,
    progress: Progress,
    overlap: Overlap | None = None,
) -> None:
    """Answers this process's share of the units.

    Args:
        units: All units of the run, the same in every process.
        suspects: What earlier launches died of.
        loader: Reads images.
        answerer: Computes and stores.
        markers: Written before anything is computed.
        progress: Told of every step.
        overlap: Segments the next batch while one is answered.
    """
    board, name = progress.board, progress.name
    ordered = in_order((u for u in units if not suspects.is_alone(u)), suspects.attempts)
    suspicious = [u for u in units if suspects.is_alone(u)]
    suspicious.sort(key=lambda u: len(suspects.blamed.get(u.key, ())))
    queue = Queue(board, f"{name}/units", len(ordered))
    feed = _Feed(ordered, queue, loader, answerer, markers)
    try:
        for batch in feed if overlap is None else overlap(feed, lambda: queue.nearly_empty):
            answerer.run([loaded for loaded in batch if loaded.pending or loaded.error])
            markers.end(loaded.unit for loaded in batch)
            progress.moved()
        queue = Queue(board, f"{name}/alone", len(suspicious))
        while claimed := queue.claim(1):
            _answer_alone(suspicious[claimed[0]], suspects, loader, answerer, markers, progress)
    finally:
        loader.close()
        if overlap is not None:
            overlap.close()


class _Feed:
    """Yields loaded units in batches, with the next batch loading meanwhile."""

    def __init__(
        self,
        units: Sequence[Unit],
        queue: Queue,
        loader: ImageLoader,
        answerer: Answerer,
        markers: Markers,
    ) -> None:
        self._units, self._queue, self._answerer = units, queue, answerer
        self._loader, self._markers = loader, markers
        self._loading: deque[Future[Loaded]] = deque()

    def __iter__(self) -> Iterator[list[Loaded]]:
        batch: list[Loaded] = []
        idle: list[Loaded] = []  # everything in them is on disk already
        want = self._queue.share(self._answerer.images_at_once)
        while True:
            self._load(want - len(batch))
            if not self._loading:
                break
            loaded = self._loading.popleft().result()
            (batch if loaded.pending or loaded.error else idle).append(loaded)
            if len(batch) >= want or len(idle) >= _IDLE_AT_ONCE:
                want = self._queue.share(self._answerer.images_at_once)
                if not self._queue.nearly_empty:
                    self._load(want)
                yield batch + idle
                batch, idle = [], []
        if batch or idle:
            yield batch + idle

    def _load(self, count: int) -> None:
        """Claims units until so many are loading, or none are left."""
        while len(self._loading) < count:
            claimed = self._queue.claim(count - len(self._loading))
            if not claimed:
                return
            units = [self._units[k] for k in claimed]
            self._markers.begin(units)
            self._loading += self._loader.submit(units)


def _answer_alone(
    unit: Unit,
    suspects: Suspects,
    loader: ImageLoader,
    answerer: Answerer,
    markers: Markers,
    progress: Progress,
) -> None:
    """Computes a unit that a launch died over: one question at a time, each marked first."""
    image_kills, killers = suspects.at_fault(unit)
    if image_kills:
        answerer.run([Loaded(unit, list(unit.samples), error=KILLED)])
        markers.end([unit])
        return
    markers.alone(unit)
    loaded = loader.load(unit)
    lost = [s for s in loaded.pending if s.sample_id in killers]
    answerer.run([Loaded(unit, lost, loaded.digests, error=KILLED)])
    left = [s for s in loaded.pending if s.sample_id not in killers]
    loaded.pending = sorted(left, key=lambda s: suspects.blame(unit, s))
    answerer.run_one_by_one(loaded, lambda sample: markers.alone(unit, sample.sample_id))
    markers.end([unit])
    progress.moved()


def storing(file: Appender, progress: Progress) -> Callable[[list[Stored]], None]:
    """Returns what takes answers as they come: writes them, then tells of them."""

    def emit(answers: list[Stored]) -> None:
        file.write(a.line() for a in answers)
        progress.moved(len(answers))

    return emit


def wait_for_others(progress: Progress, timeout: float) -> list[dict[str, float]]:
    """Waits until every process has finished its share, and returns what each leaves at its end.

    Raises:
        LostProcessError: One of them does not move any more.
    """
    board = progress.board
    return [
        board.wait(f"{progress.name}/end/{rank}", timeout, f"{progress.name}/life/{rank}")
        for rank in range(board.world)
    ]
