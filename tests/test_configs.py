"""Every packaged YAML loads; every key is read, and no key is read that is not there."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from collavo.config import get_cfg
from collavo.config.defaults import BLOCKS, KEYS
from collavo.config.keys import section_names

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
ACCEL = sorted((CONFIGS / "accel").glob("*.yaml"))
OURS = sorted(
    file for file in CONFIGS.rglob("*.yaml") if file.parent.name not in ("accel", "tiny", "bench")
)

ONLY_CHECKED = {"INPUT.FORMAT", *(f"{block}.INPUT.FORMAT" for block in BLOCKS)}
"""Keys with one choice: there is nothing to read, any other value is refused."""

PROBE = """
import sys
import torch
from accelerate import Accelerator
accelerator = Accelerator(cpu=not torch.cuda.is_available())
mine = torch.tensor([accelerator.process_index], device=accelerator.device)
sys.stdout.write(f"RANKS {accelerator.gather(mine).tolist()}\\n")  # one write: lines stay whole
accelerator.end_training()
"""


def sources() -> dict[Path, str]:
    """The text of every module except the configuration's own."""
    folders = ("collavo", "datasets", "modeling", "pipeline")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    own = (ROOT / "collavo" / "config" / "defaults.py", ROOT / "collavo" / "config" / "legacy.py")
    # links lead to the same files twice
    return {f.resolve(): f.read_text(encoding="utf-8") for f in files if f not in own}


def test_there_are_files_to_load() -> None:
    assert {"collavo_eval.yaml", "collavo_step2.yaml", "pope.yaml", "mme.yaml"} <= {
        file.name for file in OURS
    }


@pytest.mark.parametrize("file", OURS, ids=lambda f: str(f.relative_to(CONFIGS)))
def test_file_loads_and_says_only_what_differs(file: Path) -> None:
    cfg = get_cfg([file])
    assert cfg != get_cfg(), f"{file} changes nothing"


@pytest.mark.parametrize("file", OURS, ids=lambda f: str(f.relative_to(CONFIGS)))
def test_benchmarks_are_known(file: Path) -> None:
    if file.parent.name == "benchmarks":
        from collavo.datasets.registration.catalog import dataset_names, metadata_of

        known = {metadata_of(name).get("benchmark") for name in dataset_names()}
        assert file.stem in known, f"no dataset has the benchmark {file.stem!r}"


def chains(text: str) -> set[str]:
    """Lists the upper-case attributes that code reads: `cfg.LLM.BITS` gives LLM.BITS and BITS."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute) and inner.attr.isupper():
            names.insert(0, inner.attr)
            inner = inner.value
        found.update(".".join(names[i:]) for i in range(len(names)))
    return found


def test_every_key_is_read() -> None:
    by_file = [chains(text) for text in sources().values()]
    everywhere = set().union(*by_file)
    unread = set()
    for key in KEYS:
        block, _, rest = key.name.partition(".")
        name = rest if block in BLOCKS else key.name
        section, _, leaf = name.rpartition(".")
        # cfg.LLM.BITS; or cfg.LLM is handed on and llm.BITS read where it arrives
        if name not in everywhere and not (section in everywhere and leaf in everywhere):
            unread.add(key.name)
    assert unread - ONLY_CHECKED == set()


def test_code_reads_only_keys_that_are_there() -> None:
    known = {key.name for key in KEYS} | section_names(KEYS)
    unknown = {
        f"{path.relative_to(ROOT)}: cfg.{name}"
        for path, text in sources().items()
        for name in re.findall(r"\bcfg\.([A-Z][A-Z0-9_]*(?:\.[A-Z][A-Z0-9_]*)*)", text)
        if name not in known
    }
    assert not unknown


def test_all_launches_are_there() -> None:
    names = "cpu ddp_accel deepspeed_zero2 deepspeed_zero2_offload deepspeed_zero3"
    names += " deepspeed_zero3_offload fsdp multi_cpu multinode"
    assert [file.stem for file in ACCEL] == names.split()


@pytest.mark.parametrize("file", ACCEL, ids=lambda f: f.stem)
def test_accelerate_takes_the_file(file: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(file))
    assert config.num_processes >= 1
    # inner keys are the launcher's own options; it would pass over any other without a word
    options = {action.dest for action in launch_command_parser()._actions}
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section in ("deepspeed_config", "fsdp_config"):
        for key in written.get(section, {}):
            assert key in options, f"{section}.{key}"


@pytest.mark.parametrize(
    ("name", "words", "ranks"),
    [("multi_cpu", [], [0, 1]), ("ddp_accel", ["--num_processes=1"], [0])],
)
def test_processes_know_of_each_other(
    name: str, words: list[str], ranks: list[int], tmp_path: Path
) -> None:
    script = tmp_path / "probe.py"
    script.write_text(PROBE)
    file = CONFIGS / "accel" / f"{name}.yaml"
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file)]
    out = subprocess.run(
        [*launch, *words, "--main_process_port=0", str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert out.returncode == 0, out.stderr
    assert out.stdout.count(f"RANKS {ranks}") == len(ranks)
