"""Records for the tests of the site: every kind of row, board and name that its pages have to show."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cell_records
from records import drawn, explained, record

from zoo.board import store
from zoo.board.cells import store as cell_store
from zoo.cell_record import CellRecord
from zoo.record import BankSpec, Record

PBC = ["basophil", "eosinophil", "erythroblast", "ig", "lymphocyte", "monocyte", "neutrophil", "platelet"]
EVIL = "<img src=x onerror=alert(1)>\"' {{7*7}}\n</title><script>alert(2)</script>\u202e&amp;"


def png(width: int = 3, height: int = 2) -> bytes:
    """A plain grey picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    raw = b"".join(b"\0" + b"\x90" * 3 * width for _ in range(height))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def toy(shot: int, method: str, share: float, seed: int = 0, **changes: Any) -> Record:
    """A row of a board with three classes."""
    bank = BankSpec(kind="all", way=3, shot=shot, episodes=5)
    settings: dict[str, Any] = {
        "classes": ["basophil", "ig", "platelet"], "predictions": drawn(seed + shot, share, 3, 30, 5), "bank": bank,
        "benchmark": f"toy_3way_{shot}shot", "method": method, "explainer": None, "bank_sha256": f"{shot % 10}" * 64,
    }  # fmt: skip
    return record(seed, **(settings | changes))


def records() -> Iterator[Record]:
    """Seventeen records on five boards."""
    for shot, gain in ((1, 0.0), (5, 0.1), (10, 0.15)):
        yield toy(shot, "prototypical", 0.7 + gain, labels_seen=0)
        yield toy(shot, "knn", 0.65 + gain, labels_seen=0, seconds={"evaluate": 3.0})
        yield toy(shot, "stn", 0.8 + gain, labels_seen=250)
    for seed in (0, 1):
        yield toy(5, "tim", 0.9, seed, transductive=True, seconds={"evaluate": 20.0})
    yield toy(5, "chance", 0.33, labels_seen=0)
    for explainer in ("siamcam", "grad_cam"):
        found = drawn(5, 0.9, 3, 30, 5)
        rows = explained([explainer, "sobel", "random"], found.items[:6])
        yield toy(5, "stn", 0.9, predictions=found, explainer=explainer, explanations=rows)
    eight = drawn(3, 0.97, 8, 160, 6)
    for method in ("stn", "supervised"):
        yield record(
            share=0.97, explainer=None, method=method, classes=PBC, predictions=eight, benchmark="pbc_8way_5shot",
            dataset="pbc", subset="pbc6000", backbone="tf_efficientnet_b3",
        )  # fmt: skip
    yield record(synthetic=True, benchmark="smear_2way_5shot", dataset="smear", image_size=64)


def hostile() -> Record:
    """Every text of a record that its schema leaves free, with HTML, template and control characters in it."""
    found = drawn(0, 0.8, 2)
    rows = explained(["siamcam", "random"], found.items[:6])
    named = rows.rows | {EVIL: rows.rows["random"].model_copy(update={"settings": {EVIL: EVIL}})}
    metrics = {
        name: row.model_copy(update={"figures": row.figures | {EVIL: row.figures["deletion"]}})
        for name, row in named.items()
    }
    return record(
        classes=[EVIL, "platelet"], predictions=found, dataset=EVIL, subset=EVIL, method_settings={EVIL: EVIL},
        command=f"zoo run; {EVIL}", device=EVIL, precision=EVIL, created=EVIL, weights=EVIL, code_sha256=EVIL,
        bank_sha256=EVIL, item_set_sha256=EVIL, weights_sha256=EVIL, benchmark_sha256=EVIL, versions={EVIL: EVIL},
        seconds={EVIL: 1.0, "train": 2.0}, explanations=rows.model_copy(update={"rows": metrics}),
    )  # fmt: skip


def write(root: Path, *found: Record) -> Path:
    """The records below `root`, with a gallery beside every explained one."""
    for one in found:
        path = store.write(one, root)
        if one.explainer:
            path.with_suffix(".png").write_bytes(png())
    return root


def of_cells() -> Iterator[CellRecord]:
    """Two models, one of them with two training seeds."""
    for seed in (0, 1):
        yield cell_records.record(seed)
    yield cell_records.record(0, 0.3, model="watershed", model_settings={"epochs": 0}, draw=5)


def hostile_cells() -> CellRecord:
    """As `hostile`, of a cell model."""
    return cell_records.record(
        benchmark="toy_cells", classes=[EVIL, "monocyte", "blast"], dataset=EVIL, subset=EVIL,
        model_settings={EVIL: EVIL}, command=f"zoo run; {EVIL}", device=EVIL, weights=EVIL, bank_sha256=EVIL,
        item_set_sha256=EVIL, weights_sha256=EVIL, benchmark_sha256=EVIL, seconds={EVIL: 1.0, "train": 2.0},
    )  # fmt: skip


def write_cells(root: Path, *found: CellRecord) -> Path:
    """The records of cells below `root`, each with a gallery."""
    for one in found:
        cell_store.write(one, root).with_suffix(".png").write_bytes(png())
    return root
