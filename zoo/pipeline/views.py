"""A backbone that looks at an image from several sides: `NAME@8` is the backbone NAME, its maps averaged."""

import torch
from torch import Tensor

from zoo.attribution import probe
from zoo.errors import ZooError
from zoo.types import Backbone

SIDES = {2: ((0, False), (0, True)), 4: tuple((turn, False) for turn in range(4))}
"""Number of views -> (quarter turns, mirrored) of each: an image and its mirror image, the four turns, or both."""
SIDES[8] = tuple((turn, mirrored) for turn in range(4) for mirrored in (False, True))


def parse(name: str) -> tuple[str, int]:
    """`mobilenetv2_100@8` -> its backbone's own name and 8; 1 view of a name without. ZooError for another number."""
    own, mark, views = name.partition("@")
    if mark and views not in map(str, SIDES):
        raise ZooError(f"--backbone {name}: a backbone looks at {', '.join(map(str, SIDES))} views; give {own}@8")
    return own, int(views or 1)


def looks(name: str, adapts: bool, method: str) -> tuple[str, int]:
    """A backbone's own name and its number of views; ZooError for views of one that changes in each episode."""
    own, views = parse(name)
    if views > 1 and adapts:
        raise ZooError(f"--backbone {name}: {method} changes the backbone in each episode; give {own}, one view")
    return own, views


def turned(backbone: Backbone, views: int) -> Backbone:
    """The backbone on so many views of each image. ZooError where it has no maps whose mean is the embedding."""
    if views == 1:
        return backbone
    with torch.no_grad():
        maps = backbone.hidden(probe(backbone)).ndim == 4
    if not (maps and backbone.mean_pooled):
        raise ZooError(
            f"--backbone {backbone.name}@{views}: views are averaged as maps, and its embedding is no mean of maps; "
            f"give {backbone.name}"
        )
    return Turned(backbone, views)


class Turned(Backbone):
    """Maps averaged over turns and mirror images, each turned back: what an image shows does not depend on how it lay
    under the microscope. With 8 views, turning the image turns the maps and leaves the embedding as it is. As the maps
    stay aligned with the image, every explainer reads them as those of one view."""

    def __init__(self, backbone: Backbone, views: int) -> None:
        super().__init__()
        self.inner, self.views = backbone, views
        self.name, self.dim, self.mean_pooled = f"{backbone.name}@{views}", backbone.dim, backbone.mean_pooled

    def hidden(self, images: Tensor) -> Tensor:
        total: Tensor | None = None
        for turn, mirrored in SIDES[self.views]:
            seen = torch.rot90(images.flip(3) if mirrored else images, turn, (2, 3))
            maps = self.inner.hidden(seen.contiguous(memory_format=torch.channels_last)).float()
            maps = torch.rot90(maps, -turn, (2, 3))
            maps = maps.flip(3) if mirrored else maps
            total = maps if total is None else total + maps
        assert total is not None
        return total / self.views

    def embed(self, hidden: Tensor) -> Tensor:
        return self.inner.embed(hidden)

    def neck(self, pooled: Tensor) -> Tensor:
        return self.inner.neck(pooled)

    def grid(self, hidden: Tensor) -> Tensor:
        return self.inner.grid(hidden)
