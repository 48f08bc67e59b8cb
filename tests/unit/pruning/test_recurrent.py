"""Hidden units leave recurrent layers with all that makes them and all that reads them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.pruned import NormOfFilters, pruned_alone, shrink, silence
from torch import Tensor, nn

from edgekit.core.tensors import Array
from edgekit.errors import UnsupportedError
from edgekit.pruning.settings import PruneSettings

HALF = PruneSettings(50.0, criterion=NormOfFilters())
GATES: dict[Callable[..., nn.RNNBase], int] = {nn.RNN: 1, nn.GRU: 3, nn.LSTM: 4}


def steps(rows: int = 4, count: int = 5) -> Array:
    return np.random.default_rng(0).standard_normal((rows, count, 6), dtype=np.float32)


class Reads(nn.Module):
    """A recurrent net whose steps and, if `final`, last states are read by a linear layer."""

    def __init__(self, net: nn.RNNBase, *, final: bool) -> None:
        super().__init__()
        self.net, self.final = net, final
        sides = 1 + net.bidirectional
        self.head = nn.Linear(sides * (net.proj_size or net.hidden_size) * (1 + final), 3)

    def forward(self, features: Tensor) -> Tensor:
        if not self.net.batch_first:
            features = features.transpose(0, 1)
        outputs, states = self.net(features)
        read = outputs.mean(int(self.net.batch_first))
        if self.final:
            last = states[0] if isinstance(states, tuple) else states
            sides = 1 + self.net.bidirectional
            read = torch.cat([read, *(last[side - sides] for side in range(sides))], 1)
        logits: Tensor = self.head(read)
        return logits


def without_half(module: Reads, rng: np.random.Generator) -> None:
    """Let nothing read half of the units of every layer and direction, and shrink their gates."""
    net = module.net
    width, sides = net.hidden_size, 1 + net.bidirectional
    for layer in range(net.num_layers):
        for side in range(sides):
            units = torch.from_numpy(rng.permutation(width)[: width // 2])
            suffix = f"l{layer}{'_reverse' if side else ''}"
            shrink(getattr(net, f"weight_ih_{suffix}"), units, GATES[type(net)])
            silence(getattr(net, f"weight_hh_{suffix}"), units)
            if layer + 1 < net.num_layers:
                readers = [
                    getattr(net, f"weight_ih_l{layer + 1}{end}") for end in ("", "_reverse")[:sides]
                ]
                repeats = 1
            else:
                readers, repeats = [module.head.weight], 1 + module.final
            for reader in readers:
                columns = reader.view(len(reader), repeats, sides, width)
                with torch.no_grad():
                    columns[:, :, side, units] = 0


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    kind=st.sampled_from(list(GATES)),
    layers=st.integers(1, 2),
    bidirectional=st.booleans(),
    bias=st.booleans(),
    batch_first=st.booleans(),
    final=st.booleans(),
    seed=st.integers(0, 99),
)
def test_units_that_nothing_reads_leave_without_a_trace(
    tmp_path_factory: pytest.TempPathFactory,
    kind: Callable[..., nn.RNNBase],
    layers: int,
    seed: int,
    **options: bool,
) -> None:
    torch.manual_seed(seed)
    final = options.pop("final")
    module = Reads(kind(6, 8, layers, **options), final=final).eval()
    without_half(module, np.random.default_rng(seed))

    after = pruned_alone(module, tmp_path_factory.mktemp("s"), HALF, features=steps()).module

    assert isinstance(after, Reads)
    assert after.net.hidden_size == 4
    assert after.net.weight_hh_l0.shape == (4 * GATES[kind], 4)
    features = torch.from_numpy(steps(3, 7))
    # The same products in another order of summation.
    torch.testing.assert_close(after(features), module(features), rtol=1e-4, atol=1e-6)


def test_the_projection_of_an_lstm_loses_units_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True, proj_size=3)
    module = Reads(net, final=False)

    after = pruned_alone(module, tmp_path, PruneSettings(34.0), features=steps()).module

    assert isinstance(after, Reads)
    assert (after.net.hidden_size, after.net.proj_size, after.head.in_features) == (6, 2, 4)
    assert after(torch.from_numpy(steps(3))).shape == (3, 3)


def test_layers_that_need_others_to_be_narrower_first_are_cut_after_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    # Half of the hidden units would be as many as the projection has, and no projection then.
    module = Reads(nn.LSTM(6, 8, batch_first=True, proj_size=4), final=False)

    pruned = pruned_alone(module, tmp_path, HALF, features=steps())

    assert isinstance(pruned.module, Reads)
    assert (pruned.module.net.hidden_size, pruned.module.net.proj_size) == (4, 2)
    assert "as wide as before" not in pruned.history[-1].summary


class ConvolvedState(nn.Module):
    """A recurrent net whose gates are one convolution of what comes and what is held."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 8
        self.gates = nn.Conv1d(1 + self.held, 2 * self.held, 3, padding=1)
        self.head = nn.Linear(self.held, 3)

    def forward(self, features: Tensor) -> Tensor:
        held = features.new_zeros(len(features), self.held, features.shape[2])
        for step in features.unbind(1):
            gate, value = self.gates(torch.cat([step[:, None], held], 1)).chunk(2, 1)
            held = held + torch.sigmoid(gate) * torch.tanh(value)
        logits: Tensor = self.head(held.mean(2))
        return logits


def test_zeros_that_are_joined_to_what_comes_get_narrower(tmp_path: Path) -> None:
    torch.manual_seed(0)

    after = pruned_alone(ConvolvedState(), tmp_path, HALF, features=steps()).module

    assert isinstance(after, ConvolvedState)
    assert (after.held, after.gates.in_channels, after.gates.out_channels) == (4, 5, 8)
    assert after(torch.from_numpy(steps(3))).shape == (3, 3)


class Cells(nn.Module):
    """A cell in a loop of Python's."""

    def __init__(self, cell: type[nn.RNNCellBase]) -> None:
        super().__init__()
        self.cell: nn.Module = cell(6, 8)  # type: ignore[call-arg]  # the base class has others
        self.head = nn.Linear(8, 3)

    def forward(self, features: Tensor) -> Tensor:
        state = None
        for step in features.unbind(1):
            state = self.cell(step, state)
        logits: Tensor = self.head(state[0] if isinstance(state, tuple) else state)
        return logits


@pytest.mark.parametrize(("cell", "gates"), [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_cells_lose_units_as_layers_do(
    cell: type[nn.RNNCellBase], gates: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module = Cells(cell).eval()
    units = torch.tensor([0, 3, 5, 6])
    weights = dict(module.cell.named_parameters())
    shrink(weights["weight_ih"], units, gates)
    shrink(weights["weight_hh"], units, gates)
    silence(weights["weight_hh"], units)
    silence(module.head.weight, units)

    after = pruned_alone(module, tmp_path, HALF, features=steps()).module

    assert after.get_submodule("cell").hidden_size == 4
    features = torch.from_numpy(steps(3))
    torch.testing.assert_close(after(features), module(features), rtol=1e-4, atol=1e-6)


class Stacked(nn.Module):
    """Embedded words, two nets with a norm and a sum between, and a learned mean over steps."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 6)
        self.first = nn.GRU(6, 8, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.second = nn.LSTM(8, 8, batch_first=True)
        self.shares = nn.Linear(8, 1)
        self.head = nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        read = self.first(self.embed(tokens))[0]
        read = read + self.second(self.norm(read))[0]
        logits: Tensor = self.head((torch.softmax(self.shares(read), 1) * read).sum(1))
        return logits


def test_what_feeds_and_what_reads_a_recurrent_layer_shrinks_with_it(tmp_path: Path) -> None:
    tokens = np.random.default_rng(0).integers(0, 20, (4, 7))

    after = pruned_alone(Stacked(), tmp_path, PruneSettings(50.0), tokens=tokens).module

    assert isinstance(after, Stacked)
    assert (after.embed.embedding_dim, after.first.input_size, after.first.hidden_size) == (3, 3, 4)
    assert (after.norm.normalized_shape, after.second.input_size) == ((4,), 4)
    assert (after.second.hidden_size, after.head.in_features) == (4, 4)


class Starts(nn.Module):
    """Makes its first state itself, by an attribute or by a number in its code."""

    def __init__(self, *, literal: bool, stored: bool = False) -> None:
        super().__init__()
        self.hidden, self.literal, self.stored = 8, literal, stored
        self.register_buffer("zero", torch.zeros(1))
        self.net = nn.GRU(6, 8, batch_first=True)
        self.inner, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, features: Tensor) -> Tensor:
        width = 8 if self.literal else self.hidden
        state = torch.zeros(1, len(features), width)
        if self.stored:
            state = self.get_buffer("zero").expand(1, len(features), width)
        logits: Tensor = self.head(torch.relu(self.inner(self.net(features, state)[1][0])))
        return logits


@pytest.mark.parametrize("stored", [False, True])
def test_a_width_that_a_module_keeps_for_itself_is_changed_with_its_layer(
    tmp_path: Path, *, stored: bool
) -> None:
    module = Starts(literal=False, stored=stored)

    after = pruned_alone(module, tmp_path, HALF, features=steps()).module

    assert isinstance(after, Starts)
    assert (after.hidden, after.net.hidden_size, after.inner.out_features) == (4, 4, 4)


def test_a_layer_whose_width_the_code_says_stays_and_is_named(tmp_path: Path) -> None:
    model = pruned_alone(Starts(literal=True), tmp_path, HALF, features=steps())

    after = model.module
    assert isinstance(after, Starts)
    assert (after.hidden, after.net.hidden_size, after.inner.out_features) == (8, 8, 4)
    assert "would not run otherwise: net (79.5 % of the parameters)" in model.history[-1].summary


class Learns(nn.Module):
    """Learns the first state of both its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.randn(2, 1, 8))
        self.net, self.head = nn.GRU(6, 8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.head(
            self.net(features, self.first.expand(-1, len(features), -1))[1][-1]
        )
        return logits


def test_a_learned_first_state_gets_narrower_with_its_layers(tmp_path: Path) -> None:
    after = pruned_alone(Learns(), tmp_path, HALF, features=steps()).module

    assert isinstance(after, Learns)
    assert (after.net.hidden_size, tuple(after.first.shape)) == (4, (2, 1, 4))


class Streams(nn.Module):
    """Takes a state and gives it back."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.GRU(6, 8, batch_first=True)
        self.inner, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, features: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        read, state = self.net(features, state.transpose(0, 1))
        return self.head(torch.relu(self.inner(read[:, -1]))), state.transpose(0, 1)


def test_a_state_that_is_an_input_keeps_its_width(tmp_path: Path) -> None:
    state = np.zeros((4, 1, 8), np.float32)

    after = pruned_alone(Streams(), tmp_path, HALF, features=steps(), state=state).module

    assert isinstance(after, Streams)
    assert (after.net.hidden_size, after.inner.out_features) == (8, 4)


def test_a_sequence_of_one_step_shows_enough(tmp_path: Path) -> None:
    module = Reads(nn.GRU(6, 8, batch_first=True), final=False)

    after = pruned_alone(module, tmp_path, HALF, features=steps(4, 1)).module

    assert isinstance(after, Reads)
    assert after.net.hidden_size == 4
    assert after(torch.from_numpy(steps(3, 5))).shape == (3, 3)


def test_one_layer_that_has_to_stay_holds_the_others_of_its_module(tmp_path: Path) -> None:
    class Returned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.GRU(6, 8, 2, batch_first=True)

        def forward(self, features: Tensor) -> Tensor:
            outputs: Tensor = self.net(features)[0]
            return outputs

    with pytest.raises(UnsupportedError, match="there is nothing to prune"):
        pruned_alone(Returned(), tmp_path, HALF, features=steps())
