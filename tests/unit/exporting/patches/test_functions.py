from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgekit.core.artifact import Format
from edgekit.core.model import Model
from edgekit.core.samples import save_samples
from edgekit.core.tensors import Array
from edgekit.exporting.export import export
from edgekit.exporting.patches.functions import functions_spelled_out
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.trial import find_signature

# PyTorch's exporter warns about itself.
pytestmark = pytest.mark.filterwarnings("ignore")

TOKENS = torch.tensor([[1, 2, 0], [0, 0, 0], [5, 1, 1]])


@pytest.mark.parametrize(
    "layer",
    [
        nn.EmbeddingBag(6, 4, mode="sum"),
        nn.EmbeddingBag(6, 4, mode="mean"),
        nn.EmbeddingBag(6, 4, mode="max"),
        nn.EmbeddingBag(6, 4, mode="sum", padding_idx=0),
        nn.EmbeddingBag(6, 4, mode="mean", padding_idx=0),
        nn.EmbeddingBag(6, 4, mode="mean", padding_idx=-1),
    ],
    ids=lambda layer: f"{layer.mode}-{layer.padding_idx}",
)
def test_bags_are_what_they_were(layer: nn.EmbeddingBag) -> None:
    expected = layer(TOKENS)

    with functions_spelled_out():
        spelled = layer(TOKENS)

    torch.testing.assert_close(spelled, expected)


def test_weighted_and_uneven_bags_are_what_they_were() -> None:
    layer = nn.EmbeddingBag(6, 4, mode="sum")
    weights = torch.rand(3, 3)
    offsets = torch.tensor([0, 4])
    expected = layer(TOKENS, per_sample_weights=weights), layer(TOKENS.flatten(), offsets)

    with functions_spelled_out():
        spelled = layer(TOKENS, per_sample_weights=weights), layer(TOKENS.flatten(), offsets)

    torch.testing.assert_close(spelled, expected)


@pytest.mark.parametrize(
    ("pool", "shape"),
    [
        (nn.AdaptiveMaxPool1d(3), (2, 4, 7)),
        (nn.AdaptiveMaxPool2d(1), (2, 4, 7, 5)),
        (nn.AdaptiveMaxPool2d((3, 4)), (2, 4, 7, 5)),
        (nn.AdaptiveMaxPool2d((None, 9)), (2, 4, 7, 5)),
        (nn.AdaptiveMaxPool2d(4), (4, 8, 8)),
        (nn.AdaptiveMaxPool3d((2, 3, 1)), (2, 4, 5, 7, 3)),
    ],
)
def test_adaptive_pooling_is_what_it_was(
    pool: Callable[[Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    values = torch.randn(shape)
    expected = pool(values)

    with functions_spelled_out():
        spelled = pool(values)

    torch.testing.assert_close(spelled, expected, rtol=0, atol=0)


def test_indices_of_adaptive_pooling_are_left_to_pytorch() -> None:
    values = torch.randn(1, 2, 7)
    expected = functional.adaptive_max_pool1d(values, 3, return_indices=True)

    with functions_spelled_out():
        found = functional.adaptive_max_pool1d(values, 3, return_indices=True)

    torch.testing.assert_close(found, expected)


def test_functions_are_pytorchs_own_again_afterwards() -> None:
    names = ("embedding_bag", "adaptive_max_pool2d")
    before = [getattr(functional, name) for name in names]

    with functions_spelled_out():
        assert [getattr(functional, name) for name in names] != before

    assert [getattr(functional, name) for name in names] == before


class Words(nn.Module):
    """A bag of words, and their vectors pooled to an uneven size."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(9, 6, padding_idx=0)
        self.words = nn.Embedding(9, 6)
        self.pool = nn.AdaptiveMaxPool2d((3, 4))

    def forward(self, tokens: Tensor) -> Tensor:
        pooled = self.pool(self.words(tokens).unsqueeze(1)).flatten(1)
        return torch.cat([self.bag(tokens), pooled], 1)


@pytest.mark.parametrize("file_format", list(Format))
def test_bags_and_uneven_pools_can_be_exported(file_format: Format, tmp_path: Path) -> None:
    tokens: dict[str, Array] = {"tokens": np.array([[1, 2, 0, 4, 5], [3, 0, 0, 1, 8]])}
    samples = save_samples(tmp_path / "samples", tokens)
    module = Words().eval()
    model = Model(module, find_signature(module, samples), ())

    report = export(model, samples, file_format, tmp_path / "model", ExportSettings())

    assert report.worst_relative_error < 1e-5


def test_a_one_hot_vector_is_the_same_spelled_out() -> None:
    places = torch.tensor([[0, 3], [2, 1]])
    wanted = functional.one_hot(places, 4), functional.one_hot(places)

    with functions_spelled_out():
        found = functional.one_hot(places, 4), functional.one_hot(places)

    torch.testing.assert_close(found, wanted)


def test_a_random_relu_is_a_leaky_one_outside_of_training() -> None:
    layer = nn.RReLU(0.1, 0.3)
    x = torch.randn(2, 8)
    wanted = layer.eval()(x)

    with functions_spelled_out():
        torch.testing.assert_close(layer(x), wanted)
        assert not torch.equal(layer.train()(x), wanted)


@pytest.mark.parametrize(
    "made",
    [
        lambda: torch.eye(3),
        lambda: torch.eye(3, 4, dtype=torch.bool),
        lambda: torch.eye(2, requires_grad=True),
        lambda: torch.tril_indices(3, 4, -1),
        lambda: torch.triu_indices(4, 3, offset=1),
        lambda: torch.triu_indices(2, 2, 5),
        lambda: torch.triu_indices(2, 2, dtype=torch.int32),
    ],
)
def test_a_constant_is_the_same_spelled_out(made: Callable[[], Tensor]) -> None:
    wanted = made()

    with functions_spelled_out():
        found = made()

    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


class Pairs(nn.Module):
    """The products of all pairs of features, with what each has with itself left out."""

    def forward(self, x: Tensor) -> Tensor:
        products = x.unsqueeze(2) * x.unsqueeze(1) * (1 - torch.eye(x.shape[1]))
        rows, columns = torch.triu_indices(x.shape[1], x.shape[1])
        return products[:, rows, columns]


@pytest.mark.parametrize("file_format", list(Format))
def test_constants_made_in_forward_can_be_exported(file_format: Format, tmp_path: Path) -> None:
    x: dict[str, Array] = {"x": np.arange(8, dtype=np.float32).reshape(2, 4)}
    samples = save_samples(tmp_path / "samples", x)
    module = Pairs().eval()
    model = Model(module, find_signature(module, samples), ())

    report = export(model, samples, file_format, tmp_path / "model", ExportSettings())

    assert report.worst_relative_error < 1e-6
