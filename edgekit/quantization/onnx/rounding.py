"""Rounds weights of an ONNX model before it is quantized; see `quantization.rounding`."""

from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np
import onnx

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.rewrite import integer
from edgekit.quantization.onnx.scales import has_scale_a_channel
from edgekit.quantization.rounding import rounded_kernels, scale_of, shift

CHANNELS = 1
"""The axis that counts the channels of what these operators read."""


def rounding(model: onnx.ModelProto, names: Collection[str]) -> frozenset[str]:
    """Return the operators among `names` whose weights `round_weights` rounds."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return frozenset(
        node.name
        for node in model.graph.node
        if node.name in names and _is_layer(node) and node.input[1] in constants
    )


def read_by(model: onnx.ModelProto, names: Collection[str]) -> tuple[str, ...]:
    """Return the tensors that the operators `names` multiply by weights, each once."""
    return tuple(dict.fromkeys(n.input[0] for n in model.graph.node if n.name in names))


def round_weights(
    graph: onnx.GraphProto,
    names: Collection[str],
    means: Mapping[str, FloatArray],
    *,
    per_channel: bool,
) -> None:
    """Round the weights of the layers `names` to what int8 can say, in place.

    Biases that one of them has for itself make up for what that adds to the mean of a channel.

    Args:
        graph: Its weights become multiples of their int8 scale, and stay float.
        names: Operators that `rounding` returned.
        means: The mean of each channel, `[channels]`, of what these read, by name.
        per_channel: Whether weights have a scale for each channel.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    exact = {
        node.input[1]: onnx.numpy_helper.to_array(constants[node.input[1]])
        for node in graph.node
        if node.name in names
    }
    for node in graph.node:
        if node.name not in names:
            continue
        weights, name = exact[node.input[1]], node.input[1]
        outputs_first = _outputs_first(node, weights)
        kernels = outputs_first.reshape(*outputs_first.shape[:2], -1)
        alone = has_scale_a_channel(node, weights.shape, per_channel=per_channel)
        rounded = rounded_kernels(kernels, scale_of(kernels, (1, 2) if alone else (0, 1, 2)))
        stored = _outputs_first(node, rounded.reshape(outputs_first.shape))
        constants[name].CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(stored), name))
        bias = node.input[2] if len(node.input) > 2 else ""
        if bias in constants and readers[bias] == 1:
            moved = shift((rounded - kernels).sum(axis=2), means[node.input[0]])
            corrected = (onnx.numpy_helper.to_array(constants[bias]) - moved).astype(np.float32)
            constants[bias].CopyFrom(onnx.numpy_helper.from_array(corrected, bias))


def _is_layer(node: onnx.NodeProto) -> bool:
    plain = node.op_type == "Gemm" and not integer(node, "transA", 0)
    return plain or node.op_type == "Conv"


def _outputs_first(node: onnx.NodeProto, weights: FloatArray) -> FloatArray:
    """Return weights `[outputs, inputs, ...]`, or these as the operator has them."""
    is_turned = node.op_type == "Gemm" and not integer(node, "transB", 0)
    return weights.T if is_turned else weights
