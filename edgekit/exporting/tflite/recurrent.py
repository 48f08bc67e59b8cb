"""Marks recurrent layers for litert-torch, which would write out every one of their steps."""

from dataclasses import dataclass
from enum import Enum

import torch
from litert_torch.hlfb import StableHLOCompositeBuilder
from torch import Tensor, nn

from edgekit.core.tensors import FloatArray
from edgekit.exporting.recurrent import Recurrent, State, weights_of

MARK = "edgekit.recurrent."
"""How the marks of recurrent cells start; the number of the cell follows."""


class CellKind(Enum):
    """What a recurrent layer computes in one step."""

    LSTM = "lstm"
    GRU = "gru"
    TANH = "tanh"
    RELU = "relu"


@dataclass(frozen=True)
class Cell:
    """One direction of one recurrent layer.

    Weights have shapes `[gates * hidden, inputs]` and `[gates * hidden, hidden]`, biases
    `[gates * hidden]`, in PyTorch's order of gates.
    """

    kind: CellKind
    is_backward: bool
    input_weight: FloatArray
    state_weight: FloatArray
    input_bias: FloatArray
    state_bias: FloatArray

    @property
    def hidden(self) -> int:
        """How many units it has."""
        return int(self.state_weight.shape[1])


class MarkedRecurrent(Recurrent):
    """A recurrent layer that converts into marks with the right shapes and the wrong contents.

    Its cells are appended to `cells`; a mark carries the place of its cell there.
    """

    def __init__(self, layer: nn.RNNBase, kind: CellKind, cells: list[Cell]) -> None:
        super().__init__(layer)
        self.layer = layer
        self._first = len(cells)
        for index in range(layer.num_layers):
            for is_backward in (False, True)[: self.directions]:
                arrays = [w.numpy() for w in weights_of(layer, index, is_backward=is_backward)]
                cells.append(Cell(kind, is_backward, *arrays))

    def forward(
        self,
        input: Tensor,  # noqa: A002  PyTorch's own name
        hx: Tensor | State | None = None,
    ) -> tuple[Tensor, Tensor | State]:
        """See PyTorch; a single step stays as PyTorch has it, since there is nothing to repeat."""
        if input.shape[1 if self.batch_first and input.dim() > 2 else 0] == 1:
            outputs: tuple[Tensor, Tensor | State] = self.layer(input, hx)
            return outputs
        return super().forward(input, hx)

    def run_layer(self, index: int, steps: Tensor, state: State | None) -> tuple[Tensor, State]:
        """See `Recurrent.run_layer`; values are made up."""
        sides: list[Tensor] = []
        ends: list[State] = []
        length = steps.shape[0]
        for direction in range(self.directions):
            place = self._first + index * self.directions + direction
            start = () if state is None else tuple(part[direction] for part in state)
            rows = self._mark(place, steps, start)
            sides.append(rows[:length])
            h = rows[0 if direction else length - 1]
            ends.append((h, rows[length]) if self._is_lstm else (h,))
        stacked = tuple(torch.stack(parts) for parts in zip(*ends, strict=True))
        return torch.cat(sides, dim=-1), stacked

    def _mark(self, place: int, steps: Tensor, state: State) -> Tensor:
        """Return all `h` of one cell, `[steps, batch, hidden]`, and the last `c` as one row more.

        They are one tensor because the converter crashes on a mark with an output that nobody
        reads.
        """
        builder = StableHLOCompositeBuilder(name=f"{MARK}{place}")
        length, batch, _ = steps.shape
        marked = builder.mark_inputs(steps, *state)
        first, *others = marked if isinstance(marked, tuple) else (marked,)
        # What is made up hangs on all inputs, so that none is dropped.
        seed = first.sum()
        for other in others:
            seed = seed + other.sum()
        made = seed.expand(length + self._is_lstm, batch, self.hidden_size) * 1.0
        rows: Tensor = builder.mark_outputs(made)
        return rows


def marked(layer: nn.Module, cells: list[Cell]) -> MarkedRecurrent | None:
    """Return `layer` with marks if it is recurrent and a loop can do what it does."""
    if type(layer) is nn.LSTM and layer.proj_size == 0:
        return MarkedRecurrent(layer, CellKind.LSTM, cells)
    if type(layer) is nn.GRU:
        return MarkedRecurrent(layer, CellKind.GRU, cells)
    if type(layer) is nn.RNN:
        return MarkedRecurrent(layer, CellKind(layer.nonlinearity), cells)
    return None
