"""Which linears of a decoder get PLoRA, and the wrapping of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from torch import nn

from collavo.modeling.adapters.injection import InjectionState
from collavo.modeling.adapters.plora import PLoRADown, PLoRALinear

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class PLoRATarget:
    """Linears of one decoder layer that read the same input and share A.

    Args:
        names: Their names within the layer.
        crayon: Whether the crayon branch is added to them.
    """

    names: tuple[str, ...]
    crayon: bool = True


LLAMA_TARGETS = (
    PLoRATarget(("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
    PLoRATarget(("self_attn.o_proj",)),
    PLoRATarget(("mlp.gate_proj",)),
    PLoRATarget(("mlp.up_proj",)),
    PLoRATarget(("mlp.down_proj",), crayon=False),
)
"""CoLLaVO's five packed linears in Llama's names; `down_proj` (w2) never sees the crayon.

Source: CoLLaVO commit fb419fa, modeling_internlm2.py.
"""

PLORA_ROLES = {
    "crayon_branch": ("llm.*.down.crayon.*", "llm.*.crayon_up.*"),
    "plora": ("llm.*.down.image.*", "llm.*.up.weight"),
}
"""Parameters that a stage may train under a name of their own: patterns with `*`."""

_SHARING = ({"q_proj", "k_proj", "v_proj"}, {"query", "key", "value"}, {"wq", "wk", "wv"})
_NO_CRAYON = {"down_proj", "w2", "fc2", "dense_4h_to_h"}


def decoder_layers(llm: nn.Module) -> tuple[str, nn.ModuleList]:
    """Finds the stack of decoder layers, the longest list of modules in the model, and its name.

    Raises:
        ValueError: The model has no such list.
    """
    lists = [(name, m) for name, m in llm.named_modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        raise ValueError(f"{type(llm).__name__} has no list of decoder layers to adapt")
    return max(lists, key=lambda found: len(found[1]))


def find_targets(layer: nn.Module, width: int) -> tuple[PLoRATarget, ...]:
    """Lists a decoder layer's linears as targets; query, key and value share A.

    Args:
        layer: One decoder layer of any transformers model.
        width: The LLM's hidden width; only linears of that input can take the crayon.

    Raises:
        ValueError: The layer has no `nn.Linear`.
    """
    linears = {n: m for n, m in layer.named_modules() if isinstance(m, nn.Linear)}
    if not linears:
        raise ValueError(f"{type(layer).__name__} has no nn.Linear to adapt")
    groups: dict[tuple[str, object], list[str]] = {}
    for name in linears:
        parent, _, leaf = name.rpartition(".")
        shared = next((i for i, names in enumerate(_SHARING) if leaf in names), None)
        groups.setdefault((parent, leaf if shared is None else shared), []).append(name)
    return tuple(
        PLoRATarget(
            tuple(names),
            linears[names[0]].in_features == width
            and not any(n.rpartition(".")[2] in _NO_CRAYON for n in names),
        )
        for names in groups.values()
    )


def add_plora(
    llm: PreTrainedModel,
    state: InjectionState,
    rank: int,
    alpha: float | None = None,
    targets: Sequence[PLoRATarget] | None = None,
    dropout: float = 0.0,
    crayon: bool = True,
) -> list[str]:
    """Wraps the chosen linears of every decoder layer of `llm` in place.

    Args:
        llm: Any decoder of transformers with `nn.Linear` projections.
        state: Shared by all wrappers and the architecture.
        rank: Rows of A.
        alpha: The terms are scaled by alpha / rank; `rank` if None, as published.
        targets: The linears; all of a layer's, found by name and shape, if None.
        dropout: On A's input, in training only.
        crayon: False leaves the crayon branch out everywhere (plain PLoRA).

    Returns:
        The wrapped linears' names in `llm`.
    """
    scale = (rank if alpha is None else alpha) / rank
    wrapped: list[str] = []
    width = llm.config.get_text_config(decoder=True).hidden_size
    prefix, layers = decoder_layers(llm)
    for i, layer in enumerate(layers):
        chosen = tuple(targets) if targets is not None else find_targets(layer, width)
        for target in chosen:
            linears = [_linear(layer, name) for name in target.names]
            down = PLoRADown(linears[0].in_features, rank, crayon and target.crayon, dropout)
            for name, linear in zip(target.names, linears, strict=True):
                owner = name == target.names[0]
                layer.set_submodule(name, PLoRALinear(linear, down, state, scale, owner))
                wrapped.append(f"{prefix}.{i}.{name}")
    return wrapped


def _linear(layer: nn.Module, name: str) -> nn.Linear:
    """The linear of that name, or anything that says its features as one does (PEFT's, 4-bit)."""
    found = layer.get_submodule(name)
    if isinstance(found, PLoRALinear) or not hasattr(found, "in_features"):
        raise ValueError(f"{name} is a {type(found).__name__}, not a linear without PLoRA")
    return cast("nn.Linear", found)


def plora_linears(llm: nn.Module) -> Iterator[tuple[str, PLoRALinear]]:
    """Yields every wrapped linear with its name."""
    for name, module in llm.named_modules():
        if isinstance(module, PLoRALinear):
            yield name, module
