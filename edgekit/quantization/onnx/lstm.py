"""LSTM in int8 on onnxruntime: one operator that quantizes its inputs as it runs."""

from collections.abc import Collection, Mapping

import numpy as np
import onnx

from edgekit.core.tensors import Array, FloatArray
from edgekit.quantization.onnx.graph import bodies
from edgekit.quantization.rounding import nearest_levels, scale_of

_DOMAIN = "com.microsoft"
_INPUTS = 8
"""Inputs that both operators share; scales and zero points come behind them."""


def make_lstms_dynamic(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Turn the LSTMs of `model` with these `names` into DynamicQuantizeLSTM, in place.

    Those that the operator cannot do stay.
    """
    _convert(model.graph, names, {})


def _convert(
    graph: onnx.GraphProto, names: Collection[str], outer: Mapping[str, onnx.TensorProto]
) -> None:
    constants = {**outer, **{tensor.name: tensor for tensor in graph.initializer}}
    for node in graph.node:
        for body in bodies(node):
            _convert(body, names, constants)
        if node.op_type == "LSTM" and node.name in names and _fits(node, constants):
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
    scale = scale_of(values, (2,))[..., 0].astype(np.float32)
    rounded = nearest_levels(values, scale[..., None]).astype(np.int8)
    parts: dict[str, Array] = {
        "int8": np.ascontiguousarray(rounded.transpose(0, 2, 1)),
        "scale": scale,
        "zero": np.zeros(scale.shape, np.int8),
    }
    return [
        onnx.numpy_helper.from_array(array, f"{tensor.name}/{kind}")
        for kind, array in parts.items()
    ]
