"""HardSigmoid and HardSwish of ONNX graphs, said in operators with int8 kernels in onnxruntime.

Both are a bound, and int8 has that for nothing: what is rounded to a range ends there. Factors go
into the weights in front, so that MobileNetV3's activation costs an addition and a product.
"""

import math
from collections.abc import Iterator

import numpy as np
import onnx
from onnx.helper import make_node

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.rewrite import Known, Replacement, number

_SIXTH = 1 / 6
_CLOSE = 1e-5


def swish(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return a HardSwish that a file spells out, with `node` as the last step of it."""
    if node.op_type not in {"Div", "Mul"}:
        return None
    for source, found in _products(node, known):
        inner = [known.writers[one.input[0]] for one in found if one.op_type == "Clip"]
        steps = [one.name for one in (*found, *inner)]
        made = make_node("HardSwish", [source], [node.output[0]], node.name)
        return Replacement([made], removed=frozenset(steps))
    return None


def bound(node: onnx.NodeProto, known: Known) -> Replacement:
    """Return a HardSigmoid as a Clip, its factor and sum in the weights before it if possible."""
    slope, offset = number(node, "alpha", 0.2), number(node, "beta", 0.5)
    scaled = _scaled(node.input[0], known, slope, offset)
    output = node.output[0]
    ends = {f"{output}/low": np.zeros((), np.float32), f"{output}/high": np.ones((), np.float32)}
    if scaled is not None:
        layer, constants = scaled
        clip = make_node("Clip", [layer.output[0], *ends], [output], node.name)
        return Replacement([layer, clip], {**constants, **ends}, frozenset({layer.name}))
    return Replacement(
        [
            _step("Mul", node, node.input[0], "slope", "scaled"),
            _step("Add", node, f"{output}/scaled", "offset", "sum"),
            make_node("Clip", [f"{output}/sum", *ends], [output], node.name),
        ],
        {
            f"{output}/slope": np.array(slope, np.float32),
            f"{output}/offset": np.array(offset, np.float32),
            **ends,
        },
    )


def product(node: onnx.NodeProto, known: Known) -> Replacement:
    """Return a HardSwish, `x * clip(x / 6 + 1 / 2, 0, 1)`, as an addition and a product.

    With `u`, which is `x` over the root of 6, it is `u * clip(u + 3 / sqrt(6), 0, sqrt(6))`.
    """
    source, output = node.input[0], node.output[0]
    root = math.sqrt(6)
    scaled = _scaled(source, known, 1 / root, 0)
    constants = {
        f"{output}/half": np.array(3 / root, np.float32),
        f"{output}/low": np.zeros((), np.float32),
        f"{output}/high": np.array(root, np.float32),
    }
    removed = frozenset[str]()
    if scaled is None:
        first = _step("Mul", node, source, "inverse", "scaled")
        constants[f"{output}/inverse"] = np.array(1 / root, np.float32)
    else:
        first, of_layer = scaled
        constants |= of_layer
        removed = frozenset({first.name})
    start = first.output[0]
    nodes = [
        first,
        _step("Add", node, start, "half", "sum"),
        make_node(
            "Clip",
            [f"{output}/sum", f"{output}/low", f"{output}/high"],
            [f"{output}/gate"],
            f"{node.name}/gate",
        ),
        make_node("Mul", [start, f"{output}/gate"], [output], node.name),
    ]
    return Replacement(nodes, constants, removed)


def _step(
    op_type: str, node: onnx.NodeProto, source: str, constant: str, result: str
) -> onnx.NodeProto:
    """Return an operator on `source` and a constant, named after what `node` writes."""
    output = node.output[0]
    inputs = [source, f"{output}/{constant}"]
    return make_node(op_type, inputs, [f"{output}/{result}"], f"{node.name}/{result}")


def _products(node: onnx.NodeProto, known: Known) -> Iterator[tuple[str, list[onnx.NodeProto]]]:
    """Yield `x` and the operators in between where `node` computes the HardSwish of `x`."""
    scaled = _by_constant(node, known)
    if scaled is not None:
        inner, factor = known.only_writer(scaled[0]), scaled[1]
        if inner is not None and inner.op_type == "Mul":
            for source, other in (inner.input, inner.input[::-1]):
                gate = known.only_writer(other)
                if gate is not None and _is_gate(gate, source, factor, known):
                    yield source, [inner, gate]
        return
    for source, other in (node.input, node.input[::-1]):
        gate = known.only_writer(other)
        found = None if gate is None else _by_constant(gate, known)
        if gate is not None and gate.op_type == "HardSigmoid":
            is_same = gate.input[0] == source and math.isclose(
                number(gate, "alpha", 0.2), _SIXTH, rel_tol=_CLOSE
            )
            if is_same and number(gate, "beta", 0.5) == 0.5:
                yield source, [gate]
        elif gate is not None and found is not None:
            clip = known.only_writer(found[0])
            if clip is not None and _is_gate(clip, source, found[1], known):
                yield source, [gate, clip]


def _is_gate(node: onnx.NodeProto, source: str, factor: float, known: Known) -> bool:
    """Whether `node`, times `factor`, is `clip(source + 3, 0, 6) / 6`."""
    if node.op_type != "Clip" or len(node.input) < 3:
        return False
    added = known.only_writer(node.input[0])
    if added is None or added.op_type != "Add" or source not in added.input:
        return False
    other = next((name for name in added.input if name != source), source)
    found = [_single(known, name) for name in (other, *node.input[1:])]
    wanted = (3.0, 0.0, 6.0)
    return math.isclose(factor, _SIXTH, rel_tol=_CLOSE) and tuple(found) == wanted


def _by_constant(node: onnx.NodeProto, known: Known) -> tuple[str, float] | None:
    """Return what `node` multiplies by a single number, and by which."""
    if node.op_type == "Mul":
        for name, other in (node.input, node.input[::-1]):
            value = _single(known, other)
            if value is not None:
                return name, value
    if node.op_type == "Div" and (value := _single(known, node.input[1])):
        return node.input[0], 1 / value
    return None


def _single(known: Known, name: str) -> float | None:
    value = known.floats.get(name)
    return float(value.ravel()[0]) if value is not None and value.size == 1 else None


def _scaled(
    name: str, known: Known, factor: float, offset: float
) -> tuple[onnx.NodeProto, dict[str, FloatArray]] | None:
    """Return the convolution that writes `name` with `factor * name + offset` in its weights.

    None unless it is one, and nothing else reads what it writes.
    """
    layer = known.only_writer(name)
    weights = known.floats.get(layer.input[1]) if layer is not None else None
    if layer is None or layer.op_type != "Conv" or weights is None:
        return None
    bias: FloatArray | None = np.zeros(len(weights), np.float32)
    if len(layer.input) > 2 and layer.input[2]:
        bias = known.floats.get(layer.input[2])
    if bias is None:
        return None
    made = onnx.NodeProto()
    made.CopyFrom(layer)
    made.output[0] = f"{name}/scaled"
    del made.input[1:]
    made.input.extend([f"{name}/weights", f"{name}/bias"])
    constants = {
        f"{name}/weights": (factor * weights).astype(np.float32),
        f"{name}/bias": (factor * bias + offset).astype(np.float32),
    }
    return made, constants
