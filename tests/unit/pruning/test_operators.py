"""Units are followed through what operators do to them, or stay where that is not known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.pruned import pruned_alone
from torch import Tensor, nn
from torch.nn import functional

from edgekit.pruning.settings import PruneSettings


class Between(nn.Module):
    """Two convolutions over images of 8 x 8, something between them, and a linear layer."""

    def __init__(
        self, between: Callable[[Tensor], Tensor], reads: int = 8, makes: int = 8, groups: int = 1
    ) -> None:
        super().__init__()
        self.first, self.between = nn.Conv2d(1, makes, 3, padding=1), between
        self.second = nn.Conv2d(reads, 8, 3, padding=1, groups=groups)
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        features = torch.relu(self.second(self.between(self.first(images))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


def shuffled(value: Tensor) -> Tensor:
    rows, channels, high, wide = value.shape
    return value.view(rows, 2, channels // 2, high, wide).transpose(1, 2).reshape(value.shape)


def padded(value: Tensor) -> Tensor:
    return functional.pad(value, (1, 0, 0, 0, 2, 2))


def joined_with_zeros(value: Tensor) -> Tensor:
    return torch.cat([value, value.new_zeros(len(value), 2, *value.shape[2:])], 1)


def split_and_swapped(value: Tensor) -> Tensor:
    first, second = value.chunk(2, 1)
    return torch.cat([torch.relu(second), first], 1)


def last_rows(value: Tensor) -> Tensor:
    return value[:, :, torch.arange(4, 8)].flip(2).roll(1, 3)


def scaled_by_step(value: Tensor) -> Tensor:
    return value * torch.arange(8.0) + torch.linspace(0, 1, 8)[:, None]


def stacked(value: Tensor) -> Tensor:
    return torch.stack([value, value * 2]).sum(0)


def normed(value: Tensor) -> Tensor:
    return functional.normalize(value, dim=1)


def gathered(value: Tensor) -> Tensor:
    places = torch.zeros(len(value), value.shape[1], 1, 8, dtype=torch.int64)
    return value.gather(2, places)


def blurred(value: Tensor) -> Tensor:
    kernel = torch.ones(value.shape[1], 1, 3, 3) / 9
    return functional.conv2d(value, kernel, padding=1, groups=value.shape[1])


def averaged_apart(value: Tensor) -> Tensor:
    alone = functional.conv2d(value.flatten(0, 1)[:, None], torch.ones(1, 1, 2, 2))
    return alone.view(*value.shape[:2], *alone.shape[2:])


def written(value: Tensor) -> Tensor:
    value = value.clone()
    value[:, :, 0] = value[:, :, 1]
    return value


FOLLOWED: dict[str, tuple[Callable[[Tensor], Tensor], int, int, int]] = {
    "shuffled": (shuffled, 8, 8, 2),
    "padded": (padded, 12, 8, 1),
    "joined with zeros": (joined_with_zeros, 10, 8, 1),
    "split and swapped": (split_and_swapped, 8, 8, 1),
    "halved by a gate": (nn.GLU(1), 4, 8, 1),
    "pixels shuffled": (nn.PixelShuffle(2), 2, 8, 1),
    "pooled and blown up": (nn.Sequential(nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), 8, 8, 1),
    "instance norm": (nn.InstanceNorm2d(8, affine=True), 8, 8, 1),
    "group norm": (nn.GroupNorm(2, 8), 8, 8, 1),
    "depthwise and up": (nn.ConvTranspose2d(8, 8, 2, stride=2, groups=8), 8, 8, 1),
    "up in groups": (nn.ConvTranspose2d(8, 8, 2, stride=2, groups=2), 8, 8, 1),
    "two filters a channel": (nn.Conv2d(8, 16, 3, groups=8), 16, 8, 1),
    "last rows": (last_rows, 8, 8, 1),
    "scaled by step": (scaled_by_step, 8, 8, 1),
    "stacked": (stacked, 8, 8, 1),
    "normed": (normed, 8, 8, 1),
    "gathered": (gathered, 8, 8, 1),
    "blurred": (blurred, 8, 8, 1),
    "averaged apart": (averaged_apart, 8, 8, 1),
    "written": (written, 8, 8, 1),
}


def images(rows: int = 4) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal((rows, 1, 8, 8), dtype=np.float32)


@pytest.mark.parametrize("name", list(FOLLOWED))
def test_channels_are_followed(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    between, reads, makes, groups = FOLLOWED[name]
    module = Between(between, reads, makes, groups)

    after = pruned_alone(module, tmp_path, PruneSettings(50.0), images=images()).module

    assert isinstance(after, Between)
    assert (after.first.out_channels, after.second.out_channels) == (4, 4)
    assert after(torch.from_numpy(images(3))).shape == (3, 3)


def test_groups_that_are_left_with_one_channel_each_stay_groups(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3, groups=4), nn.Conv2d(16, 3, 4), nn.Flatten()
    )

    after = pruned_alone(module, tmp_path, PruneSettings(50.0), input=images()).module

    grouped = after.get_submodule("1")
    assert isinstance(grouped, nn.Conv2d)
    assert (grouped.in_channels, grouped.out_channels, grouped.groups) == (4, 8, 4)
    assert after(torch.from_numpy(images(3))).shape == (3, 3)


STOPPED: dict[str, Callable[[Tensor], Tensor]] = {
    "sort": lambda value: value.sort(dim=1).values,
    "softmax": lambda value: value.softmax(1),
    "one channel": lambda value: value * value[:, 3:4].mean(1, keepdim=True) * value[:, 2, None],
    "a scale for each channel": lambda value: value * torch.arange(8.0)[:, None, None],
    "products": lambda value: (
        value.mean((2, 3))[:, :, None, None] * value.mean((1, 3))[:, None, :, None]
    ),
}


@pytest.mark.parametrize("name", list(STOPPED))
def test_channels_stay_where_others_would_change(name: str, tmp_path: Path) -> None:
    module = Between(STOPPED[name]).eval()

    model = pruned_alone(module, tmp_path, PruneSettings(50.0), images=images())

    assert isinstance(model.module, Between)
    assert (model.module.first.out_channels, model.module.second.out_channels) == (8, 4)
    # Only what is not known is said to be so; what the code says by number needs no words.
    assert ("otherwise: first" in model.history[-1].summary) == (name == "sort")


def test_weights_that_no_layer_owns_lose_slices(tmp_path: Path) -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.into = nn.Parameter(torch.randn(64, 8))
            self.scale = nn.Parameter(torch.randn(8))
            self.out = nn.Parameter(torch.randn(3, 8))

        def forward(self, images: Tensor) -> Tensor:
            return functional.linear(
                torch.relu(images.flatten(1) @ self.into) * self.scale, self.out
            )

    after = pruned_alone(Functional(), tmp_path, PruneSettings(50.0), images=images()).module

    assert {name: tuple(value.shape) for name, value in after.named_parameters()} == {
        "into": (64, 4),
        "scale": (4,),
        "out": (3, 4),
    }


def test_bags_of_words_lose_width(tmp_path: Path) -> None:
    module = nn.Sequential(nn.EmbeddingBag(20, 8), nn.Linear(8, 3))
    words = np.random.default_rng(0).integers(0, 20, (4, 5))

    after = pruned_alone(module, tmp_path, PruneSettings(50.0), input=words).module

    assert after.get_submodule("0").embedding_dim == 4
