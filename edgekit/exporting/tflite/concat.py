"""Lets litert-torch put tensors of unlike integer widths together."""

from collections.abc import Callable, Sequence

import torch
from litert_converter.mlir import ir
from litert_converter.mlir.dialects import stablehlo
from litert_torch.backend import lowerings

_CAT = torch.ops.aten.cat.default


def let_widths_meet() -> None:
    """Widen the integers that are put together to one type, in every conversion from now on.

    litert-torch makes `torch.arange` 32 bits wide and leaves other integers at 64, and what it
    writes for `torch.cat` and `torch.stack` then has operands of two types, which is no graph.
    """
    joined = lowerings.lookup(_CAT)
    if not isinstance(joined, _Widened):
        lowerings.lower(_CAT)(_Widened(joined))


class _Widened:
    """A lowering of `cat` whose operands are made alike first."""

    def __init__(self, joined: Callable[..., object]) -> None:
        self._joined = joined

    def __call__(self, context: object, tensors: Sequence[ir.Value], dim: int = 0) -> object:
        kinds = [tensor.type.element_type for tensor in tensors]
        if all(isinstance(kind, ir.IntegerType) for kind in kinds):
            widest = max(kinds, key=lambda kind: kind.width)
            tensors = [_converted(tensor, widest) for tensor in tensors]
        return self._joined(context, tensors, dim)


def _converted(tensor: ir.Value, kind: ir.Type) -> ir.Value:
    if tensor.type.element_type == kind:
        return tensor
    return stablehlo.convert(ir.RankedTensorType.get(tensor.type.shape, kind), tensor)
