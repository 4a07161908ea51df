"""ChartQA in miniature: charts and tables of exact values, asked about in words and by pattern.

Source of the layout: Masry et al., 2022, arXiv:2203.10244.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collavo.datasets.miniature.files import write_json
from collavo.datasets.miniature.gallery import Gallery
from collavo.datasets.miniature.scenes import Scene
from collavo.datasets.miniature.sketches.charts import HUES, Chart

_YEARS = ("2016", "2017", "2018", "2019", "2020")

CHARTS = (
    Chart("bars", "Visitors of the museum", _YEARS, (120, 150, 180, 240, 60), "thousands"),
    Chart("rows", "Bread sold", ("Rye", "Wheat", "Spelt", "Oat"), (34, 58, 21, 17), "loaves"),
    Chart(
        "line", "Rain in Elmford", ("Mar", "Apr", "May", "Jun", "Jul"), (44, 52, 61, 38, 27), "mm"
    ),
    Chart("pie", "Ways to school", ("Bus", "Bicycle", "On foot", "Car"), (40, 25, 20, 15)),
    Chart("bars", "Goals this season", ("Vale", "Moss", "Hask", "Roos"), (9, 14, 6, 11)),
    Chart("line", "Members of the club", _YEARS, (80, 95, 110, 130, 155)),
    Chart("rows", "Speed of animals", ("Hare", "Horse", "Cat", "Dog"), (70, 65, 48, 45), "km/h"),
    Chart("pie", "Books lent", ("Novels", "Comics", "Travel", "Science"), (45, 30, 15, 10)),
)


def write(root: Path) -> list[tuple[str, Scene]]:
    """Writes `ChartQA/test`: both question files, pictures and tables."""
    folder = root / "ChartQA" / "test"
    gallery = Gallery(folder / "png", 15)
    rows: dict[str, list[dict[str, str]]] = {"human": [], "augmented": []}
    (folder / "tables").mkdir()
    for number, chart in enumerate(CHARTS):
        name = f"4{number:02d}99051005347"
        gallery.figure(f"{name}.png", chart.draw())
        lines = [f"Label,{chart.title}"]
        lines += [
            f"{label},{value}" for label, value in zip(chart.labels, chart.values, strict=True)
        ]
        (folder / "tables" / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for split, asked in (("human", human(chart)), ("augmented", augmented(chart))):
            rows[split] += [
                {"imgname": f"{name}.png", "query": query, "label": label} for query, label in asked
            ]
    for split, listed in rows.items():
        write_json(folder / f"test_{split}.json", listed)
    return gallery.entries


def human(chart: Chart) -> Iterator[tuple[str, str]]:
    """Yields questions that one has to count, compare or add for."""
    top, low = max(chart.values), min(chart.values)
    mark = "bar" if chart.kind in ("bars", "rows") else "slice" if chart.kind == "pie" else "point"
    if mark == "point":
        rises = all(a < b for a, b in zip(chart.values, chart.values[1:], strict=False))
        yield "Does the line rise all the way?", "Yes" if rises else "No"
    else:
        place = chart.values.index(low)
        yield f"What is the color of the smallest {mark}?", HUES[place]
    yield f"What is the difference between the highest and the lowest {mark}?", str(top - low)
    yield f"How many {mark}s does the chart have?", str(len(chart.values))


def augmented(chart: Chart) -> Iterator[tuple[str, str]]:
    """Yields questions after a pattern, on the values themselves."""
    place = len(chart.labels) // 2
    share = "%" if chart.kind == "pie" else ""
    asked = f'What value does the chart "{chart.title}" show for {chart.labels[place]}?'
    yield asked, f"{chart.values[place]}{share}"
    yield f'Which label of "{chart.title}" has the highest value?', chart.highest
