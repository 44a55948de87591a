"""Which explained queries the gallery shows, and all that it shows of each."""

from collections.abc import Sequence

import numpy as np

from zoo import ops
from zoo.explaining import Explainer
from zoo.pipeline.evidence import phrases
from zoo.pipeline.explain import Asked
from zoo.pipeline.gallery import Case, choose_cases
from zoo.pipeline.scene import Scene


def to_show(asked: Sequence[Asked], correct: Sequence[bool], confidence: Sequence[float]) -> list[Asked]:
    """The few queries worth a picture, right and wrong ones, still episode by episode."""
    labels = np.concatenate([part.episode.query_labels[part.query] for part in asked])
    chosen = np.zeros(len(labels), bool)
    chosen[choose_cases(correct, confidence, labels=labels.tolist())] = True
    ends = np.cumsum([len(part.query) for part in asked])[:-1]
    shown = [
        Asked(part.episode, part.query[here]) for part, here in zip(asked, np.split(chosen, ends), strict=True)
    ]
    return [part for part in shown if len(part.query)]


def cases(scene: Scene, explainer: Explainer, shown: Sequence[Asked], seed: int) -> list[Case]:
    """Explain the chosen queries once more, this time keeping the maps."""
    names, pixels = scene.items.classes, scene.items.pixels
    found = []
    for episode, query in shown:
        numbers, classifier = episode.query[query], scene.classifier(episode)
        images = scene.images(numbers)
        scores = classifier(images)
        explanation = explainer.explain_with(classifier, images, scores.argmax(1), seed, scene.masks(numbers))
        saliency = ops.upsample(explanation.saliency, *images.shape[2:]).cpu().numpy()
        words = phrases(scene.heads, images) if scene.heads else [""] * len(images)
        for row, number in enumerate(numbers):
            predicted = int(scores[row].argmax())
            support = episode.support[episode.support_labels == predicted]
            on_support = None
            if explanation.support_saliency is not None:
                on_support = ops.upsample(explanation.support_saliency[row], *images.shape[2:]).cpu().numpy()
            found.append(Case(
                name=scene.items.names[number],
                image=np.asarray(pixels[number]),
                saliency=saliency[row],
                truth=names[episode.classes[episode.query_labels[query[row]]]],
                predicted=names[episode.classes[predicted]],
                dissimilarity={names[c]: -float(s) for c, s in zip(episode.classes, scores[row], strict=True)},
                supports=np.asarray(pixels[support]),
                support_saliency=on_support,
                words=words[row],
                support_names=[scene.items.names[number] for number in support],
            ))  # fmt: skip
    return found
