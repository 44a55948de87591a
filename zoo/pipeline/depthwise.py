"""A fast gradient for strided and for large depthwise convolutions in bf16 on the CPU.

oneDNN has no vectorised kernel for the input gradient of a strided depthwise convolution in bf16: for 96 channels
of 80 x 80 it takes 440 ms a batch of 64 where the forward pass takes 9. Spreading the output's gradient with zeros
and convolving it with the flipped kernel at stride 1 gives the same numbers through the fast forward kernel.

Nor has it one for kernels of 5 x 5 and more, at any stride, neither for the input nor for the weight: in
`tf_efficientnet_lite0` they take two thirds of a step. There is one in float32, which is a little more exact besides.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, None, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        [gradient] = gradients
        x, weight = ctx.saved_tensors
        kernel, stride, padding, channels = weight.shape[-1], ctx.stride, ctx.padding, len(weight)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if kernel > 3:
            exact = torch.promote_types(x.dtype, torch.float32)
            wide = (tensor.to(exact) for tensor in (gradient, x, weight))
            for_input, for_weight, _ = torch.ops.aten.convolution_backward(
                *wide, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], channels,
                [ctx.needs_input_grad[0], True, False],
            )  # fmt: skip
            return for_input.to(x.dtype) if ctx.needs_input_grad[0] else None, for_weight.to(weight.dtype), None, None
        for_weight = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], channels,
            [False, True, False],
        )[1]  # fmt: skip
        if not ctx.needs_input_grad[0]:
            return None, for_weight, None, None
        places = [side + 2 * padding - kernel + 1 for side in x.shape[-2:]]
        spread = torch.empty(
            (len(x), channels, *places), dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last
        ).zero_()  # `torch.zeros` knows no memory format: another copy
        spread[:, :, ::stride, ::stride] = gradient
        for_input = F.conv2d(spread, weight.flip(2, 3), None, 1, kernel - 1 - padding, groups=channels)
        return for_input, for_weight, None, None


class _Fast(nn.Conv2d):
    pads_like_tensorflow = False

    def forward(self, input: Tensor) -> Tensor:
        padding = int(self.padding[0])
        if self.pads_like_tensorflow:  # first, and unevenly
            from timm.layers.padding import pad_same

            input, padding = pad_same(input, list(self.kernel_size), list(self.stride)), 0
        return _Depthwise.apply(input, self.weight.to(input.dtype), self.stride[0], padding)  # type: ignore[return-value]


class _FastSame(_Fast):
    pads_like_tensorflow = True


def _slow_depthwise(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        isinstance(module, nn.Conv2d)
        and not isinstance(module, _Fast)  # a network may be copied, and copied again, within it
        and module.groups == module.in_channels == module.out_channels > 1
        and module.stride[0] == module.stride[1]
        and max(module.stride[0], module.kernel_size[0] - 2) > 1
        and module.kernel_size[0] == module.kernel_size[1]
        and module.dilation == (1, 1)
        and module.bias is None
        and not isinstance(module.padding, str)
        and module.padding[0] == module.padding[1]
    )


@contextmanager
def fast_depthwise(network: nn.Module, enabled: bool) -> Iterator[None]:
    """Within it, strided and large depthwise convolutions of `network` use the fast gradient."""
    # Their class is changed, not their `forward`: methods that copy a network in every episode would otherwise copy
    # a function that is bound to the original's weights.
    before = {module: type(module) for module in network.modules() if enabled and _slow_depthwise(module)}
    for conv, kind in before.items():
        conv.__class__ = _FastSame if kind.__name__ == "Conv2dSame" else _Fast
    try:
        yield
    finally:
        for conv, kind in before.items():
            conv.__class__ = kind
