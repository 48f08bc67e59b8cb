"""Recurrent layers as the ONNX operators that they are.

PyTorch's exporter writes out every step of `nn.RNN`, and holds the steps of the others to those
of its example, whatever it was told.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.exporting.recurrent import Recurrent, State, weights_of

_ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu"}
_GATES = {nn.RNN: (0,), nn.GRU: (1, 0, 2), nn.LSTM: (0, 3, 1, 2)}
"""Where ONNX's gates, in its order, are among PyTorch's."""


class OnnxRnn(Recurrent):
    """An `nn.RNN`, `nn.GRU` or `nn.LSTM` that exports as one operator a layer, and cannot run."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__(layer)
        kind = next(kind for kind in _GATES if isinstance(layer, kind))
        self._operator = kind.__name__
        self._attributes: dict[str, str | int | Sequence[str]] = {
            "hidden_size": self.hidden_size,
            "direction": "bidirectional" if self.bidirectional else "forward",
        }
        if isinstance(layer, nn.RNN):
            self._attributes["activations"] = [_ACTIVATIONS[layer.nonlinearity]] * self.directions
        if isinstance(layer, nn.GRU):
            self._attributes["linear_before_reset"] = 1
        order = _GATES[kind]
        for index in range(layer.num_layers):
            sides = [
                [_in_order(w, order) for w in weights_of(layer, index, is_backward=is_backward)]
                for is_backward in (False, True)[: self.directions]
            ]
            self.register_buffer(f"w{index}", torch.stack([side[0] for side in sides]))
            self.register_buffer(f"r{index}", torch.stack([side[1] for side in sides]))
            biases = [torch.cat([side[2], side[3]]) for side in sides]
            self.register_buffer(f"b{index}", torch.stack(biases))

    def run_layer(self, index: int, steps: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `Recurrent.run_layer`."""
        hidden, directions = self.hidden_size, self.directions
        length, batch = steps.shape[:2]
        weights = [getattr(self, f"{kind}{index}") for kind in "wrb"]
        ends = 2 if self._is_lstm else 1
        outputs, *end = torch.onnx.ops.symbolic_multi_out(
            self._operator,
            [steps, *weights, None, *(state or ())],
            {**self._attributes},
            dtypes=(steps.dtype,) * (1 + ends),
            shapes=((length, directions, batch, hidden), *[(directions, batch, hidden)] * ends),
        )
        return outputs.transpose(1, 2).flatten(2), tuple(end)


def _in_order(weights: Tensor, order: tuple[int, ...]) -> Tensor:
    gates = weights.chunk(len(order))
    return torch.cat([gates[gate] for gate in order])
