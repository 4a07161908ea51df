"""Whether one figure rises with another over several runs, as probes with benchmarks.

Source: CoLLaVO, arXiv 2402.11248, section 1 and figure 2: object-level understanding of a model
goes with its zero-shot scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from collavo.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBES = "probe_"
"""How the names of probe datasets begin."""

FEWEST = 3
"""Runs that a coefficient needs."""


@dataclass(frozen=True)
class Correlation:
    """How two figures go together over runs.

    Args:
        first: Dataset and figure of the probe.
        second: Dataset and figure of the benchmark.
        runs: How many runs have both.
        pearson: The linear coefficient; None for fewer than `FEWEST` runs or a constant figure.
        pearson_p: Its two-sided p-value, under normality.
        spearman: The coefficient of the ranks.
        spearman_p: Its two-sided p-value, by all orders up to 7 runs, else by Student's t.
    """

    first: str
    second: str
    runs: int
    pearson: float | None = None
    pearson_p: float | None = None
    spearman: float | None = None
    spearman_p: float | None = None


def correlate(
    runs: Sequence[Mapping[str, Mapping[str, float]]], probes: Sequence[str] = ()
) -> list[Correlation]:
    """Correlates each headline figure of some datasets with each of the others.

    Args:
        runs: Headline figures by dataset, one mapping a model.
        probes: The datasets of one side; by default those that are probes by name.

    Raises:
        UserError: A side has no dataset.
    """
    names = list(dict.fromkeys(name for run in runs for name in run))
    unknown = [name for name in probes if name not in names]
    if unknown:
        raise UserError(f"no run is on {unknown[0]!r}; the runs are on {', '.join(names)}")
    left = [n for n in names if n in probes or (not probes and n.startswith(PROBES))]
    right = [n for n in names if n not in left]
    if not left or not right:
        raise UserError(
            "a correlation needs datasets on both sides, such as a probe (probe_class2binary) and "
            f"a benchmark; the runs are on {', '.join(names) or 'none'}: name those of one side "
            "behind --correlate"
        )
    return [
        _pair(runs, (probe, a), (benchmark, b))
        for probe in left
        for a in _figures(runs, probe)
        for benchmark in right
        for b in _figures(runs, benchmark)
    ]


def _figures(runs: Sequence[Mapping[str, Mapping[str, float]]], dataset: str) -> list[str]:
    return list(dict.fromkeys(name for run in runs for name in run.get(dataset, {})))


def _pair(
    runs: Sequence[Mapping[str, Mapping[str, float]]],
    first: tuple[str, str],
    second: tuple[str, str],
) -> Correlation:
    values = np.array(
        [
            (run[first[0]][first[1]], run[second[0]][second[1]])
            for run in runs
            if first[1] in run.get(first[0], {}) and second[1] in run.get(second[0], {})
        ]
    ).reshape(-1, 2)
    names = (" ".join(first), " ".join(second))
    if len(values) < FEWEST or (values == values[0]).all(axis=0).any():
        return Correlation(*names, len(values))
    return Correlation(*names, len(values), *_coefficients(values[:, 0], values[:, 1]))


def _coefficients(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    from scipy.stats import pearsonr, permutation_test, spearmanr

    linear: Any = pearsonr(x, y)
    ranks: Any = spearmanr(x, y)
    rho, p = ranks.statistic, ranks.pvalue
    if len(x) <= 7:

        def statistic(z: NDArray[np.float64]) -> float:
            again: Any = spearmanr(z, y)
            return float(again.statistic)

        # 7! orders: every one is tried
        p = permutation_test((x,), statistic, permutation_type="pairings", n_resamples=5040).pvalue
    return float(linear.statistic), float(linear.pvalue), float(rho), float(p)
