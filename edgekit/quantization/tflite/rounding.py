"""Rounds weights of a TFLite file before it is quantized; see `quantization.rounding`."""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgekit.core.tensors import FloatArray
from edgekit.quantization.rounding import rounded_kernels, scale_of, shift
from edgekit.quantization.tflite.plan import is_stored, stored_floats, tensor_name
from edgekit.runtimes.tflite.schema import operator_name, operator_type
from edgekit.runtimes.tflite.writer import to_bytes

CHANNELS = -1
"""The axis that counts the channels of what these operators read."""

_LAYERS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
_BIAS = 2


def read_by(model: schema.ModelT, names: Collection[str]) -> dict[str, int]:
    """Return the places of the tensors that layers among `names` multiply by weights, by name."""
    graph = model.subgraphs[0]
    places = (int(layer.inputs[0]) for layer in _layers(model, names))
    return {tensor_name(graph.tensors[place]): place for place in places}


def rounded_weights(
    content: bytes,
    names: Collection[str],
    means: Mapping[str, FloatArray],
    one_scale: Collection[str],
) -> bytes:
    """Return the file `content` with the weights of the layers among `names` as int8 can say them.

    Biases that one of them has for itself make up for what that adds to the mean of a channel.
    All stay float.

    Args:
        content: A float file; those of its operators are meant that are in its main graph.
        names: Which operators; only layers among them are rounded.
        means: The mean of each channel, `[channels]`, of what these read, by name.
        one_scale: Those whose weights have one scale for all channels.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    layers = _layers(model, names)
    readers = Counter(int(place) for operator in graph.operators for place in operator.inputs)
    exact = {int(layer.inputs[1]): _values(model, graph, layer.inputs[1]) for layer in layers}
    for layer in layers:
        place, name = int(layer.inputs[1]), operator_name(graph, layer)
        is_depthwise = operator_type(model, layer) == "DEPTHWISE_CONV_2D"
        # A depthwise kernel is [1, height, width, channels], others [channels, ..., inputs].
        turned = np.moveaxis(exact[place], -1, 0 if is_depthwise else 1)
        kernels = turned.reshape(*turned.shape[: 1 if is_depthwise else 2], -1)
        kernels = kernels[:, np.newaxis] if is_depthwise else kernels
        scale = scale_of(kernels, (0, 1, 2) if name in one_scale else (1, 2))
        rounded = rounded_kernels(kernels, scale)
        stored = np.moveaxis(rounded.reshape(turned.shape), 0 if is_depthwise else 1, -1)
        _store(model, graph, place, stored)
        bias = int(layer.inputs[_BIAS]) if len(layer.inputs) > _BIAS else -1
        if bias >= 0 and readers[bias] == 1 and is_stored(model, graph.tensors[bias]):
            read = means[tensor_name(graph.tensors[layer.inputs[0]])]
            moved = shift((rounded - kernels).sum(axis=2), read)
            _store(model, graph, bias, _values(model, graph, bias) - moved)
    return to_bytes(model)


def _layers(model: schema.ModelT, names: Collection[str]) -> list[schema.OperatorT]:
    graph = model.subgraphs[0]
    return [
        operator
        for operator in graph.operators
        if operator_type(model, operator) in _LAYERS
        and operator_name(graph, operator) in names
        and is_stored(model, graph.tensors[operator.inputs[1]])
        and not is_stored(model, graph.tensors[operator.inputs[0]])
    ]


def _values(model: schema.ModelT, graph: schema.SubGraphT, place: int) -> FloatArray:
    return stored_floats(model, graph.tensors[place])


def _store(model: schema.ModelT, graph: schema.SubGraphT, place: int, values: FloatArray) -> None:
    """Give a constant other values; what shares its buffer keeps its own."""
    graph.tensors[place].buffer = len(model.buffers)
    data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
    model.buffers.append(schema.BufferT(data=data))
