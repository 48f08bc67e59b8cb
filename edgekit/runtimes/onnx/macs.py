"""Multiply-accumulates of the operators of an ONNX model, and which of them are int8."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import onnx
from onnx import inliner

from edgekit.runtimes.macs import OperatorMacs
from edgekit.runtimes.onnx.loops import runs_of_body, scalars_of
from edgekit.runtimes.onnx.order import put_in_order

Shape = tuple[int, ...]

_INTEGER_OPS = {
    "QLinearConv": "Conv",
    "ConvInteger": "Conv",
    "QLinearMatMul": "MatMul",
    "MatMulInteger": "MatMul",
    "MatMulIntegerToFloat": "MatMul",
    "DynamicQuantizeMatMul": "MatMul",
    "QGemm": "Gemm",
}
_WEIGHT_INPUT = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3}
# onnxruntime runs these in int8 only if their output is quantized too.
_NEEDS_QUANTIZED_OUTPUT = {"Conv"}
_INT8_KERNELS = {"Conv", "MatMul", "Gemm"}
_BOUNDS = {"Relu", "Clip"}
_INT8_AS_STORED = {"LSTM", "MatMul"}
_INT8_BITS = 8
_INT8, _UINT8, _INT32 = (
    onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT32,
)


@dataclass(frozen=True)
class _Operands:
    """The shapes that one operator works on; `()` where a shape is not known."""

    node: onnx.NodeProto
    data: Shape
    weight: Shape
    other: Shape
    output: Shape


def count_macs(model: onnx.ModelProto) -> tuple[OperatorMacs, ...]:
    """Return the operators of `model` that multiply and accumulate, in order.

    A named axis counts as 1, so figures are for batch 1. The body of a loop counts as often as it
    runs; once, where the file does not say how often. What onnxruntime has no int8 kernel for
    counts as float, even if its weights are stored in int8.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    put_in_order(sized.graph)
    _fix_named_axes(sized.graph)
    _name_as_standard(sized.graph)
    inferred = onnx.shape_inference.infer_shapes(sized, data_prop=True)
    return tuple(_count(inferred.graph, {}, {}))


def _fix_named_axes(graph: onnx.GraphProto) -> None:
    """Give the inputs a batch of 1, and let the shapes of all else follow from theirs."""
    del graph.value_info[:]
    for info in graph.input:
        for dim in info.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_value = 1
    for info in graph.output:
        for dim in info.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.Clear()


def _name_as_standard(graph: onnx.GraphProto) -> None:
    """Call int8 operators by the standard's names: shapes end at one that onnx does not know."""
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                _name_as_standard(body)
        if node.op_type == "DynamicQuantizeLSTM":
            node.op_type, node.domain = "LSTM", ""
            del node.input[8:]
        if node.op_type == "DynamicQuantizeMatMul":
            node.op_type, node.domain = "MatMul", ""
            del node.input[2:]
        if node.op_type == "MatMulNBits":
            sizes = {attribute.name: attribute.i for attribute in node.attribute}
            if sizes.get("bits") == _INT8_BITS:
                weight = onnx.TensorProto(
                    name=f"{node.output[0]}/weight",
                    dims=[sizes["K"], sizes["N"]],
                    data_type=onnx.TensorProto.INT8,
                )
                graph.initializer.append(weight)
                node.op_type, node.domain = "MatMul", ""
                node.input[:] = [node.input[0], weight.name]
                del node.attribute[:]


def _count(
    graph: onnx.GraphProto, outer: Mapping[str, Shape], around: Mapping[str, onnx.TensorProto]
) -> Iterator[OperatorMacs]:
    shapes = {**outer, **_shapes(graph)}
    constants = {**around, **scalars_of(graph)}
    types = {i.name: i.data_type for i in graph.initializer}
    producers = {name: node for node in graph.node for name in node.output}
    consumers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    for node in graph.node:
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                runs = runs_of_body(node, shapes, constants)
                for found in _count(body, shapes, constants):
                    yield replace(found, macs=runs * found.macs)
        kind = _INTEGER_OPS.get(node.op_type, node.op_type)
        if kind in _FORMULAS:
            macs = _FORMULAS[kind](_operands(node, shapes))
            is_int8 = (
                node.op_type in _INTEGER_OPS
                or (kind in _INT8_AS_STORED and types.get(node.input[1]) == _INT8)
                or (
                    _is_int8(node, producers, consumers, types)
                    and not _is_bounded_in_float(node, consumers, constants)
                )
            )
            yield OperatorMacs(node.name or node.output[0], kind, macs, is_int8)


def _shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    shapes = {
        info.name: tuple(max(dim.dim_value, 1) for dim in info.type.tensor_type.shape.dim)
        for info in (*graph.input, *graph.value_info, *graph.output)
    }
    return shapes | {i.name: tuple(i.dims) for i in graph.initializer}


def _operands(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> _Operands:
    def shape(place: int) -> Shape:
        return shapes.get(node.input[place], ()) if place < len(node.input) else ()

    weight = _WEIGHT_INPUT.get(node.op_type, 1)
    return _Operands(node, shape(0), shape(weight), shape(2), shapes.get(node.output[0], ()))


def _is_int8(
    node: onnx.NodeProto,
    producers: Mapping[str, onnx.NodeProto],
    consumers: Mapping[str, list[onnx.NodeProto]],
    types: Mapping[str, int],
) -> bool:
    if node.op_type not in _INT8_KERNELS:
        return False
    read = [producers.get(name, onnx.NodeProto()) for name in node.input if name]
    if any(producer.op_type != "DequantizeLinear" for producer in read[:2]):
        return False
    # A product that adds an activation, or multiplies signed by unsigned, has no int8 kernel.
    if node.op_type == "Gemm" and any(types.get(b.input[0]) != _INT32 for b in read[2:]):
        return False
    if node.op_type == "MatMul" and [_levels(one, types) for one in read] == [_INT8, _UINT8]:
        return False
    return node.op_type not in _NEEDS_QUANTIZED_OUTPUT or all(
        reader.op_type == "QuantizeLinear"
        for reader in consumers.get(node.output[0], [onnx.NodeProto()])
    )


def _is_bounded_in_float(
    node: onnx.NodeProto,
    consumers: Mapping[str, list[onnx.NodeProto]],
    constants: Mapping[str, onnx.TensorProto],
) -> bool:
    """Whether onnxruntime leaves a product float for the activation after it.

    It takes a Relu or Clip, with one reader, for a part of the product, and has an int8 kernel for
    both only where rounding makes the activation needless.
    """
    readers = consumers.get(node.output[0], [])
    if len(readers) != 1 or readers[0].op_type not in _BOUNDS:
        return False
    after = consumers.get(readers[0].output[0], [])
    if len(after) != 1:
        return False
    if after[0].op_type != "QuantizeLinear":
        return True
    zero = [constants[name] for name in after[0].input[2:] if name in constants]
    lowest = [-128 if one.data_type == _INT8 else 0 for one in zero]
    levels = [int(onnx.numpy_helper.to_array(one).item()) for one in zero]
    return readers[0].op_type == "Relu" and bool(zero) and levels != lowest


def _levels(dequantize: onnx.NodeProto, types: Mapping[str, int]) -> int:
    """Return the type of what an operator turns into floats, as its constants tell it."""
    known = (types[name] for name in (*dequantize.input[2:], dequantize.input[0]) if name in types)
    return next(known, _UINT8)


def _conv(operands: _Operands) -> int:
    return math.prod(operands.output) * math.prod(operands.weight[1:])


def _conv_transpose(operands: _Operands) -> int:
    return math.prod(operands.data) * math.prod(operands.weight[1:])


def _matmul(operands: _Operands) -> int:
    return math.prod(operands.output) * (operands.data[-1] if operands.data else 1)


def _gemm(operands: _Operands) -> int:
    transposed = any(a.name == "transA" and a.i for a in operands.node.attribute)
    depth = operands.data[0 if transposed else -1] if operands.data else 1
    return math.prod(operands.output) * depth


def _einsum(operands: _Operands) -> int:
    (equation,) = (a.s.decode("utf-8", "replace") for a in operands.node.attribute)
    terms = equation.replace(" ", "").split("->")[0].split(",")
    shapes = (operands.data, operands.weight)
    # One operand is summed, not multiplied; letters that stand for several axes tell no sizes.
    if [len(term) for term in terms] != [len(shape) for shape in shapes]:
        return 0
    return math.prod(
        dict(
            pair
            for term, shape in zip(terms, shapes, strict=True)
            for pair in zip(term, shape, strict=True)
        ).values()
    )


def _recurrent(operands: _Operands) -> int:
    # X is [steps, batch, inputs] and multiplies W once and the state R once, in every step.
    rows = math.prod(operands.data[:2])
    return rows * (math.prod(operands.weight) + math.prod(operands.other))


_FORMULAS: Mapping[str, Callable[[_Operands], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Einsum": _einsum,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
}
