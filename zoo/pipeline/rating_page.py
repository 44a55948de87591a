"""The rating sheet as one HTML file that needs nothing from the network: pictures, questions, and a button to save."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.pipeline.page import Page


def picture(image: np.ndarray, saliency: np.ndarray) -> bytes:
    """The cell, and the cell under its saliency, as a PNG."""
    page = Page(4.5, 2.2)
    page.cell(0, 0, 2.2, image, None)
    page.cell(2.3, 0, 2.2, image, saliency)
    return page.png()


def _scale_picture() -> bytes:
    page = Page(3.0, 0.3)
    page.text(0.02, 0.15, "nothing", 8)
    page.colour_bar(0.55, 0.08, 1.7, 0.14)
    page.text(2.32, 0.15, "most", 8)
    return page.png()


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def html_sheet(
    sheet_name: str, names: Sequence[str], entries: Sequence[Mapping[str, Any]], scale: Mapping[int, str]
) -> str:
    """The whole page; `entries` have a picture and the predicted class."""
    cards = []
    for name, entry in zip(names, entries, strict=True):
        grades = "".join(
            f'<label><input type="radio" name="e{name}" value="{grade}"> {grade} <small>{words}</small></label>'
            for grade, words in scale.items()
        )
        predicted = html.escape(str(entry["predicted"]))
        cards.append(
            f'<fieldset data-entry="{name}"><legend>{name}</legend>'
            f'<img alt="cell {name}, plain and with its marks" src="{_embedded(entry["picture"])}">'
            f"<p>The program calls this cell <b>{predicted}</b>. How much of what you would look at to judge that is "
            f'marked, and little else?</p><div class="grades">{grades}</div>'
            f'<label>Comment <input type="text" size="50" maxlength="500"></label></fieldset>'
        )
    return _PAGE.replace("{sheet}", sheet_name).replace("{scale}", _embedded(_scale_picture())).replace(
        "{cards}", "\n".join(cards)
    )


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rating sheet {sheet}</title>
<style>
body { font: 16px/1.45 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24 }
fieldset { border: 1px solid #c3c9d1; border-radius: 6px; margin: 1.5rem 0; padding: 1rem }
legend { font-weight: 600; padding: 0 .4rem }
img { max-width: 100% }
.grades { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; margin: .6rem 0 }
button { font: inherit; padding: .5rem 1.2rem }
#bar { position: sticky; bottom: 0; background: #fff; border-top: 1px solid #c3c9d1; padding: .8rem 0 }
</style></head><body>
<main>
<h1>How well do these marks explain the cell?</h1>
<p>Each picture shows a cell, and the same cell with the places marked that made a program call it what it did. Please
rate every picture by itself, in this order, without looking back. Leave out what you cannot judge.</p>
<p><img alt="colours of the marks, from nothing to most" src="{scale}"><br>Each picture is coloured from its own lowest
to its own highest value; the line is half-way.</p>
<form>
{cards}
</form>
<div id="bar"><label>Your name or initials <input id="rater" type="text" size="16"></label>
<button type="button" id="save">Save ratings</button> <output id="left"></output></div>
</main>
<script>
const cards = [...document.querySelectorAll("fieldset")];
const grade = card => card.querySelector("input:checked")?.value ?? "";
const count = () => { document.querySelector("#left").value =
  cards.filter(card => !grade(card)).length + " of " + cards.length + " left"; };
document.addEventListener("change", count);
count();
document.querySelector("#save").addEventListener("click", () => {
  const quoted = text => '"' + text.replaceAll('"', '""').replace(/\\s+/g, " ") + '"';
  const lines = cards.map(card => ["{sheet}", card.dataset.entry, grade(card),
    quoted(card.querySelector("input[type=text]").value)].join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([["sheet,entry,rating,comment", ...lines].join("\\n") + "\\n"],
    { type: "text/csv" }));
  const rater = document.querySelector("#rater").value.replace(/[^A-Za-z0-9_-]+/g, "-") || "rater";
  link.download = rater + ".csv";
  link.click();
});
</script>
</body></html>
"""
