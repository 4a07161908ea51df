"""Starts Accelerate for training, and makes sure that it does what the launcher was asked for."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from collavo.engine.accelerator import check_world, launched, set_threads
from collavo.errors import ConfigError
from collavo.lifetime import end_with_parent

if TYPE_CHECKING:
    from torch import nn

ASKED = {"ACCELERATE_USE_DEEPSPEED": "DEEPSPEED", "ACCELERATE_USE_FSDP": "FSDP"}
"""Variables of `accelerate launch`, with the distributed type that they ask for."""


@dataclass(frozen=True)
class Setup:
    """Accelerate, ready to prepare a model.

    Args:
        accelerator: Its `Accelerator`.
        device: The torch device string.
        parts: Micro-batches that a step accumulates.
    """

    accelerator: Any
    device: str
    parts: int

    @property
    def rank(self) -> int:
        """This process."""
        return self.accelerator.process_index

    @property
    def world(self) -> int:
        """Processes."""
        return self.accelerator.num_processes

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.accelerator.is_main_process

    @property
    def kind(self) -> str:
        """What distributes the model: NO, MULTI_GPU, MULTI_CPU, DEEPSPEED or FSDP."""
        return self.accelerator.distributed_type.value

    @property
    def is_sharded(self) -> bool:
        """Whether a process holds only a part of the optimiser's state or of the weights."""
        return self.kind in ("DEEPSPEED", "FSDP")


def asked_for() -> str:
    """The distributed type that the launcher's configuration asks for, "" for plain DDP or none."""
    for variable, kind in ASKED.items():
        if os.environ.get(variable, "false").lower() == "true":
            return kind
    return ""


def start_training(cfg: Any, dtype: str) -> Setup:
    """Sets this process up for training.

    Args:
        cfg: The configuration.
        dtype: What the model computes in: "fp32", "bf16" or "fp16".

    Raises:
        ConfigError: CUDA is asked for and absent, the processes do not agree on their number, or
            Accelerate would train in another way than the launcher was asked for.
    """
    import torch

    has_cuda = torch.cuda.is_available()
    if cfg.DEVICE == "cuda" and not has_cuda:
        raise ConfigError(
            "DEVICE is 'cuda', but torch sees no CUDA device here: set DEVICE cpu (or auto)"
        )
    if launched():
        end_with_parent()
    on_cpu = cfg.DEVICE == "cpu" or not has_cuda
    accelerator = _accelerator(cfg, on_cpu, dtype)
    check_world(accelerator.num_processes)
    wanted, got = asked_for(), accelerator.distributed_type.value
    if wanted and wanted != got:
        raise ConfigError(
            f"the launcher was asked for {wanted}, but Accelerate would train with {got}. On a "
            "machine without GPU set use_cpu: false in its configuration, and for DeepSpeed the "
            "environment variable DS_ACCELERATOR=cpu"
        )
    set_threads(launched())
    torch.manual_seed(cfg.RANDOM_SEED)
    return Setup(accelerator, str(accelerator.device), int(cfg.OPTIMIZER.GRAD_CUM))


def _quiet() -> None:
    """Leaves out what libraries warn of on every run and users can do nothing about."""
    # DeepSpeed calls what torch has renamed since
    warnings.filterwarnings("ignore", "`torch.distributed.*` is deprecated", FutureWarning)
    logging.getLogger("DeepSpeed").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether it is not that AdamW, which here skips the idle adapter, is none of theirs."""
    return "untested optimizer" not in record.getMessage()


def _accelerator(cfg: Any, on_cpu: bool, dtype: str) -> Any:
    from accelerate import Accelerator
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs

    _quiet()
    deepspeed = asked_for() == "DEEPSPEED"
    if deepspeed and importlib.util.find_spec("deepspeed") is None:
        raise ConfigError(
            "DeepSpeed is asked for and not installed: pip install 'collavo[deepspeed]', or launch "
            "with --config_file configs/accel/ddp_accel.yaml"
        )
    if deepspeed and on_cpu and os.environ.get("DS_ACCELERATOR") != "cpu":
        raise ConfigError(
            "DeepSpeed is asked for on a machine without GPU: set the environment variable "
            "DS_ACCELERATOR=cpu, or launch with --config_file configs/accel/multi_cpu.yaml"
        )
    handlers: list[Any] = [
        # an adapter has no gradient in the other adapter's steps
        DistributedDataParallelKwargs(find_unused_parameters=True),
        InitProcessGroupKwargs(
            backend="gloo" if on_cpu and deepspeed else None,
            timeout=timedelta(seconds=cfg.EVAL.TIMEOUT),
        ),
    ]
    accelerator = Accelerator(
        # with cpu=True Accelerate would quietly take DDP instead of DeepSpeed
        cpu=on_cpu and not deepspeed,
        mixed_precision={"fp32": "no"}.get(dtype, dtype),
        kwargs_handlers=handlers,
    )
    if accelerator.distributed_type.value == "DEEPSPEED":
        from transformers.integrations import unset_hf_deepspeed_config

        # under ZeRO-3 transformers would part all that it loads, the segmenter too, in each process
        # by itself; DeepSpeed parts what is trained when it is prepared
        unset_hf_deepspeed_config()
        settings = accelerator.state.deepspeed_plugin.deepspeed_config
        parts, world = int(cfg.OPTIMIZER.GRAD_CUM), accelerator.num_processes
        settings["gradient_accumulation_steps"] = parts
        settings["train_micro_batch_size_per_gpu"] = max(1, cfg.TRAIN.BATCH_SIZE // (parts * world))
        settings["gradient_clipping"] = float(cfg.OPTIMIZER.GRAD_MAX)
        settings["zero_allow_untested_optimizer"] = True
        settings["zero_force_ds_cpu_optimizer"] = False
    return accelerator


def has_parted_weights(model: nn.Module) -> bool:
    """Whether each process holds a part of the weights alone (ZeRO-3, FSDP 2).

    All have to call the same modules then, in the same order: each call gathers the weights of one.
    """
    from torch.distributed.tensor import DTensor

    return any(hasattr(p, "ds_id") or isinstance(p, DTensor) for p in model.parameters())


@contextmanager
def whole_parameters(setup: Setup, model: Any) -> Iterator[None]:
    """Within it every process holds whole parameters, also under ZeRO-3 and FSDP 2.

    Args:
        setup: The processes; all of them have to come here.
        model: As accelerate has prepared it.
    """
    if setup.kind == "DEEPSPEED":
        import deepspeed

        with deepspeed.zero.GatheredParameters(list(model.parameters())):
            yield
        return
    parted = [m for m in model.modules() if setup.kind == "FSDP" and hasattr(m, "unshard")]
    for module in parted:
        module.unshard()
    try:
        yield
    finally:
        for module in parted:
            module.reshard()
