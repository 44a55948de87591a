"""A page of text, boxes and cells, drawn to a PNG. Lengths are inches from the top left corner, text is in points."""

import bisect
import functools
import io
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle
from PIL import Image

from zoo import atomic

INK, GREY, PALE = "#1b1f24", "#59616b", "#c3c9d1"
_DPI = 110
_COLOURS = matplotlib.colormaps["viridis"]
_OPACITY = 0.55  # of the highest saliency: the cell stays visible under it


@functools.cache
def _font(size: float, bold: bool) -> FontProperties:
    # the font that matplotlib ships, so that a user's settings change neither the look nor the bytes
    return FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")


@functools.cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont(_font(8, False))).get_charmap())


@functools.cache
def _ruler() -> FigureCanvasAgg:
    return FigureCanvasAgg(Figure(dpi=_DPI))


@functools.lru_cache(4096)
def width(text: str, size: float, bold: bool = False) -> float:
    """Width of a line of text."""
    return _ruler().get_renderer().get_text_width_height_descent(text, _font(size, bold), False)[0] / _DPI


@functools.lru_cache(4096)
def fit(text: str, room: float, size: float, bold: bool = False) -> str:
    """The text, its middle left out where it is wider than `room`; what the font cannot draw becomes a box."""
    text = "".join(letter if ord(letter) in _letters() else "\u25a1" for letter in text)
    if len(text) <= 300 and width(text, size, bold) <= room:
        return text

    def short(keep: int) -> str:
        return text[: (keep + 1) // 2].rstrip() + "\u2026" + text[len(text) - keep // 2 :].lstrip()

    fitting = bisect.bisect_right(range(min(len(text), 300)), room, key=lambda keep: width(short(keep), size, bold))
    return short(max(fitting - 1, 0))


def wrap(text: str, room: float, size: float) -> list[str]:
    """The text in lines no wider than `room`."""
    lines: list[str] = []
    for word in text.split():
        word = fit(word, room, size)
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def unit_range(saliency: np.ndarray) -> np.ndarray:
    """Saliency scaled to 0..1 by its own lowest and highest value; an even map gives zeros."""
    saliency = saliency.astype(np.float64)
    low, span = saliency.min(), np.ptp(saliency)
    # a spread at the level of rounding is noise, not a place
    return (saliency - low) / span if span > 1e-6 * np.abs(saliency).max() else np.zeros_like(saliency)


def _resized(array: np.ndarray, side: float) -> np.ndarray:
    """An image (H, W, 3) or map (H, W) whose longer side takes `side` on the page."""
    down, across = array.shape[:2]
    scale = side * _DPI / max(down, across)
    size = (max(1, round(across * scale)), max(1, round(down * scale)))
    return np.asarray(Image.fromarray(array).resize(size, Image.Resampling.BICUBIC))


def _blend(under: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """Saliency 0..1 over an image (H, W, 3) uint8, the more opaque the higher."""
    opacity = _OPACITY * saliency[..., None]
    # from the blue on: the dark end of the colour map looks like a stained nucleus
    colour = 255 * _COLOURS(0.3 + 0.7 * saliency)[..., :3]
    return np.rint((1 - opacity) * under + opacity * colour).astype(np.uint8)


class Page:
    """A white page of the given size."""

    def __init__(self, across: float, down: float) -> None:
        self.width, self.height = (math.ceil(length * _DPI) / _DPI for length in (across, down))
        self._figure = Figure((self.width, self.height), dpi=_DPI, facecolor="white")
        self._canvas = FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0, 0, 1, 1), xlim=(0, self.width), ylim=(self.height, 0), zorder=1)
        self._axes.set_axis_off()
        self._axes.set_autoscale_on(False)

    def text(self, x: float, y: float, text: str, size: float, colour: str = INK, bold: bool = False,
             align: str = "left") -> None:
        """One line of text as it is: no character has a meaning. `y` is the middle of the line."""
        self._axes.text(x, y, text, color=colour, fontproperties=_font(size, bold), ha=align, va="center_baseline",
                        parse_math=False, usetex=False)

    def box(self, x: float, y: float, width: float, height: float, fill: str, line: str = "none") -> None:
        """A rectangle, or a line where `width` or `height` is 0."""
        self._axes.add_patch(Rectangle((x, y), width, height, facecolor=fill, edgecolor=line, linewidth=0.6))

    def cell(self, x: float, y: float, side: float, image: np.ndarray, saliency: np.ndarray | None) -> None:
        """An image (H, W, 3) uint8 within a square, under its saliency (H, W) with a line at half its range."""
        # in steps of 4 levels, which no eye sees and which take a third less to store
        pixels = _resized(image, side)
        height, width = (length / _DPI for length in pixels.shape[:2])
        x, y = (round(corner * _DPI) / _DPI for corner in (x + (side - width) / 2, y + (side - height) / 2))
        if saliency is None:
            self._picture(x, y, pixels & 0xFC | 0x02)
        else:
            level = _resized(unit_range(saliency).astype(np.float32), side).clip(0, 1)
            self._picture(x, y, _blend(pixels, level) & 0xFC | 0x02)
            if level.any():
                across, down = ((np.arange(length) + 0.5) / _DPI for length in reversed(level.shape))
                for colour, thick in (("black", 1.5), ("white", 0.8)):
                    self._axes.contour(x + across, y + down, level, [0.5], colors=colour, linewidths=thick)
            else:
                self.box(x, y + height - 0.17, 0.62, 0.17, "white")
                self.text(x + 0.05, y + height - 0.085, "even map", 7.5)
        self.box(x, y, width, height, "none", PALE)

    def colour_bar(self, x: float, y: float, width: float, height: float) -> None:
        """Saliency 0 to 1 as it looks over a light ground."""
        grade = np.linspace(0, 1, round(width * _DPI))[None].repeat(round(height * _DPI), 0)
        self._picture(x, y, _blend(np.full((*grade.shape, 3), 235, np.uint8), grade))

    def _picture(self, x: float, y: float, pixels: np.ndarray) -> None:
        """An image whose pixels are those of the page."""
        up = round(self.height * _DPI) - round(y * _DPI) - len(pixels)
        self._figure.figimage(pixels, round(x * _DPI), up, origin="upper")

    def write(self, path: Path) -> None:
        """Write the page whole or not at all, without a date. Raises ZooError where that fails."""
        atomic.write(path, self.png())

    def png(self) -> bytes:
        """The page as the bytes of a PNG."""
        self._canvas.draw()
        content = io.BytesIO()
        Image.fromarray(np.asarray(self._canvas.buffer_rgba())[..., :3]).save(content, "PNG", dpi=(_DPI, _DPI))
        return content.getvalue()
