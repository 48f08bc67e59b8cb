"""Pruning takes channels out and leaves a model that runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.pruned import NormOfFilters, pruned_alone
from support.torch_models import (
    ATTENTION,
    CONVOLUTIONAL,
    RECURRENT,
    inputs_for,
    model_for,
    samples_for,
)
from torch import nn

from edgekit.core.model import Model, run_module
from edgekit.core.samples import save_samples
from edgekit.core.tensors import IntArray
from edgekit.errors import UnsupportedError, UsageError
from edgekit.loading.trial import find_signature
from edgekit.pruning.criteria.lp_norm import LpNorm
from edgekit.pruning.criteria.random import Random
from edgekit.pruning.groups import UnitGroup
from edgekit.pruning.prune import prune, units_left
from edgekit.pruning.settings import PruneSettings


def pruned(family: str, folder: Path, settings: PruneSettings) -> tuple[Model, Model]:
    samples = samples_for(family, folder)
    model = model_for(family, samples)
    return model, prune(model, samples, settings, np.random.default_rng(settings.seed))


def width(model: Model, layer: str) -> int:
    part = model.module.get_submodule(layer)
    assert isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear)
    return len(part.weight)


def size(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.module.parameters())


def tensors(family: str, rows: int) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in inputs_for(family, rows).items()}


@pytest.mark.parametrize("family", [*CONVOLUTIONAL, *RECURRENT, *ATTENTION])
def test_a_pruned_model_is_smaller_and_keeps_its_signature(family: str, tmp_path: Path) -> None:
    before, after = pruned(family, tmp_path, PruneSettings(50.0))

    outputs = run_module(after.module, tensors(family, 3))

    assert size(after) < 0.85 * size(before)
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == {
        spec.name: spec.shape[1:] for spec in before.signature.outputs
    }


def test_the_module_that_came_in_is_left_alone(tmp_path: Path) -> None:
    samples = samples_for("mobile", tmp_path)
    model = model_for("mobile", samples)
    before = {name: value.clone() for name, value in model.module.state_dict().items()}

    prune(model, samples, PruneSettings(), np.random.default_rng(0))

    for name, value in model.module.state_dict().items():
        assert torch.equal(value, before[name])


TIED = {"outer": "stem", "depthwise": "stem"}
"""Blocks whose channels are added to, or filtered one by one from, those of another."""


def zero_half(module: nn.Module) -> None:
    """Set half of the channels of every layer but the head to zero, the same where tied."""
    rng = np.random.default_rng(3)
    dead: dict[str, IntArray] = {}
    for name, part in module.named_modules():
        if name == "head" or not isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            continue
        block = name.split(".")[0]
        width = len(part.weight)
        places = dead.setdefault(TIED.get(block, block), rng.permutation(width)[: width // 2])
        with torch.no_grad():
            part.weight[places] = 0
            if part.bias is not None:
                part.bias[places] = 0


@pytest.mark.parametrize("family", ["mobile", "residual", "dense", "two_inputs"])
def test_channels_that_compute_nothing_leave_without_a_trace(family: str, tmp_path: Path) -> None:
    # Holds only if every layer tied to a channel loses the slice that belongs to it.
    samples = samples_for(family, tmp_path)
    model = model_for(family, samples)
    zero_half(model.module)
    inputs = tensors(family, 4)
    settings = PruneSettings(50.0, criterion=NormOfFilters())

    after = prune(model, samples, settings, np.random.default_rng(0))

    with torch.no_grad():
        expected, outputs = run_module(model.module, inputs), run_module(after.module, inputs)
    assert size(after) < size(model)
    for name, value in outputs.items():
        # The same products in another order of summation.
        torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)


def test_every_prunable_layer_loses_the_share_asked_for(tmp_path: Path) -> None:
    _, after = pruned("mobile", tmp_path, PruneSettings(25.0))

    assert width(after, "stem.0") == 6
    assert width(after, "pointwise.0") == 12
    assert width(after, "head") == 4


def test_what_was_cut_is_in_the_history(tmp_path: Path) -> None:
    before, after = pruned("mobile", tmp_path, PruneSettings(50.0))

    change = after.history[-1]

    assert change.step == "prune"
    assert f"{size(before)} parameters became {size(after)} (" in change.summary
    assert "stem.0 8 → 4" in change.summary
    assert "pointwise.0 16 → 8" in change.summary


@pytest.mark.parametrize("pattern", ["stem", "stem.0", "ste?.*"])
def test_kept_modules_stay_as_wide_as_they_are(pattern: str, tmp_path: Path) -> None:
    _, after = pruned("mobile", tmp_path, PruneSettings(50.0, keep=(pattern,)))

    assert width(after, "stem.0") == 8
    assert width(after, "pointwise.0") == 8


def test_keeping_a_depthwise_layer_keeps_what_feeds_it(tmp_path: Path) -> None:
    _, after = pruned("mobile", tmp_path, PruneSettings(50.0, keep=("depthwise",)))

    assert width(after, "stem.0") == 8


def test_a_pattern_that_matches_nothing_is_refused_with_the_closest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'sten' matches no module; did you mean 'stem'"):
        pruned("mobile", tmp_path, PruneSettings(50.0, keep=("sten",)))


def test_removing_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pruning 5 % would remove nothing"):
        pruned("mobile", tmp_path, PruneSettings(5.0))


def test_an_output_that_is_also_used_further_keeps_its_size(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="every layer is as wide as an input, an output"):
        pruned("perceptron", tmp_path, PruneSettings(50.0))


class MixesSteps(nn.Module):
    """A layer across steps and one across features, as in an MLP-Mixer."""

    def __init__(self) -> None:
        super().__init__()
        self.across = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 3))
        self.along = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 6))
        self.head = nn.Linear(6, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        steps = features.unsqueeze(1).expand(-1, 3, -1)
        steps = steps + self.across(steps.transpose(1, 2)).transpose(1, 2)
        logits: torch.Tensor = self.head((steps + self.along(steps)).mean(1))
        return logits


def test_layers_that_mix_steps_lose_what_lies_between_them(tmp_path: Path) -> None:
    samples = samples_for("perceptron", tmp_path)
    module = MixesSteps().eval()

    smaller = prune(
        Model(module, find_signature(module, samples), ()),
        samples,
        PruneSettings(50.0),
        np.random.default_rng(0),
    )

    widths = [part.out_features for part in smaller.module.modules() if isinstance(part, nn.Linear)]
    assert widths == [4, 3, 8, 6, 4]


class FixedWidth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.second(self.first(features).reshape(-1, 8))
        return value


def test_a_model_that_relies_on_its_sizes_is_refused_with_the_reason(tmp_path: Path) -> None:
    samples = samples_for("perceptron", tmp_path)
    signature = model_for("perceptron", samples).signature

    with pytest.raises(UnsupportedError, match=r"the pruned model does not run: .*rely on sizes"):
        prune(
            Model(FixedWidth().eval(), signature, ()),
            samples,
            PruneSettings(50.0),
            np.random.default_rng(0),
        )


class AddsItsInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tied = nn.Linear(6, 6)
        self.free = nn.Linear(6, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.head(self.free(features + self.tied(features)))
        return value


def test_what_is_added_to_an_input_keeps_its_width(tmp_path: Path) -> None:
    samples = samples_for("perceptron", tmp_path)
    module = AddsItsInput().eval()
    model = Model(module, find_signature(module, samples), ())

    after = prune(model, samples, PruneSettings(50.0), np.random.default_rng(0))

    assert (width(after, "tied"), width(after, "free"), width(after, "head")) == (6, 4, 4)


class HasTwoEnds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        inner = torch.relu(self.first(features))
        return self.head(torch.relu(self.second(inner))), inner


def test_an_inner_value_that_is_an_output_keeps_its_width(tmp_path: Path) -> None:
    samples = samples_for("perceptron", tmp_path)
    module = HasTwoEnds().eval()
    model = Model(module, find_signature(module, samples), ())

    after = prune(model, samples, PruneSettings(50.0), np.random.default_rng(0))

    assert (width(after, "first"), width(after, "second"), width(after, "head")) == (8, 4, 4)


def test_a_model_of_double_precision_can_be_pruned(tmp_path: Path) -> None:
    features = np.random.default_rng(0).standard_normal((4, 6))
    samples = save_samples(tmp_path, {"features": features})
    module = HasTwoEnds().double().eval()
    model = Model(module, find_signature(module, samples), ())

    after = prune(model, samples, PruneSettings(50.0), np.random.default_rng(0))

    assert width(after, "second") == 4


def test_the_same_seed_gives_the_same_random_channels(tmp_path: Path) -> None:
    settings = PruneSettings(50.0, criterion=Random(), seed=5)

    _, first = pruned("mobile", tmp_path / "a", settings)
    _, second = pruned("mobile", tmp_path / "b", settings)
    _, other = pruned("mobile", tmp_path / "c", PruneSettings(50.0, criterion=Random(), seed=6))

    states = [model.module.state_dict() for model in (first, second, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(torch.equal(states[0][name], states[2][name]) for name in states[0])


@given(
    size=st.integers(1, 64),
    blocks=st.integers(1, 8),
    ratio=st.floats(0.1, 99.9),
    round_to=st.integers(1, 16),
)
def test_blocks_keep_a_multiple_and_never_less_than_asked(
    size: int, blocks: int, ratio: float, round_to: int
) -> None:
    group = UnitGroup("layer", size, blocks, ())

    left = units_left(group, PruneSettings(ratio, round_to=round_to))

    assert 1 <= left <= size
    assert left >= size * (1 - ratio / 100) - 1e-6  # rounding of the percentage
    assert left == size or left * blocks % round_to == 0


def test_a_grouped_convolution_keeps_its_groups(tmp_path: Path) -> None:
    _, after = pruned("grouped", tmp_path, PruneSettings(50.0, criterion=LpNorm(p=1)))

    grouped = after.module.grouped
    assert isinstance(grouped, nn.Conv2d)
    assert (grouped.groups, grouped.in_channels, grouped.out_channels) == (2, 8, 8)


class OneSlope(nn.Module):
    """Has one PReLU slope for all channels, as PyTorch's default is."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.PReLU(), nn.Linear(8, 4))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.layers(features)
        return value


class Unused(nn.Module):
    """Runs a layer that no output depends on, as the last one of a WaveNet."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.head = nn.Linear(8, 4)
        self.residual = nn.Linear(8, 6)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(features))
        _ = features + self.residual(hidden)
        value: torch.Tensor = self.head(hidden)
        return value


class Chomps(nn.Module):
    """Cuts off what a convolution makes of padding, as causal nets do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 8, 3, padding=2)
        self.head = nn.Linear(8, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        steps = self.conv(features[:, None])[:, :, :-2]
        value: torch.Tensor = self.head(torch.relu(steps).mean(2))
        return value


class HalfFixed(nn.Module):
    """One layer of two can be cut; the code says how wide the other one is."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.first(features).reshape(-1, 8)
        value: torch.Tensor = self.head(torch.relu(self.second(hidden)))
        return value


def pruned_module(module: nn.Module, folder: Path) -> Model:
    samples = samples_for("perceptron", folder)
    signature = find_signature(module.eval(), samples)
    return prune(
        Model(module, signature, ()), samples, PruneSettings(50.0), np.random.default_rng(0)
    )


@pytest.mark.parametrize(
    ("module", "layer"),
    [(OneSlope(), "layers.0"), (Chomps(), "conv"), (Unused(), "first"), (HalfFixed(), "second")],
)
def test_what_can_leave_does(module: nn.Module, layer: str, tmp_path: Path) -> None:
    after = pruned_module(module, tmp_path)

    assert width(after, layer) == 4
    assert after.module(torch.zeros(3, 6)).shape == (3, 4)


def test_what_has_to_stay_is_put_back_and_said(tmp_path: Path) -> None:
    module = HalfFixed()

    after = pruned_module(module, tmp_path)

    assert width(after, "first") == 8
    first = after.module.get_submodule("first")
    assert isinstance(first, nn.Linear)
    assert torch.equal(first.weight, module.first.weight)
    assert after.history[0].summary.endswith(
        "the model would not run otherwise: first (34.1 % of the parameters)"
    )


class Wide(nn.Module):
    """A layer of its own kind, which keeps its width to shape what it returns."""

    def __init__(self, width: int, inputs: int) -> None:
        super().__init__()
        self.width = width
        self.weight, self.bias = (
            nn.Parameter(torch.randn(inputs, width)),
            nn.Parameter(torch.zeros(width)),
        )

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        product = torch.addmm(self.bias, value.flatten(0, 1), self.weight)
        return product.view(*value.shape[:2], self.width)


def test_a_layer_that_keeps_its_own_width_is_told_the_new_one(tmp_path: Path) -> None:
    module = nn.Sequential(Wide(16, 6), nn.ReLU(), Wide(5, 16))
    features = np.random.default_rng(0).standard_normal((4, 3, 6)).astype(np.float32)

    after = pruned_alone(module, tmp_path, PruneSettings(50.0), input=features).module

    assert [after.get_submodule(name).width for name in "02"] == [8, 5]
