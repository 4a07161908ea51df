"""`lbk_entry.py check`: reads datasets, opens their images, and says what is missing or broken."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from collavo.errors import (
    EXIT_FAILED_SAMPLES,
    EXIT_OK,
    EXIT_USAGE,
    ConfigError,
    MissingFileError,
    UserError,
)
from collavo.terminal import console, one_line, say

if TYPE_CHECKING:
    from collavo.datasets.registration.survey import Survey
    from collavo.records import Sample

logger = logging.getLogger(__name__)

SHOWN = 10
"""Images and categories listed before it is said how many more there are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own options."""
    parser.add_argument(
        "datasets", nargs="*", metavar="DATASET",
        help="names, paths, paper (the twelve of CoLLaVO's paper) or all; by default DATASETS.TEST",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="look whether images are there; open and hash nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON alone")


def run(args: argparse.Namespace) -> int:
    """Checks each dataset and prints what was found.

    Returns:
        0 where all is well, 2 where a dataset cannot be read, 3 where there are other problems.
    """
    from collavo.config import get_cfg
    from collavo.datasets.registration.layouts import use_files
    from collavo.datasets.registration.names import ALL, dataset_names

    cfg = get_cfg(args.conf_files, args.overrides, args.config_overrides)
    use_files(cfg)
    given = dataset_names(args.datasets or cfg.DATASETS.TEST)
    found: list[Survey] = []
    errors: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name in _names(given):
        try:
            found.append(_survey(name, cfg, args.quick))
        except UserError as error:
            everywhere = ALL in given and isinstance(error, MissingFileError) and name not in given
            (absent if everywhere else errors)[name] = str(error)
            continue
        if not args.json:
            _print(found[-1])
    if not found and not errors:
        errors[ALL] = "none of the datasets is there: " + ", ".join(absent)
    if args.json:
        listed = [survey.as_dict() for survey in found]
        print(json.dumps({"datasets": listed, "errors": errors, "absent": absent}))
    else:
        _print_rest(errors, absent)
    if errors:
        return EXIT_USAGE
    return EXIT_FAILED_SAMPLES if any(survey.problems for survey in found) else EXIT_OK


def _names(names: Sequence[str]) -> list[str]:
    """The datasets to check, each once.

    Raises:
        ConfigError: None is named.
        UnknownNameError: One is not registered.
    """
    from collavo.datasets.registration.catalog import dataset_names, metadata_of
    from collavo.datasets.registration.generic import is_generic
    from collavo.datasets.registration.names import ALL

    if not names:
        raise ConfigError(
            "name datasets, as in check pope_test mme, or all; there are: "
            f"{', '.join(dataset_names())}"
        )
    for name in names:
        if name != ALL and not is_generic(name):
            metadata_of(name)
    every = dataset_names() if ALL in names else []
    return list(dict.fromkeys([*(n for n in names if n != ALL), *every]))


def _survey(name: str, cfg: Any, quick: bool) -> Survey:
    from collavo.datasets.registration.catalog import metadata_of
    from collavo.datasets.registration.survey import survey
    from collavo.registry import PIPELINES

    pipeline = cfg.PIPELINE or metadata_of(name).get("pipeline")
    prompt: Callable[[Sample], str] | None = None
    if pipeline:
        prompt = PIPELINES.get(pipeline)(style=cfg.PROMPT.STYLE).prompt
    with _progress(name) as moved:
        return survey(name, prompt, quick, moved)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on a terminal how many images are done."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(one_line(f"{name}: images"), total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def _print(found: Survey) -> None:
    about = found.about
    where = "the built-in miniature, " if about["miniature"] else ""
    say(f"{found.dataset}: {about['description']}")
    if about["root"]:
        say(f"  root       {where}{about['root']}")
    for file in about["files"][:SHOWN]:
        digest = f"  sha256 {file['sha256']}" if file["sha256"] else ""
        say(f"  file       {file['path']}  {file['bytes']:,} bytes{digest}")
    if len(about["files"]) > SHOWN:
        say(f"             ... and {len(about['files']) - SHOWN} more (--json lists all)")
        if about["files_digest"]:
            say(
                f"  all files  sha256 {about['files_digest']} (of the lines `sha256  name`, sorted)"
            )
    if about["layout"]:
        say(f"  layout     {about['layout']}")
    say(f"  questions  {about['questions']:,}{_counted(about)}")
    for line in _some([f"{name}: {count}" for name, count in about["categories"].items()]):
        say(f"               {line}")
    per = about["questions_per_image"]
    contents = about["contents"]
    if contents is not None and contents != about["images"]:
        say(f"  images     {about['images']:,}, {contents:,} of them different")
    else:
        say(f"  images     {about['images']:,}")
    if about["smallest"]:
        small, large = about["smallest"], about["largest"]
        say(f"               from {small[0]} x {small[1]} to {large[0]} x {large[1]} pixels")
    spread = ", ".join(_some([f"{n} x {k}" for k, n in per["images"].items()]))
    say(f"  per image  {per['min']} to {per['max']} questions, mean {per['mean']} ({spread})")
    for row in about.get("prompts", ()):
        say(f"  prompt     {row['sample_id']} [{row['image'] or 'no image'}]")
        for line in row["prompt"].splitlines():
            say(f"             | {line}")
    for what in ("missing", "broken"):
        for image in _some(getattr(found, what)):
            say(f"  {what:<9}  {image}")
    for note in found.notes:
        say(f"  note       {note}")
    for problem in found.problems:
        say(f"  PROBLEM    {problem}")
    if not found.problems:
        say("  all is well")


def _counted(about: dict[str, Any]) -> str:
    """Words what else is known of the questions."""
    said = []
    wanted = about["expected"].get("questions")
    if wanted is not None and not about["miniature"]:
        total = sum(wanted.values()) if isinstance(wanted, dict) else wanted
        said.append(f"its owners publish {total:,}")
    for key, words in (
        ("answers_hidden", "without an answer"),
        ("without_image", "without an image"),
        ("repeated_ids", "with an id that occurs before"),
    ):
        if about[key]:
            said.append(f"{about[key]:,} {words}")
    return f" ({'; '.join(said)})" if said else ""


def _some(lines: list[str]) -> list[str]:
    """The first lines, and one that says how many more there are."""
    more = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


def _print_rest(errors: dict[str, str], absent: dict[str, str]) -> None:
    for name, reason in absent.items():
        where = reason.splitlines()[0].removeprefix(f"{name} is missing: ")
        say(f"{name}: not there: {where.partition(' (root from')[0]}")
    for name, error in errors.items():
        say(f"{name}: error: {error}", sys.stderr)
