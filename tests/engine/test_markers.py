"""Markers: what launches began and did not finish, and who is at fault."""

from __future__ import annotations

import pytest

from collavo.engine.markers import Markers, Suspects
from collavo.engine.plan import Unit
from collavo.engine.store import Store
from collavo.records import Sample


def unit(key: str) -> Unit:
    samples = (Sample(f"{key}1", (), "?", 1), Sample(f"{key}2", (), "?", 2))
    return Unit(key, None, samples, samples, 1.0)


A, B = unit("a"), unit("b")


@pytest.fixture
def launch(tmp_path):
    store = Store(tmp_path)

    def begin(number: int, rank: int = 0) -> Markers:
        return Markers(store.appender("started", number, rank))

    return begin


def test_unfinished_units_are_counted_by_launch(launch, tmp_path):
    launch(1).begin([A, B])
    second = launch(2)
    second.begin([A, B])
    second.end([A])
    suspects = Suspects.read(tmp_path, 3)
    assert suspects.attempts == {"b": 2}  # finishing a clears it
    assert suspects.is_alone(B) and not suspects.is_alone(A)
    assert Suspects.read(tmp_path, 2).attempts == {"a": 1, "b": 1}


def test_an_orderly_end_leaves_no_suspicion(launch, tmp_path):
    markers = launch(1)
    markers.begin([A])
    markers.release()
    assert Suspects.read(tmp_path, 2).attempts == {}


def test_what_a_child_died_of_twice_is_at_fault(launch, tmp_path):
    launch(1).begin([A])
    for number, blamed in ((2, 1), (3, 2)):
        markers = launch(number)
        markers.alone(A)
        markers.alone(A, "a1")
        markers.died()
        suspects = Suspects.read(tmp_path, number + 1)
        assert suspects.is_alone(A)
        assert suspects.blame(A, A.samples[0]) == blamed
        assert suspects.blame(A, A.samples[1]) == 0
        assert suspects.at_fault(A) == (False, {"a1"} if blamed == 2 else set())
    for number in (4, 5):
        markers = launch(number)
        markers.alone(A)
        markers.died()
    assert Suspects.read(tmp_path, 6).at_fault(A) == (True, {"a1"})
    launch(6).end([A])
    assert Suspects.read(tmp_path, 7).at_fault(A) == (True, {"a1"})  # recorded as failed


def test_who_is_killed_with_its_parent_blames_nothing(launch, tmp_path):
    launch(1).begin([A])
    for number in (2, 3, 4):
        launch(number).alone(A, "a1")
    suspects = Suspects.read(tmp_path, 5)
    assert suspects.at_fault(A) == (False, set()) and suspects.blame(A, A.samples[0]) == 0
    assert suspects.is_alone(A)


def test_what_was_blamed_once_and_then_finished_is_cleared(launch, tmp_path):
    launch(1).begin([A])
    markers = launch(2)
    markers.alone(A, "a1")
    markers.died()
    markers = launch(3)
    markers.alone(A, "a1")
    markers.end([A])
    suspects = Suspects.read(tmp_path, 4)
    assert not suspects.is_alone(A) and suspects.blamed == {}


def test_what_was_alone_and_released_is_not_blamed(launch, tmp_path):
    markers = launch(1)
    markers.alone(A, "a1")
    markers.release()
    assert Suspects.read(tmp_path, 2).blamed == {}


def test_what_is_known_goes_to_the_other_processes(launch, tmp_path):
    launch(1).begin([A])
    suspects = Suspects.read(tmp_path, 2)
    assert vars(Suspects(**suspects.note())) == vars(suspects)
