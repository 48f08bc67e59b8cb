from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgekit.core.artifact import Format
from edgekit.core.model import Model
from edgekit.core.samples import save_samples
from edgekit.errors import UnsupportedError
from edgekit.exporting.export import export
from edgekit.exporting.onnx.recurrent import OnnxRnn
from edgekit.exporting.recurrent import (
    Recurrent,
    State,
    refusing_packed_sequences,
    with_layers_replaced,
)
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.trial import find_signature

RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)


class Stacked(Recurrent):
    """Runs every layer by PyTorch's own, so that only the stacking is on trial."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__(layer)
        width = layer.hidden_size * self.directions
        self.layers = nn.ModuleList()
        make: Callable[..., nn.RNNBase] = type(layer)
        for index in range(layer.num_layers):
            single = make(
                width if index else layer.input_size,
                layer.hidden_size,
                bidirectional=layer.bidirectional,
            )
            own = {
                name.replace(f"_l{index}", "_l0"): value
                for name, value in layer.state_dict().items()
                if f"_l{index}" in name
            }
            single.load_state_dict(own)
            self.layers.append(single)

    def run_layer(self, index: int, steps: Tensor, state: State | None) -> tuple[Tensor, State]:
        start = state if state is None or len(state) == 2 else state[0]
        outputs, end = self.layers[index](steps, start)
        return outputs, end if isinstance(end, tuple) else (end,)


@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("shape", [(5, 3, 4), (5, 4)], ids=["batch", "single"])
@pytest.mark.parametrize("given", [True, False], ids=["state", "zero"])
def test_layers_are_stacked_as_pytorch_stacks_them(
    kind: Callable[..., nn.RNNBase], *, batch_first: bool, shape: tuple[int, ...], given: bool
) -> None:
    torch.manual_seed(0)
    layer = kind(4, 6, 2, batch_first=batch_first, bidirectional=True)
    batch = () if len(shape) == 2 else (shape[0 if batch_first else 1],)
    state = torch.randn(4, *batch, 6)
    initial = (state, 2 * state) if kind is nn.LSTM else state
    steps = torch.randn(shape)

    wanted, wanted_end = layer(steps, initial if given else None)
    found, found_end = Stacked(layer)(steps, initial if given else None)

    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(found_end, wanted_end)


class Packs(nn.Module):
    """Hands a recurrent layer packed sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(4, 6, batch_first=True)

    def forward(self, steps: Tensor) -> Tensor:
        lengths = torch.full((len(steps),), steps.shape[1])
        packed = nn.utils.rnn.pack_padded_sequence(steps, lengths, batch_first=True)
        state: Tensor = self.gru(packed)[1]
        return state[0]


def test_packed_sequences_are_refused_with_the_way_out() -> None:
    module = Packs()

    with (
        pytest.raises(UnsupportedError, match="'gru' reads packed sequences") as caught,
        refusing_packed_sequences(module),
    ):
        module(torch.ones(2, 3, 4))

    assert "steps[torch.arange(len(steps)), lengths - 1]" in caught.value.hint
    assert module(torch.ones(2, 3, 4)).shape == (2, 6)


def test_replacing_layers_leaves_the_module_alone() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))

    copied = with_layers_replaced(module, lambda m: nn.Tanh() if isinstance(m, nn.ReLU) else None)

    assert [type(part) for part in copied.modules()][3:] == [nn.Tanh]
    assert [type(part) for part in module.modules()][3:] == [nn.ReLU]


class Remembers(nn.Module):
    """Two bidirectional layers; takes and returns its state, batch first."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.RNN(4, 6, 2, batch_first=True, bidirectional=True, nonlinearity="relu")

    def forward(self, steps: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs, end = self.rnn(steps, state.transpose(0, 1))
        return outputs, end.transpose(0, 1)


@pytest.mark.filterwarnings("ignore")  # deprecations inside PyTorch's exporter are not ours to fix
def test_a_vanilla_rnn_is_one_onnx_operator_a_layer(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = {
        "steps": rng.standard_normal((4, 7, 4), dtype=np.float32),
        "state": rng.standard_normal((4, 4, 6), dtype=np.float32),
    }
    samples = save_samples(tmp_path / "samples", inputs)
    module = Remembers().eval()
    model = Model(module, find_signature(module, samples), ())

    report = export(model, samples, Format.ONNX, tmp_path / "m.onnx", ExportSettings())

    operators = [node.op_type for node in onnx.load(report.path).graph.node]
    assert operators.count("RNN") == 2
    assert "Tanh" not in operators
    assert "MatMul" not in operators
    assert report.worst_relative_error < 1e-5  # float32 sums in another order


def test_a_layer_without_biases_has_zeros_for_them() -> None:
    layer = OnnxRnn(nn.RNN(3, 5, bias=False))

    torch.testing.assert_close(dict(layer.named_buffers())["b0"], torch.zeros(1, 10))
