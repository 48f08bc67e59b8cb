"""Recurrent layers taken apart into what a file format can say in one operator each."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from edgekit.errors import UnsupportedError

AnyModule = TypeVar("AnyModule", bound=nn.Module)
State = tuple[Tensor, ...]
"""What a layer remembers: `h`, and `c` for LSTM, each `[directions, batch, hidden]`."""


@contextlib.contextmanager
def refusing_packed_sequences(module: nn.Module) -> Iterator[None]:
    """Refuse a `module` that packs its sequences, when the body runs it.

    How many rows each step has would depend on values, and no file format can say that.

    Raises:
        UnsupportedError: A recurrent layer is given a packed sequence.
    """

    def refuse(path: str, inputs: Sequence[object]) -> None:
        if any(isinstance(value, PackedSequence) for value in inputs):
            raise UnsupportedError(
                f"'{path}' reads packed sequences, which no file format can hold",
                hint="give it the padded ones, and take each row's last step by its length: "
                "steps[torch.arange(len(steps)), lengths - 1]",
            )

    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, path=path: refuse(path, inputs))
        for path, layer in module.named_modules()
        if isinstance(layer, nn.RNNBase)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def with_layers_replaced(
    module: AnyModule, replace: Callable[[nn.Module], nn.Module | None]
) -> AnyModule:
    """Return a copy of `module` in which every layer is what `replace` makes of it, if anything."""
    copied = deepcopy(module)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            replacement = replace(child)
            if replacement is not None:
                setattr(parent, name, replacement.eval())
    return copied


class Recurrent(nn.Module, ABC):
    """Takes and returns what `nn.RNN`, `nn.LSTM` and `nn.GRU` do; what a layer does is left open.

    Stacked layers, the order of axes, missing batches and initial states are seen to here.
    """

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.input_size = layer.input_size
        self.hidden_size = layer.hidden_size
        self.num_layers = layer.num_layers
        self.batch_first = layer.batch_first
        self.bidirectional = layer.bidirectional
        self._is_lstm = isinstance(layer, nn.LSTM)

    @property
    def directions(self) -> int:
        """2 if sequences are read from both ends, else 1."""
        return 2 if self.bidirectional else 1

    @abstractmethod
    def run_layer(self, index: int, steps: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run one layer of the stack.

        Args:
            index: Which layer, from 0.
            steps: `[steps, batch, features]`.
            state: Where the layer starts; `None` is zero.

        Returns:
            `[steps, batch, directions * hidden]`, and where the layer ends.
        """

    def forward(
        self,
        input: Tensor,  # noqa: A002  PyTorch's own name
        hx: Tensor | State | None = None,
    ) -> tuple[Tensor, Tensor | State]:
        """See PyTorch; packed sequences were refused before."""
        initial = (hx,) if isinstance(hx, Tensor) else hx
        is_single = input.dim() == 2
        if is_single:
            input = input.unsqueeze(1)  # noqa: A001  PyTorch's own name
            initial = None if initial is None else tuple(part.unsqueeze(1) for part in initial)
        swap_axes = self.batch_first and not is_single
        steps = input.transpose(0, 1) if swap_axes else input
        ends: list[State] = []
        for index in range(self.num_layers):
            first, last = index * self.directions, (index + 1) * self.directions
            start = None if initial is None else tuple(part[first:last] for part in initial)
            steps, end = self.run_layer(index, steps, start)
            ends.append(end)
        final = tuple(torch.cat(parts) for parts in zip(*ends, strict=True))
        if swap_axes:
            steps = steps.transpose(0, 1)
        if is_single:
            steps, final = steps.squeeze(1), tuple(part.squeeze(1) for part in final)
        return steps, final if self._is_lstm else final[0]


def weights_of(layer: nn.RNNBase, index: int, *, is_backward: bool) -> Sequence[Tensor]:
    """Return the weights of input and state, `[gates * hidden, ...]`, and their two biases."""
    suffix = f"_l{index}" + ("_reverse" if is_backward else "")
    weights = [getattr(layer, f"weight_{kind}{suffix}").detach() for kind in ("ih", "hh")]
    if layer.bias:
        biases = [getattr(layer, f"bias_{kind}{suffix}").detach() for kind in ("ih", "hh")]
    else:
        biases = [torch.zeros(len(weight)) for weight in weights]
    return [*weights, *biases]
