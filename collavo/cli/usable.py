"""Imports the packages that the toolkit uses and says which of them work here."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from importlib import metadata

from collavo.pulse import pulse

REQUIRED = (
    *("torch", "transformers", "accelerate", "peft", "fvcore", "yacs", "pycocotools", "datasets"),
    *("PIL", "numpy", "scipy", "safetensors", "sentencepiece", "pyarrow", "pandas", "openpyxl"),
    *("rich", "jaxtyping", "matplotlib", "collavo"),
)
OPTIONAL = (
    *("bitsandbytes", "flash_attn", "deepspeed", "detectron2"),
    *("openai", "tensorboard", "wandb"),
)


def version_of(module: str) -> str:
    """Returns the version of the distribution that holds `module`, or an empty string."""
    names = metadata.packages_distributions().get(module, [module])
    try:
        return metadata.version(names[0])
    except metadata.PackageNotFoundError:
        return ""


def try_import(module: str) -> str:
    """Returns why `module` cannot be imported, or an empty string if it can."""
    try:
        importlib.import_module(module)
    except ImportError as e:
        return "not found" if getattr(e, "name", None) == module else f"broken: {e}"
    except (OSError, RuntimeError, AttributeError) as e:  # a compiled part that does not fit
        return f"broken: {type(e).__name__}: {e}"
    return ""


def cuda_line() -> str:
    """Says whether torch sees a CUDA device, and which."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return f"found: {', '.join(names)}"
    build = f"a CUDA {torch.version.cuda} build" if torch.version.cuda else "a CPU build"
    return f"not found (torch {torch.__version__} is {build})"


def main() -> int:
    """Prints a line for each package; returns 1 if a required one cannot be imported."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    # bitsandbytes asks for an optional package of kernels that nothing here needs
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    with pulse("importing the packages"):
        return _print_found()


def _print_found() -> int:
    broken = 0
    for module in REQUIRED:
        why = try_import(module)
        if why:
            broken += 1
            print(f"  {module:14s} {why}", file=sys.stderr)
    print(f"  {'required':14s} {len(REQUIRED) - broken} of {len(REQUIRED)} packages import")
    if "torch" in sys.modules:
        print(f"  {'CUDA':14s} {cuda_line()}")
    for module in OPTIONAL:
        why = try_import(module)
        print(f"  {module:14s} {why or f'found {version_of(module)}'}")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
