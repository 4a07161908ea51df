"""Building crayon maps: what their key covers, what is skipped, and what stops nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from collavo.engine.crayon_build import build_cache, squashed
from collavo.engine.crayon_cache import CrayonCache, cache_key, open_cache
from collavo.errors import DataError, UserError
from collavo.modeling.segmenters.base import Segmenter
from collavo.records import ImageRef, Segment, Segments
from tests.engine.crayon_maps import KEY, digest, segments


class CountingSegmenter(Segmenter):
    """Puts one segment on the whole grid whose class is the image's first value."""

    def __init__(self, setting: str = "") -> None:
        self.grid, self.class_names = (2, 2), ("a", "b")
        self.seen: list[int] = []
        self._setting = setting

    def segment(self, images, refs=None):
        self.seen += [int(image[0, 0, 0]) for image in images]
        whole = torch.ones(2, 2, dtype=torch.int32)
        return [Segments(whole, (Segment(1, int(image[0, 0, 0])),)) for image in images]

    def fingerprint(self):
        return hashlib.sha256(self._setting.encode()).hexdigest()


def test_the_key_covers_segmenter_and_image_size(tmp_path):
    one, two = CountingSegmenter("0.5"), CountingSegmenter("0.6")
    assert len({cache_key(one, 490), cache_key(two, 490), cache_key(one, 224)}) == 3
    assert cache_key(one, 490) == cache_key(CountingSegmenter("0.5"), 490)
    assert open_cache("", one, 490) is None
    cache = open_cache(str(tmp_path), one, 490)
    assert cache is not None
    cache.put(digest(0), segments(0))
    for segmenter, size in ((two, 490), (one, 224)):
        other = open_cache(str(tmp_path), segmenter, size)
        assert other is not None and other.get(digest(0)) is None


def test_maps_that_go_by_name_are_not_kept_by_content(tmp_path):
    class ByName(CountingSegmenter):
        needs_refs = True

    assert open_cache(str(tmp_path), ByName(), 490) is None


def images(folder: Path, count: int) -> list[ImageRef]:
    refs = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.new("RGB", (3, 2), (number, 0, 0)).save(path)
        refs.append(ImageRef(path=path))
    return refs


def test_building_skips_what_is_known_and_goes_on(tmp_path):
    refs = images(tmp_path, 11)
    moved: list[int] = []
    first = CountingSegmenter()
    cache = CrayonCache(tmp_path / "cache", KEY)
    counts = build_cache(refs[:5], first, 4, cache, 2, moved.append)
    assert (counts.images, counts.made, counts.known, counts.failed) == (5, 5, 0, {})
    assert moved[-1] == 5 and moved == sorted(moved)
    second = CountingSegmenter()
    again = CrayonCache(tmp_path / "cache", KEY)
    counts = build_cache([*refs, refs[0]], second, 4, again, 4)
    assert (counts.images, counts.made, counts.known) == (11, 6, 5)
    assert sorted(first.seen) == [0, 1, 2, 3, 4]
    assert sorted(second.seen) == [5, 6, 7, 8, 9, 10]
    found = again.get(refs[7].digest())
    assert found is not None and found.segments[0].label_id == 7


def test_a_broken_image_stops_nothing(tmp_path):
    refs = images(tmp_path, 3)
    (tmp_path / "1.png").write_bytes(b"no image")
    refs.append(ImageRef(path=tmp_path / "absent.png"))
    counts = build_cache(refs, CountingSegmenter(), 4, CrayonCache(tmp_path / "c", KEY))
    assert counts.made == 2
    assert [Path(name).name for name in counts.failed] == ["1.png", "absent.png"]
    with pytest.raises(DataError):
        squashed(refs[1], 4)


def test_building_where_nothing_can_be_kept(tmp_path, monkeypatch):
    cache = CrayonCache(tmp_path / "cache", KEY)
    monkeypatch.setattr(cache, "_append", _full)
    with pytest.raises(UserError, match=r"cannot be kept.*No space left"):
        build_cache(images(tmp_path, 3), CountingSegmenter(), 4, cache)


def _full(line: bytes):
    raise OSError(28, "No space left on device")
