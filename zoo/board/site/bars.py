"""Bars: the errors of each class beside the paper's, and how accuracy is spread over the draws of the supports."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from zoo.board.site import svg
from zoo.board.site.plots import WIDTH, short
from zoo.board.site.svg import Scale, element, line, text
from zoo.record import Figure

_BARS = 33


def class_errors(found: Sequence[tuple[str, Figure]], said: dict[str, Figure], whose: str) -> Markup:
    """Error of each class as a bar with its interval, and the paper's below it. Bars of errors may start at 0 and
    still show a difference at 98 %."""
    step = 42 if said else 27
    left, right, top = 132, WIDTH - 148, 8
    bottom = top + step * len(found)
    x = Scale([0.0, *(1 - f.low for _, f in found), *(1 - f.low for f in said.values())], left, right)
    parts = [svg.horizontal_axis(x, top, bottom, "error, % of the class's images: shorter is better", svg.per_cent)]
    for number, (name, figure) in enumerate(found):
        y = top + step * number + 4
        parts.append(text(left - 10, y + step / 2, short(name, 18), "label", "end"))
        parts.append(_bar(x, y, figure, "measured", ""))
        if name in said:
            parts.append(_bar(x, y + 18, said[name], "reported", " reported"))
    listed = ", ".join(
        f"{n} {svg.per_cent_exactly(f)}" + (f", reported {100 * said[n].value:.2f}" if n in said else "")
        for n, f in found
    )
    return svg.drawing(
        WIDTH, bottom + 44, f"Error of each class: {whose}", f"Accuracy in per cent: {listed}.", *parts
    )


def draws(accuracies: np.ndarray) -> Markup:
    """How the accuracy is spread over the draws of the supports: one bar a bin."""
    top, bottom, left, right = 34, 140, 46, WIDTH - 24
    x = Scale([float(accuracies.min()), float(accuracies.max())], left, right)
    found = np.unique(accuracies)
    if len(found) <= _BARS:  # few queries a draw: then only some accuracies are possible
        half = float(np.diff(found).min() if len(found) > 1 else x.high - x.low) / 2
        bins = np.concatenate([found - half, found[-1:] + half]).clip(x.low, x.high)
    else:
        bins = np.linspace(x.low, x.high, _BARS)
    heights, _ = np.histogram(accuracies, bins)
    y = Scale([0.0, float(heights.max())], bottom, top, ticks=3)
    bars = [
        element("rect", x=x(bins[n]) + 0.5, y=y(float(h)), width=max(0.5, x(bins[n + 1]) - x(bins[n]) - 1),
                height=bottom - y(float(h)), class_="bar measured")
        for n, h in enumerate(heights) if h
    ]  # fmt: skip
    middle = float(np.median(accuracies))
    return svg.drawing(
        WIDTH, 186, "Accuracy of each draw of the supports",
        f"{len(accuracies)} draws: worst {svg.per_cent(round(float(accuracies.min()), 4))}, median "
        f"{svg.per_cent(round(middle, 4))}, best {svg.per_cent(round(float(accuracies.max()), 4))}.",
        svg.vertical_axis(y, left, right, "draws", lambda tick: f"{tick:g}"),
        svg.horizontal_axis(x, top, bottom, "accuracy of the draw, %; the line is the median", svg.per_cent),
        *bars, line(x(middle), top, x(middle), bottom, "zero"),
    )  # fmt: skip


def _bar(x: Scale, y: float, accuracy: Figure, class_: str, words: str) -> Markup:
    """The error as a bar, its interval on it where it has one, and the accuracy beside it."""
    end, reach = x(1 - accuracy.value), x(1 - accuracy.low)
    bar = element("rect", x=x(0), y=float(y), width=max(end - x(0), 0.75), height=16.0, class_=f"bar {class_}")
    uncertain = accuracy.high > accuracy.low
    whisker = line(x(1 - accuracy.high), y + 8, reach, y + 8, "whisker ink") if uncertain else Markup("")
    number = svg.per_cent_exactly(accuracy) if uncertain else f"{100 * accuracy.value:.2f}"
    return bar + whisker + text(max(end, reach) + 8, y + 12, number + words, "value" + (" muted" if words else ""))
