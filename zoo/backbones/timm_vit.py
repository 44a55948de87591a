"""Any plain vision transformer of timm, by its timm name."""

import math
from pathlib import Path

import torch
from torch import Tensor

from zoo.types import Backbone
from zoo.weights import timm_is_vit, timm_model


class TimmViT(Backbone):
    """With a class token, cut before the last block: there every patch still has its own token and the class
    token has yet to read them. Mean-pooled ones are cut after the last block."""

    paper = "Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021, arXiv 2010.11929"

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, weights: Path | None, pretrained: bool, seed: int) -> None:
        super().__init__()
        self.name = name
        self.network, mean, std = timm_model(name, weights, pretrained, seed, dynamic_img_size=True)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.eval()
        self.dim = self.network.num_features
        self.mean_pooled = self.network.global_pool == "avg" and self.network.attn_pool is None

    @classmethod
    def known(cls) -> list[str]:
        import timm

        return [name for name in timm.list_models() if timm_is_vit(name)]

    @classmethod
    def create(cls, name: str, weights: Path | None, pretrained: bool, seed: int) -> "TimmViT":
        return cls(name, weights, pretrained, seed)

    def hidden(self, images: Tensor) -> Tensor:
        if self.mean_pooled:
            return self.network.forward_features((images - self.mean) / self.std)
        return self.trunk(images)

    def trunk(self, images: Tensor) -> Tensor:
        [(patches, prefix)] = self.network.forward_intermediates(
            (images - self.mean) / self.std, indices=[len(self.network.blocks) - 2], return_prefix_tokens=True,
            stop_early=True, output_fmt="NLC", intermediates_only=True,
        )  # fmt: skip
        return torch.cat([prefix, patches], 1)

    def tail(self, trunk: Tensor) -> Tensor:
        return self.network.norm(self.network.blocks[-1](trunk)) if self.mean_pooled else trunk

    def embed(self, hidden: Tensor) -> Tensor:
        if not self.mean_pooled:
            hidden = self.network.norm(self.network.blocks[-1](hidden))
        return self.network.forward_head(hidden, pre_logits=True)

    def neck(self, pooled: Tensor) -> Tensor:
        return self.network.head_drop(self.network.fc_norm(pooled))

    def grid(self, hidden: Tensor) -> Tensor:
        patches = hidden[:, self.network.num_prefix_tokens :]
        side = math.isqrt(patches.shape[1])
        return patches.transpose(1, 2).unflatten(2, (side, side))
