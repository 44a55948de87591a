"""Attributes of cells in words: WBCAtt's eleven, HemaX's five among them, and a line that says them. No torch."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zoo.cells import Attribute

UNDEFINED = "undefined"
"""The word where an attribute says nothing: of classes that WBCAtt does not cover, of a nucleus that is not there."""
WBCATT = (
    Attribute("cell_size", ("small", "big")),
    Attribute("cell_shape", ("round", "irregular")),
    Attribute("nucleus_shape", (
        "segmented-bilobed", "segmented-multilobed", "unsegmented-band", "unsegmented-indented", "unsegmented-round",
        "irregular",
    )),
    Attribute("nuclear_cytoplasmic_ratio", ("low", "high")),
    Attribute("chromatin_density", ("loosely", "densely")),
    Attribute("cytoplasm_vacuole", ("no", "yes")),
    Attribute("cytoplasm_texture", ("clear", "frosted")),
    Attribute("cytoplasm_colour", ("light blue", "blue", "purple blue")),
    Attribute("granule_type", ("nil", "small", "round", "coarse")),
    Attribute("granule_colour", ("nil", "pink", "red", "purple")),
    Attribute("granularity", ("no", "yes")),
)  # fmt: skip
"""Tsutsui, Pang, Wen, WBCAtt, NeurIPS 2023, arXiv 2306.13531; the words as they stand in its tables."""
HEMAX = ("granularity", "cytoplasm_colour", "nucleus_shape", "cell_size", "nuclear_cytoplasmic_ratio")
"""The five of Pal et al., ISBI 2024 (granularity, cytoplasm colour, nucleus shape, size beside a red cell, N:C), by
WBCAtt's names. Which of WBCAtt's attributes stands for which of theirs is our reading: LeukoX publishes no words."""


class Told(NamedTuple):
    """What is known of the n items of a dataset."""

    attributes: tuple[Attribute, ...]
    """With UNDEFINED as the last word of those that are undefined for some item"""
    words: np.ndarray
    """(n, attributes) int64, numbers of the words; -1 where nobody has said"""

    def of(self, names: tuple[str, ...]) -> "Told":
        """The attributes of these names alone, in the order of this table."""
        kept = [number for number, one in enumerate(self.attributes) if one.name in names]
        return Told(tuple(self.attributes[number] for number in kept), self.words[:, kept])

    def like(self, attributes: tuple[Attribute, ...]) -> "Told":
        """The same in the words of other attributes of the same names; -1 for a word that they do not have."""
        own = [one.name for one in self.attributes]
        columns = []
        for one in attributes:
            number = own.index(one.name)
            values = self.attributes[number].values
            place = [one.values.index(word) if word in one.values else -1 for word in values] + [-1]
            columns.append(np.array(place)[self.words[:, number]])
        return Told(attributes, np.stack(columns, 1))

    @property
    def defined(self) -> np.ndarray:
        """(n, attributes) bool: known, and not UNDEFINED."""
        last = [one.values.index(UNDEFINED) if UNDEFINED in one.values else len(one.values) for one in self.attributes]
        return (self.words >= 0) & (self.words != np.array(last))


def told(attributes: tuple[Attribute, ...], said: Sequence[Mapping[str, str] | None]) -> Told:
    """A table from attribute -> word of each item; None where nobody has said. UNDEFINED is added to the words of an
    attribute where an item has it. KeyError, ValueError for a missing attribute and an unknown word."""
    absent = {one.name for one in attributes for row in said if row is not None and row[one.name] == UNDEFINED}
    every = tuple(
        Attribute(one.name, (*one.values, UNDEFINED)) if one.name in absent else one for one in attributes
    )
    places = [{word: number for number, word in enumerate(one.values)} for one in every]
    words = np.full((len(said), len(every)), -1, np.int64)
    for number, row in enumerate(said):
        if row is not None:
            words[number] = [place[row[one.name]] for one, place in zip(every, places, strict=True)]
    return Told(every, words)


def describe(words: Mapping[str, str]) -> str:
    """Attribute -> word as a line for people: `segmented-multilobed nucleus, small pink granules, low N:C ...`."""
    said = {name: word for name, word in words.items() if word != UNDEFINED}
    if len(said) * 2 < len(words):
        return f"attributes {UNDEFINED}"
    parts = [f"{said['nucleus_shape']} nucleus"] if "nucleus_shape" in said else []
    if "chromatin_density" in said:
        parts.append(f"{'dense' if said['chromatin_density'] == 'densely' else 'loose'} chromatin")
    if "granularity" in said:
        looks = [said[name] for name in ("granule_type", "granule_colour") if said.get(name, "nil") != "nil"]
        fine = ["fine" if look == "small" else look for look in looks]
        parts.append(" ".join([*fine, "granules"]) if said["granularity"] == "yes" else "no granules")
    if "cytoplasm_colour" in said:
        texture = [said["cytoplasm_texture"]] if "cytoplasm_texture" in said else []
        parts.append(" ".join([*texture, said["cytoplasm_colour"], "cytoplasm"]))
    if said.get("cytoplasm_vacuole") == "yes":
        parts.append("vacuoles")
    if "nuclear_cytoplasmic_ratio" in said:
        parts.append(f"{said['nuclear_cytoplasmic_ratio']} N:C")
    cell = [said[name] for name in ("cell_size", "cell_shape") if name in said]
    if cell:
        parts.append(" ".join([*cell, "cell"]))
    return ", ".join(parts)
