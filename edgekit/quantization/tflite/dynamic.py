"""TFLite layers whose inputs are scaled as the model runs, and the smoothing before them."""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgekit.core.tensors import FloatArray
from edgekit.quantization.plan import Plan
from edgekit.quantization.smoothing import shared_factors
from edgekit.quantization.tflite.plan import EMBEDDING, feeding_loops, is_stored, tensor_name
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.schema import operator_name, operator_type

RUNTIME = (
    "LiteRT runs that right, and tflite-runtime 2.14 wrong without a word; 'scales: static' is "
    "for both"
)
"""Where files with such layers run, for people."""

_LAYER = "FULLY_CONNECTED"


def can_be_dynamic(model: schema.ModelT, plan: Plan) -> frozenset[str]:
    """Return the operators of `plan` in int8 that have a dynamic form, by name.

    Layers that share weights have none: each would smooth its own input, and store weights of
    its own.
    """
    graph = model.subgraphs[0]
    readers = Counter(int(place) for operator in graph.operators for place in operator.inputs)
    feeding = feeding_loops(model)

    def can_be(operator: schema.OperatorT) -> bool:
        op_type = operator_type(model, operator)
        if op_type != _LAYER:
            return op_type == EMBEDDING
        data, weight = (graph.tensors[place] for place in operator.inputs[:2])
        alone = readers[int(operator.inputs[1])] == 1 and is_stored(model, weight)
        return alone and not is_stored(model, data)

    names = {operator_name(graph, operator) for operator in graph.operators if can_be(operator)}
    return frozenset(names & plan.int8 - feeding)


def smoothable(model: schema.ModelT, names: Collection[str]) -> dict[str, int]:
    """Return the places of the tensors that the layers among `names` multiply, by name."""
    graph = model.subgraphs[0]
    layers = _layers(model, names)
    return {tensor_name(graph.tensors[layer.inputs[0]]): int(layer.inputs[0]) for layer in layers}


def smoothed(
    content: bytes, names: Collection[str], largest: Mapping[str, FloatArray]
) -> schema.ModelT:
    """Return the model of `content` with the inputs of the layers `names` smoothed; exact in float.

    `largest` has the largest magnitude of each channel, shape `[channels]`, of the tensors that
    are `smoothable`.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    layers = _layers(model, names)
    weights: dict[str, list[FloatArray]] = {}
    for layer in layers:
        source = tensor_name(graph.tensors[layer.inputs[0]])
        weights.setdefault(source, []).append(_weight(model, layer).T)
    factors = shared_factors(largest, weights)
    divided: dict[str, int] = {}
    operators: list[schema.OperatorT] = []
    chosen = {id(layer) for layer in layers}
    for operator in graph.operators:
        if id(operator) in chosen:
            source = tensor_name(graph.tensors[operator.inputs[0]])
            if source not in divided:
                out = GraphWriter(model, graph, f"{source}.smooth")
                divided[source] = _divided(out, int(operator.inputs[0]), factors[source])
                operators += out.operators
            scaled = _weight(model, operator) * factors[source]
            weight = graph.tensors[operator.inputs[1]]
            weight.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT(data=np.frombuffer(scaled.tobytes(), np.uint8)))
            operator.inputs = [divided[source], *operator.inputs[1:]]
        operators.append(operator)
    graph.operators = operators
    return model


def _layers(model: schema.ModelT, names: Collection[str]) -> list[schema.OperatorT]:
    graph = model.subgraphs[0]
    return [
        operator
        for operator in graph.operators
        if operator_type(model, operator) == _LAYER and operator_name(graph, operator) in names
    ]


def _weight(model: schema.ModelT, layer: schema.OperatorT) -> FloatArray:
    """Return the weight of a layer, `[n, channels]`."""
    tensor = model.subgraphs[0].tensors[layer.inputs[1]]
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes()
    return np.frombuffer(data, np.float32).reshape(tensor.shape)


def _divided(out: GraphWriter, source: int, by: FloatArray) -> int:
    target = out.tensor(out.graph.tensors[source].shape)
    inputs = [source, out.constant(1 / by, np.float32)]
    return out.add(schema.BuiltinOperator.MUL, inputs, [target], schema.MulOptionsT())
