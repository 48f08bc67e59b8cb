"""Int8 storage for the weights and large constants of operators that compute in float.

`int8 -> Cast -> Mul -> operator`: onnxruntime folds the two steps while it loads the file, so
the file is small and the operator as fast as with float weights; DequantizeLinear in their
place would run in every inference.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import onnx

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.graph import all_nodes, bodies
from edgekit.quantization.plan import HURTS, Plan
from edgekit.quantization.rounding import nearest_levels, scale_of

WEIGHTS: Mapping[str, tuple[int, ...]] = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "Einsum": (0, 1),
    "Gather": (0,),
    "Gemm": (1,),
    "GRU": (1, 2),
    "LSTM": (1, 2),
    "MatMul": (0, 1),
    "RNN": (1, 2),
}
"""Which inputs of which operators can be weights."""

_KEPT_AXES = {"ConvTranspose": (1,), "GRU": (0, 1), "LSTM": (0, 1), "RNN": (0, 1)}

_TAKING_CONSTANTS = frozenset({"Add", "Concat", "Div", "Max", "Min", "Mul", "Sub", "Where"})
"""What position tables and masks go into; a constant is to them as any other tensor."""

_SMALLEST = 512
"""Elements below which two more operators and a scale take more bytes than int8 saves."""

_SHARE = 1000
"""A table of less than this part of all constants stays float: nobody would see the bytes saved.

The positions of all-MiniLM-L6-v2 are 0.04 % of its file, and their rounding cost it 2 dB.
"""

_LONG_ROW = 16
"""Values from which a row of a table is worth a scale of its own."""


def store_in_int8(graph: onnx.GraphProto, plan: Plan) -> frozenset[str]:
    """Store the constant weights of the operators in int8 that `plan` leaves in float.

    So are large constants that operators without weights read, unless it hurts.

    Returns:
        The names of the operators whose weights were.
    """
    weighted = {node.name for node in all_nodes(graph) if node.op_type in WEIGHTS}
    return frozenset(_store(graph, plan, {})) & weighted


def stored_convolutions(graph: onnx.GraphProto, plan: Plan) -> frozenset[str]:
    """Return the convolutions of `graph` whose weights `store_in_int8` stores, by name."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    return frozenset(
        node.name
        for node in graph.node
        if node.op_type == "Conv"
        and plan.may_store(node.name)
        and node.input[1] in constants
        and is_worth_storing(constants[node.input[1]])
    )


def part_weights(graph: onnx.GraphProto, names: Collection[str]) -> None:
    """Give weights that operators of these `names` read along different axes a copy each.

    Scales go along one axis of a weight, and an autoencoder that reads its weight forwards and
    backwards needs them along both.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    axes: dict[str, dict[tuple[int, ...], str]] = {}
    for node in graph.node:
        for place in WEIGHTS.get(node.op_type, ()) if node.name in names else ():
            tensor = constants.get(node.input[place]) if place < len(node.input) else None
            if tensor is None:
                continue
            kept = _kept_axes(node, tensor, place)
            known = axes.setdefault(tensor.name, {kept: tensor.name})
            if kept not in known:
                known[kept] = f"{tensor.name}/{len(known)}"
                values = onnx.numpy_helper.to_array(tensor)
                graph.initializer.append(onnx.numpy_helper.from_array(values, known[kept]))
            node.input[place] = known[kept]


def name_biases_apart(graph: onnx.GraphProto) -> None:
    """Give biases that several operators read names that do not end where a number may follow.

    onnxruntime's quantizer copies such a bias `b` as `b0` and `b1`, whatever else is called so.
    """
    readers = [node for node in graph.node if node.op_type in {"Conv", "Gemm"}]
    counts = Counter(node.input[2] for node in readers if len(node.input) > 2)
    renamed = [one for one in graph.initializer if counts[one.name] > 1]
    for tensor in renamed:
        copied = onnx.TensorProto()
        copied.CopyFrom(tensor)
        copied.name = f"{tensor.name}/shared"
        graph.initializer.append(copied)
        for node in readers:
            if len(node.input) > 2 and node.input[2] == tensor.name:
                node.input[2] = copied.name


def reads_large_constant(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether `node`, which has no weights, reads one of `constants` that int8 makes smaller."""
    return node.op_type in _TAKING_CONSTANTS and any(
        name in constants and _is_table(constants[name], constants) for name in node.input
    )


def _store(
    graph: onnx.GraphProto,
    plan: Plan,
    outer: Mapping[str, onnx.TensorProto],
) -> Iterator[str]:
    constants = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    stored: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for body in bodies(node):
            yield from _store(body, plan, constants)
        if not plan.may_store(node.name):
            continue
        for place in _places(node, plan):
            name = node.input[place] if place < len(node.input) else ""
            if name in constants and _may_be_int8(node, constants[name], constants):
                if name not in stored:
                    tensor = constants[name]
                    stored[name] = _stored(graph, tensor, _kept_axes(node, tensor, place))
                node.input[place] = stored[name][-1].output[0]
                yield node.name
    # An operator kept in float may still read the original; trimming drops it if nothing does.
    steps = [step for group in stored.values() for step in group]
    after = [*steps, *graph.node]
    del graph.node[:]
    graph.node.extend(after)


def _places(node: onnx.NodeProto, plan: Plan) -> Iterable[int]:
    """Return which inputs of an operator may be stored in int8."""
    if node.op_type in _TAKING_CONSTANTS and plan.reasons[node.name][1] != HURTS:
        return range(len(node.input))
    return WEIGHTS.get(node.op_type, ())


def _may_be_int8(
    node: onnx.NodeProto, tensor: onnx.TensorProto, constants: Mapping[str, onnx.TensorProto]
) -> bool:
    if node.op_type in _TAKING_CONSTANTS:
        return _is_table(tensor, constants)
    return is_worth_storing(tensor)


def _is_table(tensor: onnx.TensorProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a constant is worth it and no vector: biases and gains go into every activation."""
    if sum(size > 1 for size in tensor.dims) < 2 or not is_worth_storing(tensor):
        return False
    everything = sum(int(np.prod(one.dims)) for one in constants.values())
    return int(np.prod(tensor.dims)) * _SHARE >= everything


def is_worth_storing(tensor: onnx.TensorProto) -> bool:
    """Whether a constant takes fewer bytes as int8 beside its operator."""
    if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < _SMALLEST:
        return False
    return bool(np.isfinite(onnx.numpy_helper.to_array(tensor)).all())


def _kept_axes(node: onnx.NodeProto, tensor: onnx.TensorProto, place: int) -> tuple[int, ...]:
    """Return the axes along which each slice of a weight, input `place`, has its own scale."""
    if node.op_type in _KEPT_AXES:
        return _KEPT_AXES[node.op_type]
    if node.op_type == "MatMul":
        return (max(len(tensor.dims) - 2 + place, 0),)
    if node.op_type == "Einsum":
        return _axes_of_the_answer(node, tensor, place)
    if node.op_type == "Gemm":
        return (0,) if any(a.name == "transB" and a.i for a in node.attribute) else (1,)
    if node.op_type in _TAKING_CONSTANTS:
        wide = tuple(axis for axis, size in enumerate(tensor.dims) if size > 1)
        return wide[:-1] if tensor.dims[wide[-1]] >= _LONG_ROW else ()
    return (0,)


def _axes_of_the_answer(
    node: onnx.NodeProto, tensor: onnx.TensorProto, place: int
) -> tuple[int, ...]:
    """Return the axes of an Einsum's weight that it does not sum over, if it sums over enough."""
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation")
    inputs, _, output = equation.replace(" ", "").partition("->")
    term = inputs.split(",")[place]
    summed = [size for axis, size in zip(term, tensor.dims, strict=False) if axis not in output]
    if "." in term or math.prod(summed) < _LONG_ROW:
        return ()
    return tuple(at for at, axis in enumerate(term) if axis in output)


def _stored(
    graph: onnx.GraphProto, tensor: onnx.TensorProto, kept: tuple[int, ...]
) -> list[onnx.NodeProto]:
    """Put `tensor` into `graph` as int8; return the nodes whose last output is its value."""
    values: FloatArray = onnx.numpy_helper.to_array(tensor)
    reduced = tuple(axis for axis in range(values.ndim) if axis not in kept)
    scale = scale_of(values, reduced).astype(np.float32)
    rounded = nearest_levels(values, scale).astype(np.int8)
    name = tensor.name
    graph.initializer.append(onnx.numpy_helper.from_array(rounded, f"{name}/int8"))
    graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}/scale"))
    cast = onnx.helper.make_node(
        "Cast", [f"{name}/int8"], [f"{name}/cast"], to=onnx.TensorProto.FLOAT
    )
    multiply = onnx.helper.make_node("Mul", [f"{name}/cast", f"{name}/scale"], [f"{name}/float"])
    return [cast, multiply]
