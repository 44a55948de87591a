"""Numbers and names as Markdown that no name can break out of."""

import html
import re
from collections.abc import Iterable, Sequence

from zoo.record import Figure


def escape(text: str) -> str:
    """Any text as plain text in one Markdown table cell: no markup, HTML, link, control character or line break."""
    plain = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    marked = re.sub(r"([\\`*\[\]|~#!])", r"\\\1", html.escape(plain, quote=False))
    marked = re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", marked)
    return re.sub(r"(?i)(://|www\.|@)", lambda found: f"&#{ord(found[0][0])};{found[0][1:]}", marked)


def percent(figure: Figure | None) -> str:
    """`98.31 (97.9-98.6)`: a fraction as a percentage with its 95 % interval; a dash for none."""
    if figure is None:
        return "-"
    between = " to " if figure.low < 0 else "-"
    return f"{100 * figure.value:.2f} ({100 * figure.low:.1f}{between}{100 * figure.high:.1f})"


def difference(figure: Figure) -> str:
    """`+1.30 (+0.9 to +1.6)`: a difference of fractions in percentage points with its 95 % interval."""
    return f"{_signed(figure.value, 2)} ({_signed(figure.low, 1)} to {_signed(figure.high, 1)})"


def _signed(fraction: float, digits: int) -> str:
    """In per cent; what rounds to nothing is +0."""
    return f"{round(100 * fraction, digits) + 0.0:+.{digits}f}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table; cells are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
