"""Writes a chain of sums and products with constants, as of a batch norm, in one operator."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite_graph import GraphWriter
from edgekit.runtimes.tflite_schema import operator_name, operator_type

_IMAGE_RANK = 4
_Values = npt.NDArray[np.float64]
"""In more digits than a file has, so that what is merged is rounded once."""

_KINDS = frozenset({"ADD", "DIV", "MUL", "SUB"})


@dataclass(frozen=True)
class _Affine:
    """`source * scale + shift` for each channel, the last axis; what it computes is `result`."""

    place: int
    source: int
    result: int
    scale: _Values
    shift: _Values

    def after(self, first: "_Affine") -> "_Affine":
        """Return what both do, one after the other."""
        return _Affine(
            self.place,
            first.source,
            self.result,
            first.scale * self.scale,
            first.shift * self.scale + self.shift,
        )


def merge_affine(model: schema.ModelT) -> None:
    """Merge sums and products of images with constants a channel, in place.

    A batch norm that no convolution can take in becomes a depthwise convolution of one pixel,
    which int8 rounds once; litert-torch writes four operators, and int8 would round four times.
    """
    graph = model.subgraphs[0]
    readers = Counter(int(t) for operator in graph.operators for t in operator.inputs)
    readers.update(int(tensor) for tensor in graph.outputs)
    ends: dict[int, list[_Affine]] = {}
    for place, operator in enumerate(graph.operators):
        found = _affine(model, graph, place, operator)
        if found is None:
            continue
        chain = ends.pop(found.source, []) if readers[found.source] == 1 else []
        before = graph.operators[chain[-1].place] if chain else None
        if before is not None and before.builtinOptions.fusedActivationFunction:
            ends[found.source], chain = chain, []
        ends[found.result] = [*chain, found]
    chains = {chain[-1].place: chain for chain in ends.values() if len(chain) > 1}
    merged = {part.place for chain in chains.values() for part in chain}
    operators: list[schema.OperatorT] = []
    for place, operator in enumerate(graph.operators):
        if place in chains:
            operators.append(_written(model, graph, operator, chains[place]))
        elif place not in merged:
            operators.append(operator)
    graph.operators = operators


def _affine(
    model: schema.ModelT, graph: schema.SubGraphT, place: int, operator: schema.OperatorT
) -> _Affine | None:
    """Return what an operator does, if it does it to each channel of an image."""
    kind = operator_type(model, operator)
    if kind not in _KINDS:
        return None
    first, second = (int(tensor) for tensor in operator.inputs)
    result = int(operator.outputs[0])
    shape = tuple(graph.tensors[result].shape)
    is_swapped = _channels(model, graph.tensors[second], shape) is None
    source, constant = (second, first) if is_swapped else (first, second)
    values = _channels(model, graph.tensors[constant], shape)
    if values is None or tuple(graph.tensors[source].shape) != shape:
        return None
    one, zero = np.ones_like(values), np.zeros_like(values)
    match kind, is_swapped:
        case "ADD", _:
            scale, shift = one, values
        case "MUL", _:
            scale, shift = values, zero
        case "SUB", False:
            scale, shift = one, -values
        case "SUB", True:
            scale, shift = -one, values
        case "DIV", False if values.all():
            scale, shift = 1 / values, zero
        case _:
            return None
    return _Affine(place, source, result, scale, shift)


def _channels(model: schema.ModelT, tensor: schema.TensorT, shape: Sequence[int]) -> _Values | None:
    """Return a constant as a value for each channel of an image of `shape`, if it is that."""
    data = model.buffers[tensor.buffer].data
    sizes = tuple(int(size) for size in tensor.shape)
    is_constant = data is not None and tensor.type == schema.TensorType.FLOAT32
    if len(shape) != _IMAGE_RANK or not is_constant or any(size != 1 for size in sizes[:-1]):
        return None
    values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32)
    if values.size not in {1, shape[-1]} or not np.isfinite(values).all():
        return None
    return np.broadcast_to(values, shape[-1:]).astype(np.float64)


def _written(
    model: schema.ModelT,
    graph: schema.SubGraphT,
    last: schema.OperatorT,
    chain: Sequence[_Affine],
) -> schema.OperatorT:
    whole = chain[0]
    for part in chain[1:]:
        whole = part.after(whole)
    out = GraphWriter(model, graph, operator_name(graph, last))
    weight = out.constant(whole.scale.reshape(1, 1, 1, -1), np.float32)
    options = schema.DepthwiseConv2DOptionsT(
        padding=schema.Padding.VALID,
        strideW=1,
        strideH=1,
        depthMultiplier=1,
        fusedActivationFunction=last.builtinOptions.fusedActivationFunction,
    )
    inputs = [whole.source, weight, out.constant(whole.shift, np.float32)]
    out.add(schema.BuiltinOperator.DEPTHWISE_CONV_2D, inputs, [whole.result], options)
    (operator,) = out.operators
    return operator
