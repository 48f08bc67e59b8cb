"""Gives the channels that batch norms read like ranges in a TFLite file; see `equalize`."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.core.tensors import FloatArray
from edgekit.quantization.equalize import Channels, Flow, Multiplication
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.schema import operator_name, operator_type

_WRITERS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3}
"""What can write a channel larger, and which axis of its weights counts the channels."""

_PASSING = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "RELU"})
"""What does the same to a channel, however large it is written."""

_HOMOGENEOUS = {schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU}


def equalize_channels(model: schema.ModelT) -> None:
    """Scale the channels that batch norms read to what they make of them, in place."""
    graph = model.subgraphs[0]
    flow = _follow(model, graph)
    if not flow.norms:
        return
    scales = {place: _scales(model, graph, place) for place in flow.norms}
    for multiplication in flow.multiplications(scales):
        _multiply(model, graph, multiplication)


def _follow(model: schema.ModelT, graph: schema.SubGraphT) -> Flow[int]:
    flow = Flow[int]()
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
            for channels in read:
                flow.fix(channels)
        if _is_writer(model, graph, operator):
            flow.write(place, output, int(graph.tensors[output].shape[-1]))
    for tensor in graph.outputs:
        flow.fix(_channels(flow, graph, int(tensor)))
    return flow


def _channels(flow: Flow[int], graph: schema.SubGraphT, tensor: int) -> Channels:
    shape = [int(size) for size in graph.tensors[tensor].shape] if tensor >= 0 else []
    return flow.channels(tensor, shape[-1] if shape else 0)


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


def _scales(model: schema.ModelT, graph: schema.SubGraphT, place: int) -> FloatArray:
    """Return what the batch norm at `place` multiplies its channels by."""
    weight = _values(model, graph, int(graph.operators[place].inputs[1]))
    assert weight is not None
    return weight.ravel()


def _values(model: schema.ModelT, graph: schema.SubGraphT, tensor: int) -> FloatArray | None:
    held = graph.tensors[tensor]
    data = model.buffers[held.buffer].data
    if data is None or held.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(held.shape)


def _multiply(model: schema.ModelT, graph: schema.SubGraphT, by: Multiplication) -> None:
    """Multiply each channel of an operator's weights, and of its biases, by a factor."""
    operator = graph.operators[by.place]
    axis = _WRITERS[operator_type(model, operator)]
    out = GraphWriter(model, graph, operator_name(graph, operator))
    inputs = [int(tensor) for tensor in operator.inputs]
    for index, tensor in _weights(operator).items():
        if index > 1 and not by.biases:
            continue
        values = _values(model, graph, tensor)
        assert values is not None
        along = [1] * values.ndim
        along[axis if index == 1 else -1] = -1
        # A copy, since others may read the same constant.
        inputs[index] = out.constant(values * by.factors.reshape(along), np.float32)
        graph.tensors[inputs[index]].name = graph.tensors[tensor].name
    operator.inputs = inputs
