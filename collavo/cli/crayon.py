"""The command `crayon`: builds stored crayon maps, draws them over images, checks files of them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collavo.errors import EXIT_FAILED_SAMPLES, EXIT_OK, ConfigError, UserError
from collavo.terminal import say

if TYPE_CHECKING:
    from collavo.modeling.segmenters.base import Segmenter

ACTIONS = ("build", "draw", "check")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `crayon`."""
    parser.add_argument("action", choices=ACTIONS, help="what to do")
    parser.add_argument(
        "targets", nargs="+", metavar="DATASET|IMAGE|FILE",
        help="build: datasets; draw: image files; check: files of crayon maps",
    )  # fmt: skip
    parser.add_argument(
        "--to", default="", metavar="PATH",
        help="build: the file or folder of maps (CRAYON.CACHE, else the cache folder); "
        "draw: the folder of pictures (here)",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="build: only the first N images"
    )


def run(args: argparse.Namespace) -> int:
    """Does what `args.action` says."""
    if args.limit < 0:
        raise UserError(f"--limit {args.limit} is negative; 0 takes all images")
    if args.action == "check":
        return _check(args.targets)
    return _build(args) if args.action == "build" else _draw(args)


def _build(args: argparse.Namespace) -> int:
    failed = False
    for name in args.targets:
        failed = _build_one(name, args) or failed
    return EXIT_FAILED_SAMPLES if failed else EXIT_OK


def _build_one(name: str, args: argparse.Namespace) -> bool:
    """Fills the cache with one dataset's images and says whether any image failed."""
    from collavo.config import get_cfg
    from collavo.config.paths import cache_dir
    from collavo.datasets.registration import catalog
    from collavo.datasets.registration.layouts import use_files
    from collavo.datasets.registration.names import dataset_name

    cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides)
    use_files(cfg)
    name = dataset_name(name)
    benchmark = catalog.metadata_of(name).get("benchmark")
    cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides, benchmark)
    samples = catalog.samples_of(name)

    from collavo.engine.crayon_build import build_cache
    from collavo.engine.crayon_cache import open_cache
    from collavo.engine.display import Display
    from collavo.engine.plan import make_units

    segmenter, size = _segmenter(cfg)
    where = args.to or cfg.CRAYON.CACHE or str(cache_dir() / "crayon")
    cache = open_cache(where, segmenter, size)
    if cache is None:
        raise ConfigError(
            f"SEGMENTER.NAME {cfg.SEGMENTER.NAME!r} reads its maps from disk already; there is "
            "nothing to build"
        )
    refs = list(dict.fromkeys(ref for unit in make_units(samples) for ref in unit.images))
    refs = refs[: args.limit or None]
    batch = 32 if "cuda" in cfg.DEVICE or _has_cuda(cfg) else 8
    with Display(name, len(refs), active=True) as display:
        counts = build_cache(refs, segmenter, size, cache, batch, display.show)
    cache.close()
    for label, reason in counts.failed.items():
        say(f"{name}: {label}: {reason}")
    say(
        f"{name}: {counts.images} images, {counts.made} segmented, {counts.known} known before, "
        f"{len(counts.failed)} failed; in {cache.path}"
    )
    say(f"use them with --overrides CRAYON.CACHE {cache.path}")
    return bool(counts.failed)


def _draw(args: argparse.Namespace) -> int:
    """Writes <name>_crayon.png for each image, and prints the sentence of each."""
    from collavo.config import get_cfg
    from collavo.datasets.mappers.image import open_image
    from collavo.engine.crayon_build import squashed
    from collavo.modeling.crayon.draw import draw_crayon
    from collavo.modeling.crayon.prompt import make_crayon_prompt
    from collavo.records import ImageRef

    cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides)
    refs = [ImageRef(path=Path(target)) for target in args.targets]
    pictures = [open_image(ref) for ref in refs]
    segmenter, size = _segmenter(cfg)
    folder = Path(args.to or ".")
    folder.mkdir(parents=True, exist_ok=True)
    for ref, picture in zip(refs, pictures, strict=True):
        seen = squashed(ref, size)
        segments = segmenter.segment(seen[None], [ref])
        crayon = make_crayon_prompt(segments, segmenter.class_names)
        target = folder / f"{Path(ref.label).stem}_crayon.png"
        draw_crayon(picture, segments[0], segmenter.class_names, picture=seen).save(target)
        say(f"{target}: {crayon.text[0]}")
    return EXIT_OK


def _check(files: list[str]) -> int:
    """Prints one JSON line for each file: how many maps of which segmenters, how many damaged."""
    from collavo.engine.crayon_lines import survey

    results = [survey(file) for file in files]
    for result in results:
        print(json.dumps(result))
    return EXIT_FAILED_SAMPLES if any(result["damaged"] for result in results) else EXIT_OK


def _segmenter(cfg: Any) -> tuple[Segmenter, int]:
    from collavo.modeling.crayon.geometry import crayon_geometry
    from collavo.modeling.llms.base import resolve_device
    from collavo.registry import SEGMENTERS

    size, grid = crayon_geometry(cfg)
    chosen = SEGMENTERS.get(cfg.SEGMENTER.NAME)
    return chosen.from_config(cfg, grid=grid, device=resolve_device(cfg.DEVICE)), size


def _has_cuda(cfg: Any) -> bool:
    import torch

    return cfg.DEVICE == "auto" and torch.cuda.is_available()
