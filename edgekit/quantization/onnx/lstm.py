"""LSTM in int8 on onnxruntime: one operator that quantizes its inputs as it runs."""

from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.graph import bodies
from edgekit.quantization.plan import Plan

_DOMAIN = "com.microsoft"
_INPUTS = 8
"""Inputs that both operators share; scales and zero points come behind them."""


def make_lstms_dynamic(model: onnx.ModelProto, plan: Plan) -> frozenset[str]:
    """Turn the LSTMs of `model` that may be int8 into DynamicQuantizeLSTM, in place.

    Returns:
        The names of those that were.
    """
    made = frozenset(_convert(model.graph, plan, {}))
    if made and all(opset.domain != _DOMAIN for opset in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    return made


def _convert(
    graph: onnx.GraphProto, plan: Plan, outer: Mapping[str, onnx.TensorProto]
) -> Iterator[str]:
    constants = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    for node in graph.node:
        for body in bodies(node):
            yield from _convert(body, plan, constants)
        if node.op_type == "LSTM" and plan.may_store(node.name) and _fits(node, constants):
            inputs = [*node.input, *[""] * (_INPUTS - len(node.input))]
            for place in (1, 2):
                stored = _quantized(constants[node.input[place]])
                graph.initializer.extend(stored)
                inputs[place] = stored[0].name
                inputs += [tensor.name for tensor in stored[1:]]
            node.op_type, node.domain = f"DynamicQuantize{node.op_type}", _DOMAIN
            node.input[:] = inputs
            kept = [attribute for attribute in node.attribute if attribute.name != "layout"]
            del node.attribute[:]
            node.attribute.extend(kept)
            yield node.name


def _fits(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether the weights are known, and the operator's only order of axes is the node's."""
    if any(attribute.name == "layout" and attribute.i for attribute in node.attribute):
        return False
    return all(
        name in constants and bool(np.isfinite(onnx.numpy_helper.to_array(constants[name])).all())
        for name in node.input[1:3]
    )


def _quantized(tensor: onnx.TensorProto) -> list[onnx.TensorProto]:
    """Return weights `[directions, 4 * hidden, n]` as int8, transposed; scales; zero points."""
    values: FloatArray = onnx.numpy_helper.to_array(tensor)
    largest = np.abs(values).max(axis=2)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    rounded = np.clip(np.rint(values / scale[..., None]), -127, 127).astype(np.int8)
    parts = {
        "int8": np.ascontiguousarray(rounded.transpose(0, 2, 1)),
        "scale": scale,
        "zero": np.zeros(scale.shape, np.int8),
    }
    return [
        onnx.numpy_helper.from_array(array, f"{tensor.name}/{kind}")
        for kind, array in parts.items()
    ]
