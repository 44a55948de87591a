"""The table at the end of a run."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from zoo.board import attribute_tables, published
from zoo.board.explained import beats_random, metric_order
from zoo.board.markdown import difference, percent
from zoo.board.published import Published, Reported
from zoo.board.store import one_line
from zoo.record import ExplanationRow, Figure, Record

_COLOURS = {"above": "green", "within": "yellow", "below": "red"}


def show(record: Record, papers: Published) -> RenderableType:
    """Accuracy of each class beside the paper's, the summary, the explainers beside the floors, and the cost."""
    paper = published.main_row(papers.for_benchmark(record.benchmark), record.classes)
    parts: list[RenderableType] = [Text(one_line(_title(record))), _accuracy(record, paper), _summary(record, paper)]
    if found := record.explanations:
        count = f"{len(found.items)} queries explained, {sum(found.correct)} of them classified right; floors are dim"
        parts += [Text(), Text(count), _explainers(found.rows, record.explainer)]
        parts += [Text(), attribute_tables.show(found.attributes)] if found.attributes else []
    return Group(*parts, Text(), _cost(record))


def _accuracy(record: Record, paper: Reported | None) -> Table:
    table = Table("class")
    table.add_column("accuracy % (95 %)", justify="right", no_wrap=True)
    if paper:
        table.add_column("paper", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
    said = paper.row.class_accuracy if paper else {}
    for name, figure in record.class_accuracy.items():
        table.add_row(_plain(name), percent(figure), *(_beside(figure, said.get(name)) if paper else ()))
    table.add_section()
    mean, of_paper = record.figures.get("mean_class_accuracy"), paper and paper.row.figures.get("mean_class_accuracy")
    if mean:
        table.add_row("mean of classes", percent(mean), *(_beside(mean, of_paper) if paper else ()), style="bold")
    return table


def _plain(name: str) -> str:
    """A name from a file as plain text: neither markup nor control characters reach the terminal."""
    return escape(one_line(name))


def _title(record: Record) -> str:
    images = record.dataset + (f", subset {record.subset}" if record.subset else "")
    row = record.method + (f" + {record.explainer}" if record.explainer else "")
    return f"{row} on {record.benchmark}: {images}{', synthetic images' if record.synthetic else ''}"


def _beside(figure: Figure, said: float | None) -> tuple[str, str]:
    if said is None:
        return "-", ""
    verdict = published.verdict(figure, said)
    return f"{100 * said:.2f}", f"[{_COLOURS[verdict]}]{verdict}[/]"


def _summary(record: Record, paper: Reported | None) -> Text:
    figures = [f"{name.replace('_', ' ').replace('f1', 'F1')} {percent(one)}" for name, one in record.figures.items()]
    validation = record.validation_accuracy
    lines = [
        ", ".join(figures),
        f"{len(record.predictions.lengths)} draws of {record.bank.way}-way {record.bank.shot}-shot "
        f"(bank {record.bank.kind}), {record.backbone}, {record.labels_seen} labels seen, validation accuracy "
        + ("not measured" if validation is None else f"{100 * validation:.2f}"),
    ]
    if paper:
        setting = "the same set-up" if published.same_setting(record, paper) else "another set-up"
        source = f"{paper.paper.authors} {paper.paper.year}"
        lines.append(f"paper: {paper.row.title}, {paper.row.backbone_title} ({source}); {setting}")
    return Text("\n".join(one_line(line, 300) for line in lines))


def _explainers(rows: dict[str, ExplanationRow], own: str | None) -> Table:
    """For each metric one line an explainer: its mean, and how much better than the random floor it is."""
    table = Table("metric", "explainer")
    table.add_column("mean % (95 %)", justify="right", no_wrap=True)
    table.add_column("better than random by", justify="right", no_wrap=True)
    for metric in metric_order(rows.values()):
        table.add_section()
        scored = [(name, row) for name, row in rows.items() if metric in row.figures]
        for number, (name, row) in enumerate(scored):
            label = _plain(metric.replace("_", " ")) if number == 0 else ""
            style = "bold" if name == own else "dim" if row.floor else ""
            against = _against(row.against_random.get(metric))
            table.add_row(label, _plain(name), percent(row.figures[metric]), against, style=style)
    return table


def _against(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"[green]{difference(figure)}[/]" if beats_random(figure) else difference(figure)


def _cost(record: Record) -> Text:
    seconds = record.provenance.seconds
    stages = ", ".join(f"{stage} {spent:.1f} s" for stage, spent in seconds.items())
    made = record.provenance
    before = ", beside the training of its weights" if record.weights_trained else ""
    cost = f"{sum(seconds.values()):.1f} s{before} ({stages}); peak memory {made.peak_memory_mb:.0f} MB"
    return Text(one_line(f"{cost}, {made.device}, {made.precision}", 300))
