"""TFLite layers whose inputs are scaled as the model runs, and the smoothing before them."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from edgekit.core.tensors import FloatArray
from edgekit.quantization.plan import Plan
from edgekit.quantization.rounding import scale_of
from edgekit.quantization.smoothing import OUTLIERS, Channels, Smoothing, groups_of, smoothings
from edgekit.quantization.tflite.plan import (
    EMBEDDING,
    feeding_loops,
    is_stored,
    stored_floats,
    tensor_name,
)
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.schema import operator_name, operator_type

RUNTIME = (
    "LiteRT runs that right, and tflite-runtime 2.14 wrong without a word; 'scales: static' is "
    "for both"
)
"""Where files with such layers run, for people."""

PART = ".smooth.part"
"""What parts of a layer, but for the first, are called after the name of the layer."""

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
            groups = 1 if name in last else groups_of(len(smooth[name].multiplier))
            inputs[name] = _parted(out, int(operator.inputs[0]), smooth[name], groups)
        answer |= _smooth(out, operator, inputs[name], smooth[name], moved)
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
    """Where the groups of channels of a smoothed tensor are, and its outliers; below 0 if none."""

    groups: tuple[int, ...]
    outliers: int


def _source(graph: schema.SubGraphT, layer: schema.OperatorT) -> str:
    return tensor_name(graph.tensors[layer.inputs[0]])


def _parted(out: GraphWriter, source: int, smooth: Smoothing, groups: int) -> _Parted:
    """Multiply the channels of a tensor, part them, and gather its outliers, if there are any."""
    code = schema.BuiltinOperator
    shape = [int(size) for size in out.graph.tensors[source].shape]
    target = out.tensor(shape)
    inputs = [source, out.constant(smooth.multiplier, np.float32)]
    out.add(code.MUL, inputs, [target], schema.MulOptionsT())
    parts = [target]
    axis = len(shape) - 1
    if groups > 1:
        parts = [out.tensor([*shape[:-1], shape[-1] // groups]) for _ in range(groups)]
        options = schema.SplitOptionsT(numSplits=groups)
        out.add(code.SPLIT, [out.constant(axis), target], parts, options)
    if not smooth.outliers.size:
        return _Parted(tuple(parts), -1)
    gathered = out.tensor([*shape[:-1], smooth.outliers.size])
    options = schema.GatherOptionsT(axis=axis)
    out.add(code.GATHER, [source, out.constant(smooth.outliers)], [gathered], options)
    return _Parted(tuple(parts), gathered)


def _smooth(
    out: GraphWriter,
    layer: schema.OperatorT,
    source: _Parted,
    smooth: Smoothing,
    moved: dict[int, int],
) -> Mapping[str, Rounded]:
    """Let a layer read the first group of a smoothed tensor, and add what the rest comes to.

    Where the result then is in another tensor, `moved` says so: the layer keeps its name.

    Returns:
        The weights of all groups, by name.
    """
    given = _weight(out.model, layer).T
    smoothed = smooth.weight(given)
    parts = smoothed.reshape(len(source.groups), -1, smoothed.shape[1])
    scales = scale_of(parts, (1,))[:, 0].astype(np.float32)
    of_channels = np.repeat(scales, parts.shape[1], axis=0)
    levels = smooth.levels(smoothed, of_channels).reshape(parts.shape)
    result = int(layer.outputs[0])
    name = tensor_name(out.graph.tensors[result])
    first, *others = (out.constant(part.T, np.float32) for part in parts)
    layer.inputs = [source.groups[0], first, *layer.inputs[2:]]
    out.operators.append(layer)
    terms = [
        _product(out, layer, group, weight, f"{name}{PART}{place}")
        for place, (group, weight) in enumerate(zip(source.groups[1:], others, strict=True), 1)
    ]
    if smooth.outliers.size:
        weight = out.constant(given[smooth.outliers].T, np.float32)
        terms.append(_product(out, layer, source.outliers, weight, f"{name}.smooth.outliers"))
    if terms:
        moved[result] = _sum(out, layer, terms)
    names = (tensor_name(out.graph.tensors[place]) for place in (first, *others))
    return {
        name: Rounded(of_part.T, scale)
        for name, of_part, scale in zip(names, levels, scales, strict=True)
    }


def _product(out: GraphWriter, layer: schema.OperatorT, source: int, weight: int, name: str) -> int:
    """Multiply a part of the channels that `layer` reads, in a tensor of its own."""
    target = out.tensor(out.graph.tensors[layer.outputs[0]].shape)
    out.graph.tensors[target].name = name.encode()
    options = schema.FullyConnectedOptionsT(keepNumDims=layer.builtinOptions.keepNumDims)
    inputs = [source, weight, -1]
    return out.add(schema.BuiltinOperator.FULLY_CONNECTED, inputs, [target], options)


def _sum(out: GraphWriter, layer: schema.OperatorT, terms: Sequence[int]) -> int:
    """Add `terms` to what `layer` computes, and do what it does after its own sum."""
    total = int(layer.outputs[0])
    shape = out.graph.tensors[total].shape
    activation = layer.builtinOptions.fusedActivationFunction
    layer.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
    for term in terms:
        last = activation if term == terms[-1] else schema.ActivationFunctionType.NONE
        options = schema.AddOptionsT(fusedActivationFunction=last)
        total = out.add(schema.BuiltinOperator.ADD, [total, term], [out.tensor(shape)], options)
    return total


def _layers(model: schema.ModelT, names: Collection[str]) -> list[schema.OperatorT]:
    graph = model.subgraphs[0]
    return [
        operator
        for operator in graph.operators
        if operator_type(model, operator) == _LAYER and operator_name(graph, operator) in names
    ]


def _weight(model: schema.ModelT, layer: schema.OperatorT) -> FloatArray:
    """Return the weight of a layer, `[n, channels]`."""
    return stored_floats(model, model.subgraphs[0].tensors[layer.inputs[1]])
