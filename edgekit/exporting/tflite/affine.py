"""Writes chains of sums and products with constants, as of batch norms, in one operator or two."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.schema import operator_name, operator_type

_IMAGE_RANK = 4
_Values = npt.NDArray[np.float64]
"""In more digits than a file has, so that what is merged is rounded once."""

_PRODUCT_AND_SUM = 2
"""Operators that a chain always comes down to."""

_KINDS = frozenset({"ADD", "DIV", "MUL", "SUB"})


@dataclass(frozen=True)
class _Affine:
    """`source * scale + shift` for each channel; what it computes is `result`.

    Both have a size for every axis of `source`, which is 1 for all but at most one.
    """

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

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values there are along each axis."""
        return self.scale.shape

    def fits(self, first: "_Affine") -> bool:
        """Whether both have the same axis for channels, or one has none."""
        return first.sizes == self.sizes or 1 in {first.scale.size, self.scale.size}

    @property
    def is_of_pixels(self) -> bool:
        """Whether it scales the channels of an image, each in its own way."""
        differs = bool(np.ptp(self.scale) > 0)
        return differs and len(self.sizes) == _IMAGE_RANK and self.sizes[-1] > 1


def merge_affine(model: schema.ModelT) -> None:
    """Merge sums and products with constants a channel, in place.

    A batch norm that no convolution can take in becomes a depthwise convolution of one pixel,
    which int8 rounds once; litert-torch writes four operators, and int8 would round four times.
    Where channels are no last axis, what is left is a product and a sum.
    """
    graph = model.subgraphs[0]
    chains = {chain[-1].place: chain for chain in _chains(model, graph)}
    merged = {part.place for chain in chains.values() for part in chain}
    operators: list[schema.OperatorT] = []
    for place, operator in enumerate(graph.operators):
        if place in chains:
            operators += _written(model, graph, operator, _whole(chains[place]))
        elif place not in merged:
            operators.append(operator)
    graph.operators = operators


def _chains(model: schema.ModelT, graph: schema.SubGraphT) -> Iterator[Sequence[_Affine]]:
    """Yield the chains that are worth merging; nothing else reads what passes inside one."""
    readers = Counter(int(t) for operator in graph.operators for t in operator.inputs)
    readers.update(int(tensor) for tensor in graph.outputs)
    ends: dict[int, list[_Affine]] = {}
    for place, operator in enumerate(graph.operators):
        found = _affine(model, graph, place, operator)
        if found is None:
            continue
        chain = ends.get(found.source, [])
        goes_on = (
            bool(chain)
            and readers[found.source] == 1
            and found.fits(_whole(chain))
            and not graph.operators[chain[-1].place].builtinOptions.fusedActivationFunction
        )
        ends[found.result] = [*ends.pop(found.source), found] if goes_on else [found]
    for chain in ends.values():
        if len(chain) > _PRODUCT_AND_SUM or (len(chain) > 1 and _whole(chain).is_of_pixels):
            yield chain


def _whole(chain: Sequence[_Affine]) -> _Affine:
    return reduce(lambda first, then: then.after(first), chain)


def _affine(
    model: schema.ModelT, graph: schema.SubGraphT, place: int, operator: schema.OperatorT
) -> _Affine | None:
    """Return what an operator does, if it is a sum or product with a value a channel."""
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
    """Return a constant with as many axes as `shape`, if it differs along one at most."""
    data = model.buffers[tensor.buffer].data
    sizes = tuple(int(size) for size in tensor.shape)
    is_constant = data is not None and tensor.type == schema.TensorType.FLOAT32
    if not is_constant or len(sizes) > len(shape) or sum(size != 1 for size in sizes) > 1:
        return None
    values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32)
    if not np.isfinite(values).all():
        return None
    return values.reshape((1,) * (len(shape) - len(sizes)) + sizes).astype(np.float64)


def _written(
    model: schema.ModelT, graph: schema.SubGraphT, last: schema.OperatorT, whole: _Affine
) -> list[schema.OperatorT]:
    """Return operators that do `whole`, and what `last` does to its result."""
    out = GraphWriter(model, graph, operator_name(graph, last))
    code = schema.BuiltinOperator
    activation = last.builtinOptions.fusedActivationFunction
    shape = graph.tensors[whole.result].shape
    if whole.is_of_pixels:
        weight = out.constant(whole.scale, np.float32)
        shift = out.constant(whole.shift.ravel(), np.float32)
        options = schema.DepthwiseConv2DOptionsT(
            padding=schema.Padding.VALID,
            strideW=1,
            strideH=1,
            depthMultiplier=1,
            fusedActivationFunction=activation,
        )
        sources = [whole.source, weight, shift]
        out.add(code.DEPTHWISE_CONV_2D, sources, [whole.result], options)
        return out.operators
    factors = [whole.source, out.constant(whole.scale, np.float32)]
    product = out.add(code.MUL, factors, [out.tensor(shape)], schema.MulOptionsT())
    added = schema.AddOptionsT(fusedActivationFunction=activation)
    out.add(code.ADD, [product, out.constant(whole.shift, np.float32)], [whole.result], added)
    return out.operators
