"""The confusion matrix of a row, as counts and as a picture."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from zoo.board.site import svg
from zoo.board.site.svg import element, text

_SIDE = 46


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often (classes, classes): true class down, predicted class across."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def picture(counts: np.ndarray, classes: Sequence[str], whose: str) -> Markup:
    """Shares of each true class in per cent; the diagonal in blue, errors in vermilion, stronger the more."""
    size = len(classes)
    left, top = 118, 92
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    parts = [text(left + _SIDE * size / 2, 14, "predicted", "axis", "middle"), text(0, top - 12, "true", "axis")]
    for number, name in enumerate(classes):
        middle = _SIDE * (number + 0.5)
        words = name if len(name) <= 15 else name[:14] + "…"
        parts.append(text(left - 8, top + middle + 4, words, "label", "end"))
        x, y = left + middle - 4, top - 8
        parts.append(element("text", words, x=x, y=float(y), class_="label", transform=f"rotate(-45 {x:.1f} {y})"))
    said = [escape(svg.plain(name)) for name in classes]
    for true in range(size):
        for predicted in range(size):
            words = f"{said[true]} called {said[predicted]}: {counts[true, predicted]}"
            parts.append(_cell(left + _SIDE * predicted, top + _SIDE * true, float(shares[true, predicted]),
                               true == predicted, words))  # fmt: skip
    wrong = shares * (1 - np.eye(size))
    true, predicted = divmod(int(wrong.argmax()), size)
    worst = f"{classes[true]} called {classes[predicted]}, {100 * wrong[true, predicted]:.1f} % of the class"
    return svg.drawing(
        left + _SIDE * size + 62, top + _SIDE * size + 4, f"Confusion matrix: {whose}",
        f"The most frequent error is {worst}." if wrong.any() else "No error.", *parts,
    )  # fmt: skip


def _cell(x: float, y: float, share: float, right: bool, said: str) -> Markup:
    """One square; `said` is escaped already. Errors are drawn by the root of their share, so that few are seen."""
    strength = share if right else share**0.5
    kind = "right" if right else "wrong" if share else "none"
    opacity = f' fill-opacity="{0.08 + 0.92 * strength:.2f}"' if share else ""
    place = f'x="{x + 1}" y="{y + 1}" width="{_SIDE - 2}" height="{_SIDE - 2}" rx="2" class="{kind}"{opacity}'
    square = Markup(f"<rect {place}><title>{said}</title></rect>")
    if share == 0:
        return square
    words = f"{100 * share:.1f}" if share < 0.9995 else "100"
    return square + text(x + _SIDE / 2, y + _SIDE / 2 + 4, words, f"count{' strong' * (strength > 0.55)}", "middle")
