"""Tiny PyTorch models of many families, with random weights and inputs that they take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.core.model import Model
from edgekit.core.samples import Samples, save_samples
from edgekit.core.tensors import Array
from edgekit.loading.trial import find_signature


def conv_bn(inputs: int, outputs: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class Mobile(nn.Module):
    """Depthwise separable convolutions."""

    def __init__(self, width: int = 8, classes: int = 4) -> None:
        super().__init__()
        self.stem = conv_bn(1, width, stride=2)
        self.depthwise = conv_bn(width, width, groups=width)
        self.pointwise = nn.Sequential(nn.Conv2d(width, 2 * width, 1), nn.ReLU6())
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.pointwise(self.depthwise(self.stem(images)))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class Residual(nn.Module):
    """A block that adds its input to what it computes."""

    def __init__(self, width: int = 8, classes: int = 4) -> None:
        super().__init__()
        self.stem = conv_bn(1, width, stride=2)
        self.inner = conv_bn(width, width)
        self.outer = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        features = torch.relu(features + self.outer(self.inner(features)))
        logits: Tensor = self.head(features.flatten(1))
        return logits


class Dense(nn.Module):
    """Layers that read everything before them, the image included."""

    def __init__(self, growth: int = 6, classes: int = 4) -> None:
        super().__init__()
        self.first = conv_bn(1, growth)
        self.second = conv_bn(1 + growth, growth)
        self.third = conv_bn(1 + 2 * growth, growth)
        self.head = nn.Linear(1 + 3 * growth, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = images
        for layer in (self.first, self.second, self.third):
            features = torch.cat([features, layer(features)], dim=1)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class Grouped(nn.Module):
    """A convolution in two groups, and a group norm."""

    def __init__(self, width: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.GroupNorm(2, width)
        self.grouped = nn.Conv2d(width, width, 3, padding=1, groups=2)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.grouped(torch.relu(self.norm(self.stem(images)))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class Autoencoder(nn.Module):
    """Down and up again; the output has the shape of the input."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.encode = nn.Conv2d(1, width, 3, stride=2, padding=1)
        self.decode = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.out = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        return torch.sigmoid(self.out(torch.relu(self.decode(torch.relu(self.encode(images))))))


class Perceptron(nn.Module):
    """Two linear layers; says what it returns by name."""

    def __init__(self, features: int = 6, hidden: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.hidden = nn.Linear(features, hidden)
        self.head = nn.Linear(hidden, classes)

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        hidden = torch.relu(self.hidden(features))
        return {"logits": self.head(hidden), "hidden": hidden}


class TwoInputs(nn.Module):
    """An image and a vector in, one number out."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.look = nn.Conv2d(1, width, 3)
        self.know = nn.Linear(6, width)
        self.head = nn.Linear(2 * width, 1)

    def forward(self, images: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.relu(self.look(images)).mean((2, 3))
        joined = torch.cat([seen, torch.relu(self.know(features))], dim=1)
        value = self.head(joined)
        return value, torch.tanh(value)


class Recurrent(nn.Module):
    """A GRU, an LSTM or a vanilla RNN over a sequence, read at its end."""

    def __init__(self, layer: type[nn.RNNBase] = nn.GRU, classes: int = 4) -> None:
        super().__init__()
        make: Callable[..., nn.RNNBase] = layer
        self.sequence = make(6, 8, batch_first=True)
        self.head = nn.Linear(8, classes)

    def forward(self, steps: Tensor) -> Tensor:
        outputs, _ = self.sequence(steps)
        logits: Tensor = self.head(outputs[:, -1])
        return logits


class Attention(nn.Module):
    """Self-attention over tokens, written by hand."""

    def __init__(self, words: int = 20, width: int = 8, classes: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        words = self.embed(tokens)
        scores = torch.einsum("bqc,bkc->bqk", self.query(words), self.key(words))
        mixed = torch.einsum("bqk,bkc->bqc", torch.softmax(scores, -1), self.value(words))
        logits: Tensor = self.head(self.norm(words + mixed).mean(1))
        return logits


class Encoder(nn.Module):
    """PyTorch's own Transformer encoder layer."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(self.embed(tokens)).mean(1))
        return logits


@dataclass(frozen=True)
class Family:
    """How to build a model, and the shape of one sample of each of its inputs."""

    build: Callable[[], nn.Module]
    inputs: Mapping[str, tuple[int, ...]]


IMAGES: Mapping[str, tuple[int, ...]] = {"images": (1, 8, 8)}
CONVOLUTIONAL = {
    "mobile": Family(Mobile, IMAGES),
    "residual": Family(Residual, IMAGES),
    "dense": Family(Dense, IMAGES),
    "grouped": Family(Grouped, IMAGES),
    "autoencoder": Family(Autoencoder, IMAGES),
    "two_inputs": Family(TwoInputs, {**IMAGES, "features": (6,)}),
}
RECURRENT = {
    "rnn": Family(lambda: Recurrent(nn.RNN), {"steps": (5, 6)}),
    "gru": Family(lambda: Recurrent(nn.GRU), {"steps": (5, 6)}),
    "lstm": Family(lambda: Recurrent(nn.LSTM), {"steps": (5, 6)}),
}
ATTENTION = {
    "attention": Family(Attention, {"tokens": (7,)}),
    "encoder": Family(Encoder, {"tokens": (7,)}),
}
FAMILIES = {
    **CONVOLUTIONAL,
    "perceptron": Family(Perceptron, {"features": (6,)}),
    **RECURRENT,
    **ATTENTION,
}


def inputs_for(family: str, rows: int, seed: int = 0) -> dict[str, Array]:
    """Return random inputs: float32 from a normal distribution, token numbers below 20."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {}
    for name, shape in FAMILIES[family].inputs.items():
        if name == "tokens":
            arrays[name] = rng.integers(0, 20, (rows, *shape))
        else:
            arrays[name] = rng.standard_normal((rows, *shape), dtype=np.float32)
    return arrays


def samples_for(
    family: str, directory: Path, *, rows: int = 16, classes: int = 4, seed: int = 0
) -> Samples:
    """Return random inputs with random class labels, stored in `directory`."""
    labels = np.random.default_rng(seed + 1).integers(0, classes, rows)
    return save_samples(directory, inputs_for(family, rows, seed), labels)


def model_for(family: str, samples: Samples, seed: int = 0) -> Model:
    """Return a model of the family in eval mode; batch norms carry statistics of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = FAMILIES[family].build()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                assert part.running_mean is not None
                assert part.running_var is not None
                nn.init.normal_(part.running_mean, std=0.1)
                nn.init.uniform_(part.running_var, 0.5, 1.5)
                nn.init.uniform_(part.weight, 0.5, 1.5)
                nn.init.normal_(part.bias, std=0.1)
    module.eval()
    return Model(module, find_signature(module, samples), history=())
