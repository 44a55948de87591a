"""Plain SVG: elements that escape what they hold, scales with round ticks, and the marks every plot shares.

Colours are CSS classes, never attributes, so that a plot follows the page into the dark. Lengths are CSS pixels.
"""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from zoo.board import store
from zoo.record import Figure

_LARGEST = 1e9
_LONGEST = 2000


def element(tag: str, *children: str, **attributes: object) -> Markup:
    """One element; `class_` is `class` and other underscores are hyphens. Text children are escaped, Markup is not."""
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{named}>{''.join(escape(plain(child)) for child in children)}</{tag}>")


def plain(value: object) -> object:
    """Text from a record on one line and without control characters; Markup and numbers as they are."""
    if not isinstance(value, str) or isinstance(value, Markup) or (value.isprintable() and len(value) <= _LONGEST):
        return value
    return store.one_line(value, _LONGEST)


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e-2 else f"{value:.1f}".removesuffix(".0")
    return str(value) if isinstance(value, int) else escape(plain(value))


def prose(words: str) -> Markup:
    """The words of a docstring, with what stands between backticks as code."""
    parts = str(plain(words)).split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    return Markup("").join(element("code", part) if number % 2 else part for number, part in enumerate(parts))


def drawing(width: float, height: float, title: str, description: str, *children: str, links: bool = False) -> Markup:
    """A whole plot with its text alternative. With `links` it is a group that one can tab through, else one image."""
    return element(
        "svg",
        element("desc", description),
        *children,
        role="group" if links else "img",
        aria_label=title,
        viewBox=f"0 0 {width:g} {height:g}",
        width=f"{width:g}",
        height=f"{height:g}",
        class_="plot",
    )


class Scale:
    """Values to places along a straight axis with round ticks; whatever lies outside is held at the end."""

    def __init__(self, values: Sequence[float], start: float, end: float, ticks: int = 5) -> None:
        kept = [min(max(value, -_LARGEST), _LARGEST) for value in values] or [0.0]
        low, high = min(kept), max(kept)
        step = _round_step((high - low) or max(abs(high), 1e-3), ticks)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        self.low, self.high = step * first, step * max(last, first + 1)
        self.ticks = [self.low + step * n for n in range(max(last, first + 1) - first + 1)]
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        share = (self.bent(min(max(value, self.low), self.high)) - self.bent(self.low)) / (
            self.bent(self.high) - self.bent(self.low)
        )
        return self.start + share * (self.end - self.start)

    def bent(self, value: float) -> float:
        """What the place is proportional to."""
        return value

    def _between(self, values: Sequence[float], known: Sequence[float], room: float) -> None:
        """Ends at known ticks around the values; of the ticks those that stand at least `room` apart."""
        below = [tick for tick in known if tick <= min(values)] or known[:1]
        above = [tick for tick in known if tick >= max(values)] or known[-1:]
        self.low, self.high = below[-1], above[0]
        if self.low == self.high:
            place = known.index(self.low)
            self.low, self.high = known[max(place - 1, 0)], known[min(place + 1, len(known) - 1)]
        self.ticks = [self.high]
        for tick in reversed([tick for tick in known if self.low <= tick < self.high]):
            if abs(self(tick) - self(self.ticks[-1])) >= room:
                self.ticks.append(tick)


class Durations(Scale):
    """Seconds on a logarithmic axis, with the ticks of a clock."""

    KNOWN = (1e-3, 1e-2, 1e-1, 1, 10, 60, 600, 3600, 36_000, 360_000, 3_600_000)

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.start, self.end = start, end
        self._between(values, self.KNOWN, 40)

    def bent(self, value: float) -> float:
        return math.log(value)


class Accuracies(Scale):
    """Fractions on a logit axis: from 98 to 99 % is as far as from 2 to 1 %, so that rows near the ceiling part."""

    KNOWN = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)

    def __init__(self, values: Sequence[float], start: float, end: float, room: float = 26) -> None:
        self.start, self.end = start, end
        self._between(values, self.KNOWN, room)

    def bent(self, value: float) -> float:
        return math.log(value / (1 - value))


def _round_step(span: float, ticks: int) -> float:
    rough = span / ticks
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    # written out: a site of a thousand records has some hundred thousand lines
    return Markup(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{class_}"></line>')


def text(x: float, y: float, words: str, class_: str = "label", anchor: str | None = None) -> Markup:
    anchored = f' text-anchor="{anchor}"' if anchor else ""
    return Markup(f'<text x="{x:.1f}" y="{y:.1f}" class="{class_}"{anchored}>{escape(plain(words))}</text>')


def link(href: str, name: str, *children: str) -> Markup:
    """Marks that lead somewhere; the name is read out and shown when pointed at."""
    return element("a", element("title", name), *children, href=href, aria_label=name)


def diamond(x: float, y: float, size: float, class_: str) -> Markup:
    corners = f"{x:.1f},{y - size:.1f} {x + size:.1f},{y:.1f} {x:.1f},{y + size:.1f} {x - size:.1f},{y:.1f}"
    return element("polygon", points=corners, class_=class_)


def dot(x: float, y: float, class_: str = "dot", radius: float = 4) -> Markup:
    return Markup(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{class_}"></circle>')


def across(scale: Scale, figure: Figure, y: float, class_: str = "dot", radius: float = 4) -> Markup:
    """A dot with its interval as a horizontal line."""
    whisker = line(scale(figure.low), y, scale(figure.high), y, f"whisker {class_}")
    return whisker + dot(scale(figure.value), y, class_, radius)


def upright(scale: Scale, figure: Figure, x: float, class_: str = "dot") -> Markup:
    """A dot with its interval as a vertical line."""
    return line(x, scale(figure.low), x, scale(figure.high), f"whisker {class_}") + dot(x, scale(figure.value), class_)


def horizontal_axis(scale: Scale, top: float, bottom: float, title: str, show: Callable[[float], str]) -> Markup:
    parts = []
    for tick in scale.ticks:
        parts.append(line(scale(tick), top, scale(tick), bottom, "grid"))
        parts.append(text(scale(tick), bottom + 16, show(tick), "tick", "middle"))
    parts.append(text((scale.start + scale.end) / 2, bottom + 36, title, "axis", "middle"))
    return Markup("").join(parts)


def vertical_axis(scale: Scale, left: float, right: float, title: str, show: Callable[[float], str]) -> Markup:
    """The title stands above the axis, where it is read without turning one's head."""
    parts = []
    for tick in scale.ticks:
        parts.append(line(left, scale(tick), right, scale(tick), "grid"))
        parts.append(text(left - 8, scale(tick) + 4, show(tick), "tick", "end"))
    parts.append(text(0, min(scale.start, scale.end) - 14, title, "axis"))
    return Markup("").join(parts)


def per_cent(value: float) -> str:
    """A fraction as per cent with no more digits than it needs."""
    return f"{100 * value:.4g}"


def per_cent_exactly(figure: Figure) -> str:
    """`98.26 (97.9 to 98.6)`"""
    return f"{100 * figure.value:.2f} ({100 * figure.low:.1f} to {100 * figure.high:.1f})"


def duration(seconds: float) -> str:
    """Seconds as a person would say them."""
    if seconds < 0.95:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h".replace(".0 ", " ")
