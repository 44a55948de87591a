"""smear: procedurally drawn, always synthetic, May-Gruenwald-Giemsa-like blood smears with exact ground truth."""

from zoo.data.smear.looks import CLASSES, WHITE_CELLS
from zoo.data.smear.picture import Cell, Field, Truth, cell, field

__all__ = ["CLASSES", "WHITE_CELLS", "Cell", "Field", "Truth", "cell", "field"]
