"""What users call datasets: names, short names, groups of several, and paths.

Short names (pope, sqa, mm_vet) stand in `ALIASES`, groups (paper, all) in `GROUPS` and `ALL`; a
path (/data/mine.jsonl) is taken for the kind that its ending tells (jsonl:/data/mine.jsonl).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from collavo.datasets.registration import catalog
from collavo.datasets.registration.generic import is_generic
from collavo.datasets.registration.probes import is_probe
from collavo.errors import ConfigError, MissingFileError

logger = logging.getLogger(__name__)

ALL = "all"
"""Every registered dataset whose files are there; who reads them leaves out those that are not."""

PAPER = (
    *("gqa_testdev_balanced", "scienceqa_test", "textvqa_val", "pope_test", "mme", "mmbench"),
    *("mm-vet", "qbench_dev", "mathvista_testmini", "ai2d", "seed", "hallusionbench"),
)
"""The twelve benchmarks of CoLLaVO (arXiv:2402.11248), in the order of its configuration."""

GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType({"paper": PAPER})

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ai2d": ("ai2d_test",),
        "aokvqa_val": ("aokvqa", "a_okvqa"),
        "chartqa_test": ("chartqa",),
        "gqa_testdev_balanced": ("gqa", "gqa_testdev"),
        "hallusionbench": ("hallusion", "hallbench"),
        "llavabench": ("llava_bench", "llava_w", "llava_bench_in_the_wild"),
        "mathvista_testmini": ("mathvista",),
        "mm-vet": ("mmvet",),
        "mmbench": ("mmb", "mmbench_dev", "mmbench_en", "mmbench_dev_en"),
        "mmbench_cn": ("mmb_cn", "mmbench_dev_cn"),
        "mmbench_test": ("mmbench_test_en",),
        "mmmu_val": ("mmmu",),
        "okvqa_val": ("okvqa", "ok_vqa"),
        "pope_test": ("pope",),
        "qbench_dev": ("qbench", "q_bench"),
        "qbench_cn_dev": ("qbench_cn",),
        "refcoco_val": ("refcoco",),
        "refcocog_val": ("refcocog",),
        "refcocop_val": ("refcocop", "refcoco+", "refcoco_plus"),
        "scienceqa_test": ("scienceqa", "sqa", "sqa_img", "science_qa"),
        "seed": ("seedbench", "seed_bench"),
        "textvqa_val": ("textvqa", "text_vqa"),
        "vizwiz_val": ("vizwiz", "vizwiz_vqa"),
        "vqav2_val": ("vqav2", "vqa_v2"),
    }
)
"""The other names of a dataset. Case, "-" and "_" do not matter in any name."""

_KINDS = {".jsonl": "jsonl", ".json": "json", ".tsv": "tsv"}
"""What a file is taken for by its ending; a folder is taken for `hf`."""


def dataset_names(given: str | Iterable[str]) -> list[str]:
    """Lists the datasets that are meant, each once; `ALL` stands as it is.

    Args:
        given: Names, aliases, groups and paths, also several joined by commas.

    Raises:
        MissingFileError: A path leads nowhere.
        ConfigError: A path leads to something that no dataset is read from.
    """
    texts = [given] if isinstance(given, str) else list(given)
    words = [word.strip() for text in texts for word in str(text).split(",") if word.strip()]
    found: list[str] = []
    for word in words:
        found += GROUPS.get(_folded(word)) or [dataset_name(word)]
    return list(dict.fromkeys(found))


def dataset_name(given: str) -> str:
    """Returns the registered name, or `<kind>:<path>`, of the one dataset that is meant.

    A name that nothing is registered under comes back as it is: `metadata_of` words the error.

    Raises:
        MissingFileError: A path leads nowhere.
        ConfigError: It is a group, or a path to something that no dataset is read from.
    """
    if _folded(given) == ALL or catalog.is_registered(given) or is_generic(given):
        return ALL if _folded(given) == ALL else given
    if is_probe(given):
        return given
    short = {_folded(name): name for name in catalog.dataset_names()}
    short |= {_folded(alias): name for name, aliases in ALIASES.items() for alias in aliases}
    if _folded(given) in short:
        return short[_folded(given)]
    if _folded(given) in GROUPS:
        raise ConfigError(
            f"{given!r} names {len(GROUPS[_folded(given)])} datasets: "
            f"{', '.join(GROUPS[_folded(given)])}; name one of them"
        )
    return _by_path(given) if _is_path(given) else given


def aliases_of(name: str) -> tuple[str, ...]:
    """Lists the short names of a dataset."""
    return ALIASES.get(name, ())


def _folded(name: str) -> str:
    return re.sub(r"[-_\s]+", "", name).casefold()


def _is_path(given: str) -> bool:
    """Whether it looks like a path: it has a folder or a known ending, or something lies there."""
    path = given.partition("?")[0]
    separators = [os.sep, *filter(None, [os.altsep])]
    if any(s in path for s in separators) or path.startswith(("~", ".")):
        return True
    try:
        return Path(path).suffix.lower() in (*_KINDS, ".parquet", ".csv") or Path(path).exists()
    except (OSError, ValueError):
        return False


def _by_path(given: str) -> str:
    text, mark, options = given.partition("?")
    path = Path(text).expanduser()
    try:
        there, folder = path.exists(), path.is_dir()
    except (OSError, ValueError):
        there, folder = False, False
    if not there:
        raise MissingFileError(
            f"dataset {given!r}: neither a registered dataset nor a path to something (looked from "
            f"{Path.cwd()}); `list datasets` names those that are registered"
        )
    kind = "hf" if folder else _KINDS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(
            f"dataset {given!r}: a file {path.suffix or 'without an ending'} is none that is read "
            f"by its path: {', '.join(_KINDS)}, or a folder of parquet files; say which by "
            "jsonl:, tsv: or hf: before the path"
        )
    name = f"{kind}:{text}{mark}{options}"
    logger.info("%s is taken for %s", given, name)
    return name
