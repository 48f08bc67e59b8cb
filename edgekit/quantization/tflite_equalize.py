"""Gives the channels of a tensor like ranges, where a batch norm reads them, at no cost.

A tensor has one int8 scale for all channels. A batch norm that no convolution could take in
amplifies the narrow ones, and their rounding with them. So the layers that write a channel
scale it up, and the batch norms, which are depthwise convolutions of one pixel, down again:
weights have a scale for each channel, and the model computes the same.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgekit.core.tensors import FloatArray
from edgekit.runtimes.tflite_graph import GraphWriter
from edgekit.runtimes.tflite_schema import operator_name, operator_type

_WRITERS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""What can write a channel larger, and which axis of its weights counts the channels."""

_PASSING = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "RELU"})
"""What does the same to a channel, however large it is written."""

_HOMOGENEOUS = {schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU}

_NARROWEST = 1e-3
"""No channel is written larger by more than the inverse of this, against the others."""

_UNKNOWN = -1
_Factors = npt.NDArray[np.float64]
_Channels = npt.NDArray[np.int64]


@dataclass
class _Flow:
    """Where the channels of every tensor come from, and who reads them.

    Channels that a layer writes are numbered; `_UNKNOWN` is one that is taken as it is. `norms`
    are batch norms, with the numbers of the channels they read.
    """

    of_tensor: dict[int, _Channels] = field(default_factory=dict)
    written: dict[int, _Channels] = field(default_factory=dict)
    norms: dict[int, _Channels] = field(default_factory=dict)
    fixed: set[int] = field(default_factory=set)
    count: int = 0


def equalize_channels(model: schema.ModelT) -> None:
    """Scale the channels that batch norms read to what they make of them, in place."""
    graph = model.subgraphs[0]
    flow = _follow(model, graph)
    if not flow.norms:
        return
    factors = _factors(model, graph, flow)
    for place, channels in flow.written.items():
        _multiply(model, graph, place, _taken(factors, channels), biases=True)
    for place, channels in flow.norms.items():
        _multiply(model, graph, place, 1 / _taken(factors, channels), biases=False)


def _follow(model: schema.ModelT, graph: schema.SubGraphT) -> _Flow:
    flow = _Flow()
    for place, operator in enumerate(graph.operators):
        output = int(operator.outputs[0])
        read = [_channels(flow, graph, int(tensor)) for tensor in operator.inputs]
        if _is_concatenation(model, graph, operator):
            flow.of_tensor[output] = np.concatenate(read)
        elif operator_type(model, operator) in _PASSING and _is_homogeneous(operator):
            flow.of_tensor[output] = read[0]
        elif _is_norm(model, graph, operator):
            flow.norms[place] = read[0]
        else:
            flow.fixed.update(int(number) for channels in read for number in channels)
        if _is_writer(model, graph, operator):
            count = int(graph.tensors[output].shape[-1])
            flow.of_tensor[output] = flow.written[place] = np.arange(count) + flow.count
            flow.count += count
    for tensor in graph.outputs:
        flow.fixed.update(int(number) for number in _channels(flow, graph, int(tensor)))
    return flow


def _channels(flow: _Flow, graph: schema.SubGraphT, tensor: int) -> _Channels:
    if tensor in flow.of_tensor:
        return flow.of_tensor[tensor]
    shape = [int(size) for size in graph.tensors[tensor].shape] if tensor >= 0 else []
    return np.full(shape[-1] if shape else 0, _UNKNOWN)


def _is_concatenation(
    model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT
) -> bool:
    """Whether an operator puts the channels of one tensor behind those of another."""
    if operator_type(model, operator) != "CONCATENATION" or not _is_homogeneous(operator):
        return False
    last = len(graph.tensors[operator.outputs[0]].shape) - 1
    return operator.builtinOptions.axis in {-1, last}


def _is_homogeneous(operator: schema.OperatorT) -> bool:
    """Whether a larger input makes the output larger by as much: no upper end cuts it off."""
    return getattr(operator.builtinOptions, "fusedActivationFunction", 0) in _HOMOGENEOUS


def _is_writer(model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    return (
        operator_type(model, operator) in _WRITERS
        and _is_homogeneous(operator)
        and all(_values(model, graph, place) is not None for place in _weights(operator).values())
    )


def _is_norm(model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    if operator_type(model, operator) != "DEPTHWISE_CONV_2D":
        return False
    weight = int(operator.inputs[1])
    is_one_pixel = tuple(graph.tensors[weight].shape[:3]) == (1, 1, 1)
    is_constant = _values(model, graph, weight) is not None
    return is_one_pixel and is_constant and operator.builtinOptions.depthMultiplier == 1


def _weights(operator: schema.OperatorT) -> dict[int, int]:
    """Return the weights of a layer and its biases, if it has some, by which input they are."""
    return {place: int(t) for place, t in enumerate(operator.inputs) if place > 0 and t >= 0}


def _factors(model: schema.ModelT, graph: schema.SubGraphT, flow: _Flow) -> _Factors:
    """Return by how much larger each numbered channel is written.

    That is what batch norms multiply it by: the geometric mean where there are several.
    """
    logs, counts = np.zeros(flow.count), np.zeros(flow.count)
    for place, channels in flow.norms.items():
        weight = _values(model, graph, int(graph.operators[place].inputs[1]))
        assert weight is not None
        scale = np.abs(weight.ravel())
        scale = np.maximum(scale, scale.max() * _NARROWEST)
        known = channels != _UNKNOWN
        if scale.all():
            np.add.at(logs, channels[known], np.log(scale[known]))
            np.add.at(counts, channels[known], 1)
    counts[[number for number in flow.fixed if number != _UNKNOWN]] = 0
    factors: _Factors = np.where(counts > 0, np.exp(logs / np.maximum(counts, 1)), 1)
    return factors


def _taken(factors: _Factors, channels: _Channels) -> _Factors:
    taken: _Factors = np.where(channels == _UNKNOWN, 1, factors[channels])
    return taken


def _values(model: schema.ModelT, graph: schema.SubGraphT, tensor: int) -> FloatArray | None:
    held = graph.tensors[tensor]
    data = model.buffers[held.buffer].data
    if data is None or held.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(held.shape)


def _multiply(
    model: schema.ModelT,
    graph: schema.SubGraphT,
    place: int,
    factors: _Factors,
    *,
    biases: bool,
) -> None:
    """Multiply each channel of an operator's weights, and of its biases, by a factor."""
    operator = graph.operators[place]
    axis = _WRITERS[operator_type(model, operator)]
    out = GraphWriter(model, graph, operator_name(graph, operator))
    inputs = [int(tensor) for tensor in operator.inputs]
    for index, tensor in _weights(operator).items():
        if index > 1 and not biases:
            continue
        values = _values(model, graph, tensor)
        assert values is not None
        along = [1] * values.ndim
        along[axis if index == 1 else -1] = -1
        # A copy, since others may read the same constant.
        inputs[index] = out.constant(values * factors.reshape(along), np.float32)
        graph.tensors[inputs[index]].name = graph.tensors[tensor].name
    operator.inputs = inputs
