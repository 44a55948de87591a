"""`zoo explain --rate`: a blinded sheet on which experts rate explanations, and the table of what they said.

The sheet shows each explained query as often as there are explainers, in random order, without the names of method,
explainer and file. A key beside it says what was what: it is not for the raters.
"""

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from zoo import atomic, ops, registry
from zoo.attribution import allowed
from zoo.board import statistics
from zoo.data import attributes as known
from zoo.data import banks
from zoo.data.splits import hash64
from zoo.errors import ZooError
from zoo.pipeline import attributes
from zoo.pipeline.explain import ask, check
from zoo.pipeline.fit import Clock, fit
from zoo.pipeline.progress import bar
from zoo.pipeline.rating_page import html_sheet, picture
from zoo.pipeline.scene import Scene
from zoo.pipeline.setup import Setup, setup
from zoo.record import Figure, settings_hash

SCALE = {1: "nothing of it", 2: "little of it", 3: "about half of it", 4: "most of it", 5: "all of it"}
"""What a rating says of how much of what the expert looks at is marked."""
_HEADER = ["sheet", "entry", "rating", "comment"]


@dataclass(frozen=True)
class Report:
    """What the raters said."""

    raters: list[str]
    means: dict[str, Figure]
    """Explainer -> mean rating, 1..5, with the interval of resampling the queries"""
    ratings: dict[str, int]
    """Explainer -> how many ratings it has"""
    complete: int
    """Entries that every rater rated: those that agreement is computed on"""
    fleiss: float | None
    """Fleiss' kappa of the five grades as mere names; None where it is not defined"""
    weighted: float | None
    """Cohen's kappa with quadratic weights, mean over pairs of raters; None where it is not defined"""


def sheet(
    count: int, method: str, explainers: Sequence[str], out: Path, settings: Mapping[str, str] | None = None,
    **choices: Any,
) -> list[Path]:  # fmt: skip
    """Write sheet.html, sheet.csv and key.json to the folder `out`: `count` test queries of a benchmark, each by every
    explainer. Settings of an explainer are written explainer.key=value. `choices` are those of
    `zoo.pipeline.setup.setup`. Raises ZooError."""
    if count < 1:
        raise ZooError(f"--rate {count}: give the number of queries to rate, 1 or more")
    if not explainers or len(set(explainers)) < len(explainers):
        raise ZooError("--explainer: name every explainer to be rated once; at least one is needed")
    given = dict(settings or {})
    built = {name: registry.explainer(name, _taken(given, name)) for name in explainers}
    for name, explainer in built.items():
        check(registry.method(method, given), explainer, (method, name))
    made = setup(method, settings=given, **choices)
    for explainer in built.values():
        allowed(explainer, made.backbone)
        if attributes.wanted(explainer):
            known.check(made.base_items.dataset)
    entries = _entries(made, built, count)
    order = sorted(range(len(entries)), key=lambda n: hash64("rate", made.seed, entries[n]["item"], entries[n]["name"]))
    entries = [entries[number] for number in order]
    key = {
        "method": method, "method_settings": asdict(made.method), "benchmark": made.benchmark.name,
        "backbone": made.backbone_name, "weights_sha256": made.weights_sha256, "seed": made.seed,
        "explainers": {name: asdict(explainer) for name, explainer in built.items()},
        "entries": [{key: value for key, value in entry.items() if key != "picture"} for entry in entries],
    }  # fmt: skip
    key["sheet"] = settings_hash(key)[:8]
    names = [f"{number:03d}" for number in range(1, len(entries) + 1)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_HEADER, *([key["sheet"], name, "", ""] for name in names)])
    written = {
        "sheet.html": html_sheet(str(key["sheet"]), names, entries, SCALE),
        "sheet.csv": text.getvalue(),
        "key.json": json.dumps(key, indent=1, ensure_ascii=False) + "\n",
    }
    for file, content in written.items():
        atomic.write(out / file, content.encode())
    return [out / file for file in written]


def table(found: Report) -> RenderableType:
    """What experts said of each explainer, and how far they agree."""
    lines = Table("explainer", "mean rating", "95 % interval", "ratings")
    for name, mean in sorted(found.means.items(), key=lambda pair: -pair[1].value):
        lines.add_row(Text(name), f"{mean.value:.2f}", f"{mean.low:.2f} to {mean.high:.2f}", str(found.ratings[name]))
    agreement = [
        f"{name} {'undefined' if value is None else f'{value:.2f}'}"
        for name, value in (("Fleiss' kappa", found.fleiss), ("Cohen's, quadratic weights,", found.weighted))
    ]
    who = f"{len(found.raters)} raters ({', '.join(found.raters)}), 1 to 5"
    return Group(Text(who), lines, Text(f"agreement on {found.complete} entries rated by all: {'; '.join(agreement)}"))


def _taken(given: dict[str, str], explainer: str) -> dict[str, str]:
    """The settings `explainer.key=value`, taken out of those given."""
    keys = [key for key in given if key.startswith(f"{explainer}.")]
    return {key.split(".", 1)[1]: given.pop(key) for key in keys}


def read(files: Sequence[Path], key_file: Path) -> Report:
    """The table of filled-in sheets, a file a rater. Raises ZooError for the first line that is wrong."""
    try:
        key = json.loads(key_file.read_text("utf-8"))
        explainer = [entry["name"] for entry in key["entries"]]
        item = [entry["item"] for entry in key["entries"]]
        sheet_name = key["sheet"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ZooError(f"{key_file}: no key of a sheet; --out names the folder that --rate wrote") from None
    raters = [file.stem for file in files]
    if len({*raters}) < len(raters):
        raise ZooError("--ratings: two files have the same name, which is the rater's; rename one")
    grades = np.full((len(explainer), len(files)), np.nan)
    for column, file in enumerate(files):
        for row, grade in _filled_in(file, str(sheet_name), len(explainer)).items():
            grades[row, column] = grade
    means, counts = {}, {}
    for name in dict.fromkeys(explainer):
        rows = [row for row, its in enumerate(explainer) if its == name and not np.isnan(grades[row]).all()]
        if rows:
            by_item: dict[str, list[float]] = {}
            for row in rows:
                by_item.setdefault(item[row], []).append(float(np.nanmean(grades[row])))
            means[name] = statistics.mean_interval([float(np.mean(values)) for values in by_item.values()])
            counts[name] = int((~np.isnan(grades[rows])).sum())
    complete = grades[~np.isnan(grades).any(1)].astype(int)
    return Report(raters, means, counts, len(complete), _fleiss(complete), _weighted(complete))


def _fleiss(grades: np.ndarray) -> float | None:
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    if grades.shape[1] < 2 or len(np.unique(grades)) < 2:
        return None
    return float(fleiss_kappa(aggregate_raters(grades)[0]))


def _weighted(grades: np.ndarray) -> float | None:
    from sklearn.metrics import cohen_kappa_score

    pairs = [grades[:, pair] for pair in itertools.combinations(range(grades.shape[1]), 2)]
    found = [
        cohen_kappa_score(*pair.T, labels=list(SCALE), weights="quadratic")
        for pair in pairs if len(np.unique(pair)) > 1
    ]  # fmt: skip
    return float(np.mean(found)) if found and len(found) == len(pairs) else None


def _filled_in(file: Path, sheet_name: str, entries: int) -> dict[int, int]:
    """Entry's row -> grade; lines without a grade are left out."""
    try:
        lines = list(csv.DictReader(io.StringIO(file.read_text("utf-8-sig")), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise ZooError(f"{file}: not a readable CSV file ({error}); save the sheet as CSV in UTF-8") from None
    found: dict[int, int] = {}
    for number, line in enumerate(lines, start=2):
        where, grade = f"{file}, line {number}", (line.get("rating") or "").strip()
        if (line.get("sheet") or "").strip() != sheet_name:
            raise ZooError(f"{where}: of another sheet than the key, which is {sheet_name}; --out names its folder")
        entry = (line.get("entry") or "").strip()
        if not entry.isdecimal() or not 1 <= int(entry) <= entries:
            raise ZooError(f"{where}: entry '{entry}' is none of 1 to {entries}; leave that column as it was")
        if grade and grade not in map(str, SCALE):
            raise ZooError(f"{where}: rating '{grade}' is none of 1 to {len(SCALE)}; leave it empty for none")
        if grade and int(entry) - 1 in found:
            raise ZooError(f"{where}: entry {entry} is rated twice; remove one of the lines")
        if grade:
            found[int(entry) - 1] = int(grade)
    return found


def _entries(made: Setup, explainers: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """Every query by every explainer, with its picture."""
    bank = banks.draw(made.items, made.test_items, made.bank_spec, made.classes)
    fitted = fit(made, bank if made.method.transductive else None, Clock())
    nothing = torch.zeros(3, device=made.device.name)
    reader = next(filter(attributes.wanted, explainers.values()), None)
    told = attributes.fit_heads(replace(made, explainer=reader), fitted.backbone, fitted.key) if reader else None
    scene = Scene(fitted.backbone, made.method, fitted.state, made.items, made.all_classes, 1.0, nothing,
                  fitted.features, made.seed, told and told.on(fitted.backbone))  # fmt: skip
    entries, classes = [], made.items.classes
    with bar("drawing the sheet", count * len(explainers)) as advance:
        for episode, query in ask(bank, count):
            numbers, classifier = episode.query[query], scene.classifier(episode)
            images, masks = scene.images(numbers), scene.masks(numbers)
            target = scene.scores(classifier, images).argmax(1)
            for name, explainer in explainers.items():
                found = explainer.explain_with(classifier, images, target, made.seed, masks)
                saliency = ops.upsample(found.saliency, *images.shape[2:]).cpu().numpy()
                for row, number in enumerate(numbers):
                    entries.append({
                        "item": made.items.names[number], "name": name,
                        "predicted": classes[episode.classes[int(target[row])]],
                        "truth": classes[made.items.labels[number]],
                        "picture": picture(np.asarray(made.items.pixels[number]), saliency[row]),
                    })  # fmt: skip
                advance(len(numbers))
    return entries
