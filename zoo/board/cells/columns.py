"""What stands in the columns of the tables of cells, and how a figure is written. No torch."""

from zoo.board.cells import figures
from zoo.board.markdown import difference, percent
from zoo.record import Figure

TITLES = {
    "field_accuracy": "field accuracy",
    "cell_accuracy": "cell accuracy",
    "average_precision": "AP 0.5",
    "nc_nmse": "N:C NMSE",
    "nc_nmse_variance": "N:C NMSE, of variance",
    "ratio_nmse": "N/C NMSE",
    "attribute_macro_f1": "macro F1",
    "attribute_accuracy": "accuracy",
    "attribute_within_class_accuracy": "within-class accuracy",
}
PLACES = ("field_accuracy", "cell_accuracy", "average_precision", "box_jaccard", "cell_jaccard")
MASKS = (
    "nucleus_jaccard", "nucleus_dice", "cytoplasm_jaccard", "cytoplasm_dice",
    "nc_nmse", "nc_nmse_variance", "ratio_nmse",
)  # fmt: skip
ATTRIBUTES = ("attribute_accuracy", "attribute_macro_f1", "attribute_within_class_accuracy")
FRONT = ("field_accuracy", "cell_jaccard", "nc_nmse", "attribute_accuracy")
"""What the papers give."""


def label(metric: str) -> str:
    """A metric's name where it stands alone."""
    return f"attribute {title(metric)}" if metric in ATTRIBUTES else title(metric)


def title(metric: str) -> str:
    """As the head of a column of its own table."""
    return TITLES.get(metric, metric.replace("_", " ").replace("jaccard", "Jaccard").replace("dice", "Dice"))


def other(names: set[str]) -> tuple[str, ...]:
    """The metrics that are in none of the tables above: those that other packages add."""
    return tuple(sorted(names - {*PLACES, *MASKS, *ATTRIBUTES}))


def in_percent(metric: str) -> bool:
    """False of an error without an upper end; what is no metric of cells is a fraction."""
    known = figures.metrics().get(metric)
    return known is None or known.unit == "percent"


def shown(metric: str, figure: Figure | None) -> str:
    """In per cent, or as a number with four digits: with its 95 % interval."""
    if figure is None or in_percent(metric):
        return percent(figure)
    return f"{figure.value:.4f} ({figure.low:.4f}-{figure.high:.4f})"


def alone(metric: str, value: float | None) -> str:
    """The same without an interval."""
    if value is None:
        return "-"
    return f"{100 * value:.2f}" if in_percent(metric) else f"{value:.4f}"


def apart(metric: str, figure: Figure) -> str:
    """A difference: in points, or as a number."""
    if in_percent(metric):
        return difference(figure)
    return f"{figure.value:+.4f} ({figure.low:+.4f} to {figure.high:+.4f})"


def standing(metric: str, measured: Figure, reported: float) -> str:
    """better, within or worse: where the whole 95 % interval lies beside a paper's figure."""
    if measured.low <= reported <= measured.high:
        return "within"
    return "better" if (measured.value > reported) == figures.metric(metric).higher_is_better else "worse"
