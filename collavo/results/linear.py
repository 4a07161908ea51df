"""Finds out which headline figures are plain means of the samples' scores, so need no formula."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from collavo.datasets.evaluation.tally import Tally, divide, mean_of_present
from collavo.records import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from collavo.results.clusters import Clusters
    from collavo.results.scored import Scored

    Array = NDArray[np.float64]
    Form = Callable[[Array], Array]

PARTS = 3
"""Random parts of the dataset on which a form must hold, too, before it is believed."""

PART_SIZE = 2000
"""Samples of a part, about; at most half of the images."""

MOST_CATEGORIES = 20
"""Categories up to which each by itself is tried."""

MOST_CELLS = 10**7
"""Samples times categories up to which the mean of the categories' means is tried."""

_SEED = 1


def linear_tallies(
    scored: Scored, clusters: Clusters, names: Sequence[str]
) -> list[tuple[Tally, list[str]]]:
    """Makes tallies of the headline figures that are means (or sums) of per-sample scores.

    A figure is believed to be one if it is on the whole dataset and on random parts of it, to
    nine digits or to the figure's own rounding. Tried are the means over all samples, over those
    with an image or without, over each category, the mean of the categories' means, and the sum;
    as the evaluator's parser reads the answers, and as each other one does.

    Args:
        scored: The run.
        clusters: Of its samples; a part holds whole clusters.
        names: The figures to look at.
    """
    found: list[tuple[Tally, list[str]]] = []
    open_names = list(names)
    parts = _parts(scored, clusters) if open_names else []
    for reading in _readings(scored) if open_names else ():
        for tally in _candidates(reading):
            fits = [n for n in open_names if _holds(n, tally, scored, parts)]
            if fits:
                scales = [_scale(tally, scored, n) for n in fits]
                found.append((_scaled(tally, dict(zip(fits, scales, strict=True))), fits))
                open_names = [n for n in open_names if n not in fits]
        if not open_names:
            break
    return found


def _parts(scored: Scored, clusters: Clusters) -> list[tuple[set[str], Mapping[str, float]]]:
    """Scores random parts of the dataset by themselves."""
    generator = np.random.default_rng(_SEED)
    members: dict[int, list[str]] = {}
    for sample in scored.samples:
        members.setdefault(clusters.of[sample.sample_id], []).append(sample.sample_id)
    parts = []
    for _ in range(PARTS):
        taken: set[str] = set()
        for cluster in generator.permutation(len(clusters))[: len(clusters) // 2].tolist():
            taken.update(members[cluster])
            if len(taken) >= PART_SIZE:
                break
        samples = [s for s in scored.samples if s.sample_id in taken]
        parts.append((taken, scored.headline_of(samples)))
    return parts


def _readings(scored: Scored) -> Iterator[Scored]:
    yield scored
    if scored.evaluator.judge is not None:
        return
    for parser in scored.evaluation.scores.get("parsers", {}):
        reading = scored.read_by(str(parser)) if parser != scored.evaluator.parser else None
        if reading is not None:
            yield reading


def _candidates(reading: Scored) -> Iterator[Tally]:
    """Yields tallies whose only figure, "", is a form that headlines often have."""
    scores = {
        sample.sample_id: float(judged.correct)
        for sample in reading.samples
        for judged in [reading.evaluation.per_sample.get(sample.sample_id)]
        if judged is not None and judged.correct is not None
    }
    known = [s for s in reading.samples if s.sample_id in scores]
    pictured = [s for s in known if s.images]
    blind = [s for s in known if not s.images]
    for samples in [known] + ([pictured, blind] if pictured and blind else []):
        yield _tally(samples, scores, [""] * len(samples))
    categories = [s.category for s in known]
    if 1 < len(set(categories)) <= MOST_CATEGORIES:
        for category in dict.fromkeys(categories):
            samples = [s for s in known if s.category == category]
            yield _tally(samples, scores, [""] * len(samples))
    if len(set(categories)) > 1 and len(set(categories)) * len(known) <= MOST_CELLS:
        yield _tally(known, scores, categories)


def _tally(samples: Sequence[Sample], scores: Mapping[str, float], groups: list[str]) -> Tally:
    """The mean over groups of the groups' means."""
    names = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    rows = np.zeros((len(samples), len(names), 2))
    for row, sample, group in zip(rows, samples, groups, strict=True):
        row[names[group]] = scores[sample.sample_id], 1

    def headline(sums: Array) -> dict[str, Array]:
        parts = sums.reshape(*sums.shape[:-1], len(names), 2)
        means = divide(parts[..., 0], parts[..., 1])
        return {"": mean_of_present(means, parts[..., 1])}

    return Tally([s.sample_id for s in samples], rows.reshape(len(samples), -1), headline)


def _figure(tally: Tally, ids: set[str] | None = None) -> float:
    keep = [ids is None or i in ids for i in tally.ids]
    return float(tally.headline(tally.rows[keep].sum(0))[""])


def _scale(tally: Tally, scored: Scored, name: str) -> float | None:
    """The factor between the form and the figure: 1, 100, or the number of samples for a sum."""
    mean, figure = _figure(tally), float(scored.evaluation.headline[name])
    for scale in (1.0, 100.0, float(len(tally.ids))):
        if same_figure(scale * mean, figure):
            return scale
    return None


def _holds(
    name: str,
    tally: Tally,
    scored: Scored,
    parts: Sequence[tuple[set[str], Mapping[str, float]]],
) -> bool:
    scale = _scale(tally, scored, name) if tally.ids and parts else None
    if scale is None:
        return False
    is_sum = scale not in (1.0, 100.0)
    for ids, headline in parts:
        factor = float(sum(i in ids for i in tally.ids)) if is_sum else scale
        if name not in headline or not same_figure(factor * _figure(tally, ids), headline[name]):
            return False
    return True


def same_figure(computed: float, figure: float) -> bool:
    """Equal to nine digits, or to the one or two decimals to which the figure is rounded."""
    if np.isclose(computed, figure, rtol=1e-9, atol=1e-12):
        return True
    return any(
        round(figure, digits) == figure and abs(computed - figure) <= 0.6 * 10**-digits
        for digits in (1, 2)
        if abs(figure) > 1
    )


def _scaled(tally: Tally, scales: Mapping[str, float | None]) -> Tally:
    def headline(sums: Array) -> dict[str, Array]:
        value = tally.headline(sums)[""]
        return {name: value * float(scale or 0) for name, scale in scales.items()}

    return Tally(tally.ids, tally.rows, headline)
