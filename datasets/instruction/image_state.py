"""Notices that images of a training changed: by names, sizes and change times, not by content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collavo.datasets.registration.readers.panoptic import PanopticImage


def panoptic_state(json_file: Path, images: Path, entries: Sequence[PanopticImage]) -> str:
    """Hashes a file of COCO's panoptic format, with the state of its maps and images.

    Args:
        json_file: It; the maps lie in the folder of its name.
        images: The images' folder.
        entries: Which of its images count.
    """
    whole = hashlib.sha256(json_file.read_bytes())
    whole.update(images_state(json_file.with_suffix(""), (e.png for e in entries)).encode())
    whole.update(images_state(images, (e.file_name for e in entries)).encode())
    return whole.hexdigest()


def images_state(folder: Path, names: Iterable[str]) -> str:
    """Hashes the names, sizes and change times of images, each once, in a fixed order.

    Their content would take hours for the mixes in use; to look 100,000 files up takes a second.
    Only the images that the data name count: pictures of a run may come to lie beside them.

    Args:
        folder: What the names are relative to.
        names: Paths of images; what is not there counts as absent.
    """
    whole = hashlib.sha256()
    for name in sorted(set(names)):
        try:
            found = os.stat(os.path.join(folder, name))
            state = f"{found.st_size}\0{found.st_mtime_ns}"
        except (OSError, ValueError):
            state = "absent"
        whole.update(f"{name}\0{state}\n".encode("utf-8", "surrogatepass"))
    return whole.hexdigest()
