"""What each class looks like: sizes, nuclei, chromatin, cytoplasm and granules.

Sizes are in diameters of a red cell, colours are optical densities (red, green, blue) of a plain stain. The
words for attributes are those of WBCAtt (Tsutsui, Pang, Wen, NeurIPS 2023).
"""

from dataclasses import dataclass, replace

from zoo.data.smear.stain import Colour

Weights = tuple[tuple[str, float], ...]

CYTOPLASM: dict[str, Colour] = {
    "light blue": (0.24, 0.31, 0.10),
    "blue": (0.62, 0.55, 0.13),
    "purple blue": (0.52, 0.74, 0.19),
}
NUCLEUS: Colour = (1.16, 1.80, 0.43)
BIG = 1.6
"""A cell of at least this many red-cell diameters is big (our own limit)."""


@dataclass(frozen=True)
class Granules:
    radius: float
    """Pixels."""
    spacing: float
    """Pixels between neighbours."""
    colour: Colour
    cover: tuple[float, float]
    """Opacity over cytoplasm, lowest and highest."""
    over_nucleus: float = 0.0
    """Opacity over the nucleus, as a part of that over cytoplasm."""


@dataclass(frozen=True)
class Look:
    size: tuple[float, float]
    nucleus: Weights
    """Nucleus shapes by weight; empty for a cell without one."""
    nucleus_size: tuple[float, float]
    """Radius of the circle around the nucleus, in cell radii."""
    cytoplasm: Weights
    clump: int = 3
    """Grain of the chromatin in pixels: 1 fine, 3 coarse."""
    contrast: float = 0.18
    density: tuple[float, float] = (0.9, 1.05)
    """Strength of the nuclear stain."""
    strength: tuple[float, float] = (0.9, 1.15)
    """Strength of the cytoplasm's stain."""
    tint: Colour = (0.0, 0.0, 0.0)
    """Added to the cytoplasm."""
    granules: Granules | None = None
    rough: float = 0.03
    """Unevenness of the outline in cell radii."""
    dents: float = 0.0
    """Probability that a neighbouring red cell dents the outline (tried three times)."""
    frost: float = 0.06
    """Contrast of the cytoplasm's own texture."""
    vacuoles: int = 0
    """At most so many."""
    rim: float = 0.0
    """Extra stain at the cell's edge."""
    hof: float = 0.0
    """Paleness of the zone beside the nucleus."""
    nucleoli: int = 0
    """At most so many."""
    eccentric: float = 0.1
    """How far the nucleus may lie from the middle, as a part of the room that it has."""


_FINE = Granules(1.1, 4.0, (0.46, 0.66, 0.2), (0.25, 0.5))

LOOKS: dict[str, Look] = {
    "neutrophil": Look(
        (1.6, 2.0), (("segmented-bilobed", 0.1), ("segmented-multilobed", 0.9)), (0.82, 0.92), (("light blue", 1),),
        tint=(0.0, 0.05, 0.03), granules=_FINE, strength=(0.8, 1.05), rough=0.02),
    "band_neutrophil": Look(
        (1.6, 2.0), (("unsegmented-band", 1),), (0.7, 0.82), (("light blue", 1),),
        tint=(0.0, 0.05, 0.03), granules=_FINE, strength=(0.8, 1.05), rough=0.02, eccentric=0.5),
    "eosinophil": Look(
        (1.6, 2.0), (("segmented-bilobed", 0.8), ("segmented-multilobed", 0.2)), (0.78, 0.9), (("light blue", 1),),
        contrast=0.15, density=(0.82, 0.98), tint=(0.02, 0.16, 0.10), rough=0.02, eccentric=0.8,
        granules=Granules(2.4, 5.4, (0.32, 0.92, 0.58), (0.75, 0.95), 0.12)),
    "basophil": Look(
        (1.4, 1.8), (("irregular", 0.55), ("segmented-bilobed", 0.45)), (0.75, 0.85), (("light blue", 1),),
        contrast=0.12, density=(0.6, 0.8), rough=0.04, tint=(0.06, 0.1, 0.0),
        granules=Granules(2.5, 7.4, (1.25, 2.0, 0.5), (0.85, 1.0), 0.95)),
    "lymphocyte": Look(
        (1.1, 1.5), (("unsegmented-round", 0.8), ("unsegmented-indented", 0.2)), (0.84, 0.91),
        (("blue", 0.7), ("light blue", 0.3)), contrast=0.17, density=(0.92, 1.05), rough=0.02, eccentric=0.7),
    "reactive_lymphocyte": Look(
        (1.8, 2.3), (("irregular", 0.5), ("unsegmented-round", 0.5)), (0.6, 0.7),
        (("blue", 0.8), ("light blue", 0.2)), clump=2, contrast=0.17, density=(0.72, 0.88), rough=0.06, dents=0.6,
        rim=0.5, nucleoli=1, eccentric=0.6, frost=0.07, strength=(0.6, 0.85)),
    "monocyte": Look(
        (1.85, 2.35), (("unsegmented-indented", 0.7), ("irregular", 0.3)), (0.74, 0.82),
        (("purple blue", 0.45), ("blue", 0.55)), clump=2, contrast=0.16, density=(0.66, 0.82), rough=0.045, dents=0.2,
        frost=0.11, vacuoles=7, strength=(0.6, 0.8), tint=(0.03, 0.0, 0.05), eccentric=0.5),
    "metamyelocyte": Look(
        (1.75, 2.1), (("unsegmented-indented", 1),), (0.66, 0.74), (("light blue", 0.7), ("purple blue", 0.3)),
        contrast=0.17, density=(0.82, 0.98), granules=Granules(1.2, 4.2, (0.6, 0.95, 0.25), (0.4, 0.7), 0.05),
        tint=(0.0, 0.08, 0.02), strength=(0.7, 0.95), rough=0.022, eccentric=0.6),
    "myelocyte": Look(
        (1.75, 2.15), (("unsegmented-round", 1),), (0.62, 0.71), (("light blue", 0.5), ("purple blue", 0.5)),
        clump=2, contrast=0.16, density=(0.78, 0.94),
        granules=Granules(1.4, 4.6, (0.7, 1.15, 0.3), (0.5, 0.8), 0.1),
        tint=(0.03, 0.09, 0.02), strength=(0.8, 1.05), eccentric=0.95, hof=0.4, rough=0.025),
    "promyelocyte": Look(
        (1.95, 2.45), (("unsegmented-round", 1),), (0.7, 0.77), (("purple blue", 0.6), ("blue", 0.4)),
        clump=2, contrast=0.1, density=(0.6, 0.75),
        granules=Granules(1.9, 6.6, (0.95, 1.75, 0.4), (0.75, 0.95), 0.55),
        strength=(0.8, 1.0), nucleoli=3, hof=0.55, eccentric=0.95, rough=0.025),
    "erythroblast": Look(
        (1.15, 1.55), (("unsegmented-round", 1),), (0.56, 0.67), (("blue", 0.5), ("purple blue", 0.5)),
        contrast=0.2, density=(1.08, 1.25), strength=(0.55, 0.85), tint=(0.0, 0.06, 0.08), rough=0.03,
        eccentric=0.5, frost=0.03),
    "platelet": Look(
        (0.3, 0.52), (), (0.0, 0.0), (("light blue", 1),), rough=0.07, strength=(0.9, 1.3),
        granules=Granules(1.4, 3.0, (0.8, 1.3, 0.33), (0.5, 0.8)), frost=0.1),
}

CLASSES: tuple[str, ...] = tuple(LOOKS)
WHITE_CELLS: tuple[str, ...] = CLASSES[:10]

GRANULAR = "granular_neutrophil"
"""No cell that exists: a neutrophil with an eosinophil's granules, none of them over the nucleus. It differs from a
neutrophil in nothing else, so that between the two the cause of a right decision is known."""
_COARSE = LOOKS["eosinophil"].granules
assert _COARSE is not None
LOOKS[GRANULAR] = replace(LOOKS["neutrophil"], granules=replace(_COARSE, over_nucleus=0.0))
