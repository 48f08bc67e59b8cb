"""TFLite layers whose inputs are scaled as the model runs, and the smoothing before them."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgekit.core.tensors import FloatArray
from edgekit.quantization.plan import Plan
from edgekit.quantization.rounding import scale_of
from edgekit.quantization.smoothing import OUTLIERS, Channels, Smoothing, smoothings
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


@dataclass(frozen=True)
class Rounded:
    """A weight in int8.

    Attributes:
        levels: Shape `[n, channels]`, -127 to 127.
        scale: The size of a level for each of `n`.
    """

    levels: FloatArray
    scale: FloatArray


def smoothed(
    content: bytes, names: Collection[str], channels: Mapping[str, Channels]
) -> tuple[schema.ModelT, Mapping[str, Rounded]]:
    """Smooth the inputs of the layers `names` of the model of `content`; exact in float.

    Args:
        content: A float model.
        names: Layers that are to be dynamic.
        channels: What the tensors that are `smoothable` are like, by name.

    Returns:
        The model, and how its weights are best rounded, by name.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    layers = {id(layer): layer for layer in _layers(model, names)}
    weights: dict[str, list[FloatArray]] = {}
    for layer in layers.values():
        weights.setdefault(_source(graph, layer), []).append(_weight(model, layer).T)
    # An output of the model keeps its tensor, so that nothing can be added to it.
    ends = {int(place) for place in graph.outputs}
    last = {_source(graph, one) for one in layers.values() if int(one.outputs[0]) in ends}
    smooth = smoothings(channels, {name: weights[name] for name in last})
    smooth |= smoothings(channels, {n: w for n, w in weights.items() if n not in last}, OUTLIERS)
    answer: dict[str, Rounded] = {}
    inputs: dict[str, _Parted] = {}
    moved: dict[int, int] = {}
    operators: list[schema.OperatorT] = []
    for operator in graph.operators:
        name = _source(graph, operator) if id(operator) in layers else ""
        operator.inputs = [moved.get(int(place), int(place)) for place in operator.inputs]
        if id(operator) not in layers:
            operators.append(operator)
            continue
        out = GraphWriter(model, graph, f"{tensor_name(graph.tensors[operator.outputs[0]])}.smooth")
        if name not in inputs:
            inputs[name] = _parted(out, int(operator.inputs[0]), smooth[name])
        answer[tensor_name(graph.tensors[operator.inputs[1]])] = _smooth(
            out, operator, inputs[name], smooth[name], moved
        )
        operators += out.operators
    graph.operators = operators
    return model, answer


def set_weights(model: schema.ModelT, weights: Mapping[str, Rounded]) -> None:
    """Round `weights`, by name, as given, where `model` has them in int8 by channel; in place."""
    for tensor in model.subgraphs[0].tensors:
        wanted = weights.get(tensor_name(tensor))
        if wanted is None or tensor.type != schema.TensorType.INT8:
            continue
        if len(tensor.quantization.scale) == len(wanted.scale):
            tensor.quantization.scale = wanted.scale
            tensor.buffer = len(model.buffers)
            levels = np.ascontiguousarray(wanted.levels.astype(np.int8))
            model.buffers.append(schema.BufferT(data=levels.view(np.uint8).ravel()))


@dataclass(frozen=True)
class _Parted:
    """Where a smoothed tensor is, and where its outliers are, which are none below 0."""

    smooth: int
    outliers: int


def _source(graph: schema.SubGraphT, layer: schema.OperatorT) -> str:
    return tensor_name(graph.tensors[layer.inputs[0]])


def _parted(out: GraphWriter, source: int, smooth: Smoothing) -> _Parted:
    """Multiply the channels of a tensor, and gather its outliers, if there are any."""
    shape = [int(size) for size in out.graph.tensors[source].shape]
    target = out.tensor(shape)
    inputs = [source, out.constant(smooth.multiplier, np.float32)]
    out.add(schema.BuiltinOperator.MUL, inputs, [target], schema.MulOptionsT())
    if not smooth.outliers.size:
        return _Parted(target, -1)
    gathered = out.tensor([*shape[:-1], smooth.outliers.size])
    options = schema.GatherOptionsT(axis=len(shape) - 1)
    out.add(
        schema.BuiltinOperator.GATHER, [source, out.constant(smooth.outliers)], [gathered], options
    )
    return _Parted(target, gathered)


def _smooth(
    out: GraphWriter,
    layer: schema.OperatorT,
    source: _Parted,
    smooth: Smoothing,
    moved: dict[int, int],
) -> Rounded:
    """Let a layer read a smoothed tensor, and add what outliers of it come to.

    Where the result then is in another tensor, `moved` says so: the layer keeps its name.
    """
    given = _weight(out.model, layer).T
    weight = smooth.weight(given)
    tensor = out.graph.tensors[layer.inputs[1]]
    tensor.buffer = len(out.model.buffers)
    content = np.ascontiguousarray(weight.T)
    out.model.buffers.append(schema.BufferT(data=content.view(np.uint8).ravel()))
    layer.inputs = [source.smooth, *layer.inputs[1:]]
    out.operators.append(layer)
    if smooth.outliers.size:
        of_outliers = out.constant(given[smooth.outliers].T, np.float32)
        result = int(layer.outputs[0])
        shape = out.graph.tensors[result].shape
        options = schema.FullyConnectedOptionsT(keepNumDims=layer.builtinOptions.keepNumDims)
        code = schema.BuiltinOperator
        part = out.add(
            code.FULLY_CONNECTED,
            [source.outliers, of_outliers, -1],
            [out.tensor(shape)],
            options,
        )
        moved[result] = out.tensor(shape)
        after = schema.AddOptionsT(
            fusedActivationFunction=layer.builtinOptions.fusedActivationFunction
        )
        layer.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
        out.add(code.ADD, [result, part], [moved[result]], after)
    scale = scale_of(weight, (0,))[0].astype(np.float32)
    return Rounded(smooth.levels(weight, scale).T, scale)


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
