"""Dual QLoRA: two PEFT adapters on the LLM's linears, both computed, one trained in a step.

Of CoLLaVO (Lee et al., 2024, arXiv 2402.11248, section 3.3 and figure 6); QLoRA is of Dettmers et
al. (2023), arXiv 2305.14314. Source of rank and alpha 64: the paper's section 4.

The adapter that a step does not train gets no weight gradient and yet passes the gradient on to its
input, and `requires_grad` never changes: DDP and DeepSpeed keep lists of what requires a gradient.
DDP needs `find_unused_parameters=True`, and the optimiser must skip the idle adapter's groups
(`collavo.engine.training.side_optimizer.SideAdamW`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora.layer import Linear as PeftLinear
from torch import Tensor, nn

from collavo.errors import ConfigError
from collavo.modeling.adapters.low_rank import add_low_rank
from collavo.modeling.adapters.plora import PLoRALinear, is_parted
from collavo.modeling.adapters.switch import AdapterSwitch, SwitchedLinear, Turn, switch_of
from collavo.modeling.adapters.targets import decoder_layers

if TYPE_CHECKING:
    from jaxtyping import Float

ADAPTERS = ("image", "vl")
"""The two adapters of CoLLaVO: trained by crayon instructions and by visual instructions."""


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class DualLoRALinear(PeftLinear):
    """PEFT's LoRA linear with all its adapters computed together.

    `base_layer` is an `nn.Linear` or bitsandbytes' `Linear4bit` or `Linear8bitLt`. The adapters'
    weights keep their own dtype (float32 in training) and are used in the one of the base's output.
    One dropout mask serves all of them.
    """

    def update_layer(self, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        super().update_layer(adapter_name, *args, **kwargs)
        for linears in (self.lora_A, self.lora_B):
            plain = linears[adapter_name]
            made = SwitchedLinear(plain.in_features, plain.out_features, bias=False, device="meta")
            made.weight, made.adapter = plain.weight, adapter_name
            linears[adapter_name] = made

    def forward(
        self, x: Float[Tensor, "*tokens in"], *args: Any, **kwargs: Any
    ) -> Float[Tensor, "*tokens out"]:
        y: Tensor = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters:
            return y
        names = [name for name in self.active_adapters if name in self.lora_A]
        if any(is_parted(self.lora_A[name]) for name in names):
            return self._one_by_one(x, y, names)
        pairs = [(self.lora_A[name].weight, self.lora_B[name].weight) for name in names]
        trained = [not self.lora_A[name].idle for name in names]
        scales = [self.scaling[name] for name in names]
        return add_low_rank(y, x, pairs, scales, trained, self._dropout(names))

    def _dropout(self, names: Sequence[str]) -> float:
        """The probability to drop: the largest of the adapters', which are made with one."""
        if not self.training:
            return 0.0
        return max((getattr(self.lora_dropout[name], "p", 0.0) for name in names), default=0.0)

    def _one_by_one(self, x: Tensor, y: Tensor, names: Sequence[str]) -> Tensor:
        """Calls each linear as a module: ZeRO-3 gathers a partitioned weight in its hooks."""
        for name in names:
            down, up = self.lora_A[name], self.lora_B[name]
            low = down(self.lora_dropout[name](x.to(down.weight.dtype)))
            y = y + (up(low) * self.scaling[name]).to(y.dtype)
        return y

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuses: folding into quantised weights destroys the adapters.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("adapters are not folded in place; use `lbk_entry.py merge`")


def add_adapters(
    llm: nn.Module,
    names: Sequence[str] = ADAPTERS,
    rank: int = 64,
    alpha: float = 64,
    dropout: float = 0.0,
    targets: str | Sequence[str] = "all",
    dtype: torch.dtype | None = torch.float32,
    empty: bool = False,
) -> AdapterSwitch:
    """Puts PEFT adapters on linears of every decoder layer of `llm`, in place.

    Linears inside a PLoRA wrapper are adapted there: the wrapper stays outside. All adapters are
    active; A is drawn as PEFT does and B is zero, so that the model's output does not change. What
    else requires a gradient in the model is as before.

    Args:
        llm: A decoder of transformers, with or without PLoRA, plain or quantised.
        names: The adapters.
        rank: Rows of A.
        alpha: The terms are scaled by alpha / rank.
        dropout: Probability to drop an input feature of the terms, in training.
        targets: "all" linears of a layer, or the names that theirs end in ("q_proj").
        dtype: Of the adapters' weights; the base's where None.
        empty: Leaves the weights on the meta device, to be filled by loading.

    Returns:
        The switch that says which adapter is trained.

    Raises:
        ConfigError: A name, the rank, the dropout or a target does not fit.
    """
    _check(names, rank, alpha, dropout)
    before = switch_of(llm)
    present = () if before is None else before.names
    if set(names) & set(present):
        raise ConfigError(
            f"the model has the adapters {', '.join(present)} already; of {', '.join(names)} add "
            "only what it lacks"
        )
    paths = target_paths(llm, targets)
    flags = {id(p): p.requires_grad for p in llm.parameters()}
    for name in names:
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=f"^({'|'.join(re.escape(p) for p in paths)})$",
        )
        config._register_custom_module({nn.Linear: DualLoRALinear})
        with warnings.catch_warnings():
            # "Already found a `peft_config` attribute": the second adapter is meant to be there.
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            inject_adapter_in_model(config, llm, name, low_cpu_mem_usage=empty)
    turn = Turn((*present, *names))
    turn.trained = turn.names[0] if len(turn.names) == 1 else None
    for _, layer in adapted_linears(llm):
        layer.set_adapter(list(turn.names))
        layer.train(llm.training)
        for linear in switched_linears(layer):
            linear.turn = turn
            if linear.adapter in names:
                linear.to(dtype)
    for parameter in llm.parameters():
        parameter.requires_grad_(flags.get(id(parameter), True))
    return AdapterSwitch(llm)


def _check(names: Sequence[str], rank: int, alpha: float, dropout: float) -> None:
    odd = [name for name in names if not _NAME.fullmatch(name)]
    if not names or odd or len(set(names)) < len(names):
        raise ConfigError(
            f"adapters are named {list(names)}; give different names of letters, digits, - and _"
        )
    if rank < 1 or alpha <= 0:
        raise ConfigError(f"LORA.R is {rank} and LORA.ALPHA {alpha}; both must be above 0")
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"LORA.DROPOUT is {dropout}; it may be from 0 to below 1")


def target_paths(llm: nn.Module, targets: str | Sequence[str] = "all") -> list[str]:
    """Lists the linears of the decoder layers that `targets` names, by their names in `llm`.

    A PLoRA wrapper counts as one linear, and its path ends in `.base`.

    Raises:
        ConfigError: A target is no linear of the decoder layers.
    """
    prefix, layers = decoder_layers(llm)
    found: list[str] = []
    inside: tuple[str, ...] = ()
    for name, module in layers.named_modules():
        if isinstance(module, PLoRALinear):
            inside += (f"{name}.",)
            found.append(f"{prefix}.{name}.base")
        elif isinstance(module, DualLoRALinear):
            inside += (f"{name}.",)
            if not name.endswith(".base"):
                found.append(f"{prefix}.{name}")
        elif isinstance(module, nn.Linear) and not name.startswith(inside):
            found.append(f"{prefix}.{name}")
    if isinstance(targets, str) and targets.strip().lower() == "all":
        return found
    wanted = re.split(r"[,\s]+", targets.strip()) if isinstance(targets, str) else list(targets)
    known = {leaf_of(path) for path in found}
    unknown = [t for t in wanted if not any(_named(path, t) for path in found)]
    if unknown or not wanted:
        raise ConfigError(
            f"LORA.TARGETS has {', '.join(unknown) or 'nothing'}; the LLM's linears are "
            f"{', '.join(sorted(known))}; or say all"
        )
    return [path for path in found if any(_named(path, t) for t in wanted)]


def plain_name(path: str) -> str:
    """The name of a linear in a plain LLM: without what wraps it."""
    return path.removesuffix(".base")


def leaf_of(path: str) -> str:
    """The last part of a linear's plain name, "q_proj"."""
    return plain_name(path).rpartition(".")[2]


def _named(path: str, target: str) -> bool:
    name = plain_name(path)
    return name == target or name.endswith(f".{target}")


def adapted_linears(llm: nn.Module) -> Iterator[tuple[str, DualLoRALinear]]:
    """Yields every linear with adapters, by its name in `llm`."""
    for name, module in llm.named_modules():
        if isinstance(module, DualLoRALinear):
            yield name, module


def switched_linears(layer: DualLoRALinear) -> Iterator[SwitchedLinear]:
    """Yields the A and B of all adapters on one linear."""
    for linears in (layer.lora_A, layer.lora_B):
        for linear in linears.values():
            yield cast("SwitchedLinear", linear)
