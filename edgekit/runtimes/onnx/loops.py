"""How often the body of an ONNX Loop or Scan runs in one inference, where the file says it."""

from collections.abc import Iterator, Mapping

import onnx
from onnx import numpy_helper

_TRIP_COUNT, _CONDITION = 0, 1
_CONDITION_IN = 1
_FIRST_SEQUENCE = 0


def runs_of_body(
    node: onnx.NodeProto,
    shapes: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, onnx.TensorProto],
) -> int:
    """Return how often the bodies of a node run.

    A Scan runs once an element of the sequences that it reads. A Loop runs as often as its
    constant trip count says, if its condition stays true. Any other body counts once.

    Args:
        node: The node, of any type.
        shapes: Shapes of tensors in its graph, by name.
        constants: Constants of its graph and those around it, by name.
    """
    if node.op_type == "Scan":
        return _steps_of_scan(node, shapes)
    if node.op_type == "Loop":
        return _trips_of_loop(node, constants)
    return 1


def scalars_of(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    """Return the constants of a graph that are single values, by name."""
    return {
        name: tensor
        for name, tensor in _constants_of(graph)
        if tensor.data_location != onnx.TensorProto.EXTERNAL and set(tensor.dims) <= {1}
    }


def _constants_of(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    yield from ((one.name, one) for one in graph.initializer)
    for node in graph.node:
        if node.op_type == "Constant":
            yield from ((node.output[0], one.t) for one in node.attribute if one.name == "value")


def _steps_of_scan(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    said = {attribute.name: attribute for attribute in node.attribute}
    count = said["num_scan_inputs"].i if "num_scan_inputs" in said else 0
    shape = shapes.get(node.input[-count], ()) if 0 < count <= len(node.input) else ()
    axis = said["scan_input_axes"].ints[_FIRST_SEQUENCE] if "scan_input_axes" in said else 0
    return shape[axis] if -len(shape) <= axis < len(shape) else 1


def _trips_of_loop(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> int:
    body = next((attribute.g for attribute in node.attribute if attribute.name == "body"), None)
    count = constants.get(node.input[_TRIP_COUNT])
    asked = node.input[_CONDITION]
    if body is None or count is None or not (asked == "" or _is_true(constants.get(asked))):
        return 1
    if not _stays_true(body, constants):
        return 1
    return max(int(numpy_helper.to_array(count).item()), 0)


def _stays_true(body: onnx.GraphProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether a body hands its condition on, or says `true` itself."""
    passed = {body.input[_CONDITION_IN].name}
    for node in body.node:
        if node.op_type == "Identity" and node.input[0] in passed:
            passed.update(node.output)
    after = body.output[0].name
    return after in passed or _is_true({**constants, **scalars_of(body)}.get(after))


def _is_true(tensor: onnx.TensorProto | None) -> bool:
    return tensor is not None and bool(numpy_helper.to_array(tensor).all())
