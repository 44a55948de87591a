"""Cards: what a dataset is, where it comes from and how it lies on disk."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zoo import paths
from zoo.errors import ZooError, unknown

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
Text = Annotated[str, Field(min_length=1)]
Hash = Annotated[str, Field(pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}|)$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Download(_Strict):
    """One file to fetch."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    hash: Hash = ""
    """`md5:...` or `sha256:...`; empty where the source publishes none: then names and counts are checked alone."""
    side: int = 0
    """For files that differ only in the size of the pictures: that size. `get` takes the card's own `side`."""


class Exclude(_Strict):
    """A file of the dataset that is left out, always."""

    name: Text
    reason: Text


class Subset(_Strict):
    """A named part of the dataset that somebody may have instead of the whole."""

    name: Name
    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]
    """List of item names, one a line, beside the card."""
    note: Text


class Card(_Strict):
    """One dataset."""

    name: Name
    title: Text
    licence: Text
    source: Text
    citation: Text
    layout: Literal["folders", "pairs", "npz", "generated", "bccd", "leukox", "crops", "attributes"]
    """folders: one folder a class; pairs: images beside masks, classes in a CSV; npz: MedMNIST arrays;
    generated: drawn by `zoo.data.smear`; bccd, leukox: fields of view, whose items are the cells cropped from them;
    crops: cells cropped from the fields of another card; attributes: tables of words on PBC's images, which
    make the fields."""
    folder: str
    """Below the data root."""
    classes: tuple[Text, ...]
    crop: Annotated[int, Field(ge=0)]
    side: Annotated[int, Field(ge=8, le=1024)]
    synthetic: bool = False
    masks: bool = False
    per_class: Annotated[int, Field(ge=0)] = 0
    """Items drawn per class, for `generated` alone."""
    fields: Annotated[int, Field(ge=0)] = 0
    """Fields of view, published or drawn; 0 where there are none."""
    field_side: Annotated[int, Field(ge=0, le=2048)] = 0
    """Longer side of a packed field in pixels."""
    of: str = ""
    """For `crops`: the card with the fields."""
    by_hand: str = ""
    """What to do where the dataset cannot be downloaded."""
    counts: dict[str, int] = {}
    """Files per class when the dataset is whole."""
    downloads: tuple[Download, ...] = ()
    exclude: tuple[Exclude, ...] = ()
    subsets: tuple[Subset, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Card":
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise ValueError("classes must be two or more, each once")
        if self.counts and set(self.counts) != set(self.classes):
            raise ValueError("counts must name every class and no other")
        if (self.layout == "generated") != bool(self.per_class):
            raise ValueError("per_class belongs to a generated dataset, and to no other")
        if bool(self.fields) != bool(self.field_side):
            raise ValueError("fields and field_side belong together")
        if self.layout in ("bccd", "leukox") and not self.fields:
            raise ValueError("a dataset of fields needs fields and field_side")
        if (self.layout == "crops") != bool(self.of):
            raise ValueError("of belongs to layout crops, and to no other")
        drawn = self.layout in ("generated", "crops")
        if not drawn and (not self.folder or self.folder.startswith("/") or ".." in self.folder):
            raise ValueError("folder must lie below the data root")
        return self

    @property
    def root(self) -> Path:
        """Where the dataset's files are, or would be."""
        return paths.data() / self.folder

    @property
    def present(self) -> bool:
        """Whether the data are there; looks at names only."""
        if self.layout == "generated":
            return True
        if self.layout == "crops":
            return read(self.of).present
        patterns = {
            "npz": ("*.npz",), "pairs": ("Class Labels of *.csv",), "folders": [f"{c}/*.*" for c in self.classes],
            "bccd": ("JPEGImages/*.*",), "leukox": ("*/inputs/*.pt",),
            "attributes": [item.file for item in self.downloads],
        }  # fmt: skip
        found = (file for pattern in patterns[self.layout] for file in self.root.glob(pattern))
        return any(not file.name.startswith(".") for file in found)

    def needed(self) -> None:
        """ZooError where the data are not there."""
        if self.layout == "crops":
            read(self.of).needed()
        elif not self.present:
            get = f"`zoo data get {self.name}"
            by_hand = f"{self.by_hand}, then {get} --from FILE_OR_FOLDER`"
            how = f"{get}` fetches the dataset" if self.downloads else by_hand
            raise ZooError(
                f"{self.name}: no data in {self.root}; {how}, "
                f"or set ZOO_DATA to the folder that holds '{Path(self.folder).parts[0]}'"
            )

    def listed(self, subset: Subset) -> frozenset[str]:
        """Item names of a named subset."""
        file = paths.cards() / self.name / subset.file
        try:
            return frozenset(file.read_text("utf-8").split("\n")) - {""}
        except OSError:
            raise ZooError(f"{file}: the list of subset '{subset.name}' is missing; reinstall hemazoo") from None


def names() -> list[str]:
    """Names of all cards, sorted."""
    return sorted(file.parent.name for file in paths.cards().glob("*/card.toml"))


def read(name: str) -> Card:
    """The card of a dataset."""
    if name not in names():
        raise unknown("dataset", name, names(), "zoo data list")
    return _parsed(paths.cards() / name / "card.toml")


@lru_cache
def _parsed(file: Path) -> Card:
    try:
        card = Card.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ZooError(f"{file}: not a TOML file: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ZooError(f"{file}: {'.'.join(map(str, first['loc'])) or 'card'}: {first['msg']}") from None
    if card.name != file.parent.name:
        raise ZooError(f"{file}: name is '{card.name}', the folder is '{file.parent.name}'; make them the same")
    return card
