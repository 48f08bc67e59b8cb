"""Build MobileNetV1 and V2 with random weights as .tflite files, float and int8.

    python benchmarks/mobilenets.py FOLDER

Latency does not depend on the weights, only on the shapes; these are those of the papers, for
images of 224 x 224.
"""

import subprocess
import sys
from pathlib import Path

import litert_torch
import numpy as np
import torch
from torch import Tensor, nn

IMAGE = (1, 224, 224, 3)
V1_BLOCKS = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]
V1_BLOCKS += [(256, 512, 2), *[(512, 512, 1)] * 5, (512, 1024, 2), (1024, 1024, 1)]
# expansion, channels, repetitions, stride (MobileNetV2, table 2)
V2_STAGES = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
V2_STAGES += [(6, 160, 3, 2), (6, 320, 1, 1)]


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Return a convolution with batch norm and ReLU6."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class Inverted(nn.Module):
    """The block of MobileNetV2: expand, filter each channel, project, and add."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        """Take the channels before and after."""
        super().__init__()
        hidden = inputs * expansion
        widen = [] if expansion == 1 else [conv(inputs, hidden, 1)]
        project = nn.Sequential(nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.body = nn.Sequential(*widen, conv(hidden, hidden, 3, stride, hidden), project)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """Return what the block makes of `[rows, channels, height, width]`."""
        found: Tensor = self.body(images)
        return images + found if self.adds else found


class Classifier(nn.Module):
    """Features, their average, and 1000 classes; takes channels last, as TFLite does."""

    def __init__(self, features: nn.Sequential, channels: int) -> None:
        """Take the features and how many channels come out of them."""
        super().__init__()
        self.features = features
        self.head = nn.Linear(channels, 1000)

    def forward(self, images: Tensor) -> Tensor:
        """Return class probabilities for images `[rows, height, width, 3]`."""
        found = self.features(images.permute(0, 3, 1, 2)).mean((2, 3))
        return torch.softmax(self.head(found), 1)


def mobilenet_v1() -> Classifier:
    """Return MobileNetV1 of width 1.0."""
    blocks = [
        nn.Sequential(conv(inputs, inputs, 3, stride, inputs), conv(inputs, outputs, 1))
        for inputs, outputs, stride in V1_BLOCKS
    ]
    return Classifier(nn.Sequential(conv(3, 32, 3, 2), *blocks), 1024)


def mobilenet_v2() -> Classifier:
    """Return MobileNetV2 of width 1.0."""
    layers: list[nn.Module] = [conv(3, 32, 3, 2)]
    channels = 32
    for expansion, outputs, repetitions, stride in V2_STAGES:
        for index in range(repetitions):
            layers.append(Inverted(channels, outputs, 1 if index else stride, expansion))
            channels = outputs
    return Classifier(nn.Sequential(*layers, conv(channels, 1280, 1)), 1280)


def main() -> int:
    """Write both networks, float and int8, and return the exit code."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).normal(size=(8, *IMAGE[1:])).astype(np.float32)
    np.savez(folder / "images.npz", image=images)
    for name, build in (("mobilenet_v1", mobilenet_v1), ("mobilenet_v2", mobilenet_v2)):
        path = f"{folder / name}.tflite"
        litert_torch.convert(build().eval(), (torch.randn(IMAGE),)).export(path)
        quantize = [sys.executable, "-m", "edgekit", "quantize", path, "--force", "--quiet"]
        quantize += ["--calib", str(folder / "images.npz"), "--out", f"{folder / name}.int8.tflite"]
        subprocess.run(quantize, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
