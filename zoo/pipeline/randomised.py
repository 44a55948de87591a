"""Classifiers that ought to know nothing: the backbone's weights shuffled, or the labels of the supports."""

import copy
from dataclasses import replace

import numpy as np
import torch

from zoo.explaining import Classifier
from zoo.pipeline.scene import Scene
from zoo.record import Episode


def shuffled_weights(scene: Scene, random: torch.Generator) -> Scene:
    """The scene with the numbers of every weight and bias of the backbone in random places.

    Each tensor keeps its values, so that activations keep their size; fresh random weights would need fresh batch
    statistics. Learned parts beside the backbone stay as they are.
    """
    backbone = copy.deepcopy(scene.backbone)
    with torch.no_grad():
        for weight in backbone.parameters():
            order = torch.randperm(weight.numel(), generator=random).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return replace(scene, backbone=backbone)


def shuffled_labels(episode: Episode, random: torch.Generator) -> Episode:
    """The episode with its supports dealt to the classes at random, as many each as before."""
    order = np.arange(len(episode.support))
    while (episode.support_labels[order] == episode.support_labels).all():
        order = torch.randperm(len(order), generator=random).numpy()
    return episode._replace(support=episode.support[order])


def refitted(scene: Scene, episode: Episode, numbers: np.ndarray) -> Classifier:
    """The classifier of an episode whose backbone or supports are not the real ones.

    A transductive method sees the queries `numbers` alone, embedded anew.
    """
    if scene.method.transductive:
        with torch.no_grad():
            seen = scene.method.features(scene.backbone, scene.backbone.hidden(scene.images(numbers)))
        features = torch.zeros_like(scene.features)
        features[torch.as_tensor(numbers, device=features.device)] = seen
        labels = np.zeros(len(numbers), np.int64)  # no method sees them
        scene, episode = replace(scene, features=features), episode._replace(query=numbers, query_labels=labels)
    return scene.classifier(episode)
