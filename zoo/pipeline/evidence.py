"""What heads on a backbone say of images, and what is lost with the pixels that their words rest on."""

import torch
from torch import Tensor

from zoo.attribute_heads import Reading
from zoo.attributes import describe
from zoo.explaining import Classifier, Drops
from zoo.perturbation import BATCH, pixel_rank

SHARE = 0.2
"""Of the pixels, the most salient, that are taken away to see what is lost with them."""


@torch.no_grad()
def drops(
    reading: Reading, classifier: Classifier, images: Tensor, maps: Tensor, fill: Tensor, target: Tensor,
    temperature: float,
) -> Drops:  # fmt: skip
    """What the words and the target's probability lose when the top fifth of the pixels of a map turns into the
    colour `fill` (3,).

    maps (n, a, H, W): each attribute loses by its own; (n, 1, H, W): all by the same.
    """

    def ask(images: Tensor) -> tuple[Tensor, Tensor]:
        said, sure = [], []
        for part, own in zip(images.split(BATCH), target.split(BATCH), strict=True):
            hidden = classifier.backbone.hidden(part)
            same = classifier.backbone is reading.backbone
            embeddings = reading.backbone.embed(hidden) if same else reading.backbone(part)
            said.append(reading.heads.probabilities(embeddings.float()))
            scores = classifier.from_hidden(hidden) / temperature
            sure.append(scores.softmax(1).gather(1, own[:, None]).squeeze(1))
        return torch.cat(said), torch.cat(sure)

    probabilities, whole = ask(images)
    words = reading.heads.words(probabilities)
    before = reading.heads.likelihood(probabilities, words)
    blank, count = fill.to(images)[:, None, None], round(SHARE * maps[0, 0].numel())
    lost, lost_of_target = [], []
    for number in range(maps.shape[1]):
        gone = pixel_rank(maps[:, number]) < count
        told, sure = ask(torch.where(gone.unsqueeze(1), blank, images))
        fall = before - reading.heads.likelihood(told, words)
        lost.append(fall[:, number] if maps.shape[1] > 1 else fall.mean(1))
        lost_of_target.append(whole - sure)
    return Drops(*(torch.stack(part, 1).mean(1) for part in (lost, lost_of_target)))


@torch.no_grad()
def phrases(reading: Reading, images: Tensor) -> list[str]:
    """A line of words for each image."""
    heads = reading.heads
    said = heads.words(reading.told(images)).tolist()
    return [describe({one.name: one.values[k] for one, k in zip(heads.attributes, row, strict=True)}) for row in said]
