"""Any convolutional network of timm, by its timm name."""

from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.types import Backbone
from zoo.weights import timm_is_vit, timm_model


class TimmCNN(Backbone):
    """Cut after `forward_features`: the last feature map is `hidden`, pooling and neck are `embed`."""

    paper = "Wightman, PyTorch Image Models, 2019, doi 10.5281/zenodo.4414861"

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, weights: Path | None, pretrained: bool, seed: int) -> None:
        super().__init__()
        self.name = name
        self.network, mean, std = timm_model(name, weights, pretrained, seed)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.eval()
        with torch.inference_mode():
            hidden = self.network.forward_features(torch.zeros(1, 3, 64, 64))
            self._channels_last = hidden.shape[1] != self.network.num_features
            noise = torch.rand(hidden.shape, generator=torch.Generator().manual_seed(0))
            embedding = self.embed(noise)
            # Whether the head begins with a plain mean is measured, since timm has dozens of heads.
            self.mean_pooled = not self._channels_last and torch.allclose(
                embedding, self.neck(noise.mean((2, 3))), rtol=1e-4, atol=1e-5
            )
        self.dim = embedding.shape[1]

    @classmethod
    def known(cls) -> list[str]:
        import timm

        return [name for name in timm.list_models() if not timm_is_vit(name)]

    @classmethod
    def create(cls, name: str, weights: Path | None, pretrained: bool, seed: int) -> "TimmCNN":
        return cls(name, weights, pretrained, seed)

    def hidden(self, images: Tensor) -> Tensor:
        return self.network.forward_features((images - self.mean) / self.std)

    def trunk(self, images: Tensor) -> Tensor:
        """The last block is known of the networks whose stages stand in a row: the EfficientNet and ResNet kinds."""
        net, kind = self.network, type(self.network).__name__
        x = (images - self.mean) / self.std
        if kind == "EfficientNet":
            return net.blocks[:-1](net.bn1(net.conv_stem(x)))
        if kind == "ResNet":
            return net.layer3(net.layer2(net.layer1(net.maxpool(net.act1(net.bn1(net.conv1(x)))))))
        raise ZooError(f"backbone '{self.name}': its last block is not known; --set part=full tunes all of it")

    def tail(self, trunk: Tensor) -> Tensor:
        net = self.network
        return net.layer4(trunk) if hasattr(net, "layer4") else net.bn2(net.conv_head(net.blocks[-1](trunk)))

    def embed(self, hidden: Tensor) -> Tensor:
        return self.network.forward_head(hidden, pre_logits=True).flatten(1)

    def neck(self, pooled: Tensor) -> Tensor:
        return self.embed(pooled[:, :, None, None])

    def grid(self, hidden: Tensor) -> Tensor:
        return hidden.permute(0, 3, 1, 2) if self._channels_last else hidden

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """The end of every stage, as timm knows them; `hidden` alone of the few networks of which it does not."""
        if not hasattr(self.network, "forward_intermediates"):
            return super().pyramid(images)
        return self.network.forward_intermediates((images - self.mean) / self.std, intermediates_only=True)
