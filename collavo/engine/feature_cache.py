"""Vision features kept on disk across runs: one safetensors file an image, named by its digest.

A file comes into being whole, so several processes and machines may share a folder, and any of its
files may be copied or removed at any time. What is damaged fails its checksum and is made again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from collavo.engine.fingerprint import code_digest
from collavo.errors import ConfigError
from collavo.modeling.architectures.base import Architecture
from collavo.modeling.architectures.reuse import ENCODED

if TYPE_CHECKING:
    from jaxtyping import Float

    from collavo.engine.models import Model
    from collavo.modeling.image_policies.base import VisualInput

logger = logging.getLogger(__name__)

Levels = list["Float[Tensor, 'batch patches vision']"]


def open_features(location: str, model: Model) -> FeatureCache | None:
    """Opens the cache that VISION.CACHE names; None where it names none.

    Raises:
        ConfigError: The model cannot make use of one.
    """
    if not location:
        return None
    architecture = model.architecture
    has_features = type(architecture).image_features is not Architecture.image_features
    if not has_features or not set(ENCODED) & set(architecture.reuse_levels):
        raise ConfigError(
            f"VISION.CACHE is {location!r}, but {type(architecture).__name__} keeps no vision "
            "features: leave VISION.CACHE empty"
        )
    return FeatureCache(Path(location).expanduser() / features_key(model), model.device)


def features_key(model: Model) -> str:
    """Hashes all that decides on the features of an image, besides its bytes."""
    architecture: Any = model.architecture
    parts = (
        architecture.fingerprint(),
        architecture.image_size,
        model.device.split(":")[0],
        type(model.mapper).__name__,
        code_digest(*architecture.modules(), model.mapper),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class FeatureCache:
    """Vision features by image digest, for one model with one set of settings.

    Where nothing can be written a warning says so once, and runs go on.

    Args:
        folder: Of this model alone; it need not be there.
        device: Where the features are wanted.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder, self.device = folder, device
        self.fault = ""

    def levels(
        self,
        digests: Sequence[str],
        visuals: Sequence[VisualInput],
        compute: Callable[[Sequence[VisualInput]], Sequence[Tensor]],
    ) -> Levels:
        """Returns the features of a batch, computing and keeping those that are not there.

        Args:
            digests: sha256 of each image's bytes.
            visuals: The images, of one shape.
            compute: Computes levels of features (B, N, C) of images.
        """
        known = [self._read(digest) for digest in digests]
        new = [row for row, found in enumerate(known) if found is None]
        if new:
            made = compute([visuals[row] for row in new])
            if len(new) == len(digests):
                for row, digest in enumerate(digests):
                    self._write(digest, [level[row] for level in made])
                return list(made)
            for place, row in enumerate(new):
                known[row] = [level[place].cpu() for level in made]
                self._write(digests[row], known[row] or [])
        images = [found for found in known if found is not None]
        return [torch.stack(level).to(self.device) for level in zip(*images, strict=True)]

    def path(self, digest: str) -> Path:
        """Where the features of an image are."""
        return self.folder / digest[:2] / f"{digest}.safetensors"

    def _read(self, digest: str) -> list[Tensor] | None:
        path = self.path(digest)
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                levels = [file.get_tensor(str(k)) for k in range(len(file.keys()))]
                told = (file.metadata() or {}).get("crc32")
        except (SafetensorError, OSError) as error:
            logger.warning("%s is left out: %s", path, error)
            return None
        if told != _checksum(levels):
            logger.warning("%s is left out: it is damaged", path)
            return None
        return levels

    def _write(self, digest: str, levels: Sequence[Tensor]) -> None:
        if self.fault:
            return
        whole = [level.cpu().contiguous() for level in levels]
        data = save({str(k): level for k, level in enumerate(whole)}, {"crc32": _checksum(whole)})
        path = self.path(digest)
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(path)
        except OSError as error:
            self.fault = str(error)
            logger.warning(
                "VISION.CACHE: %s cannot be written: %s; features are not kept", path, error
            )
            with suppress(OSError):
                partial.unlink()


def _checksum(levels: Sequence[Tensor]) -> str:
    total = 0
    for level in levels:
        raw = level.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        total = zlib.crc32(raw, zlib.crc32(repr(tuple(level.shape)).encode(), total))
    return f"{total:08x}"
