"""Batch normalisation that onnxruntime leaves: into the operator before, or a convolution."""

import math
from collections.abc import Sequence

import numpy as np
import onnx
from onnx.helper import make_node

from edgekit.core.tensors import Array, FloatArray
from edgekit.quantization.onnx.rewrite import Known, Replacement, integer, number


def into_weights(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Fold a batch norm into the ConvTranspose or Gemm before it, through a Reshape."""
    affine = _affine(node, known)
    before = known.only_writer(node.input[0])
    if affine is None or before is None:
        return None
    if before.op_type == "ConvTranspose":
        return _into_transposed(node, before, affine, known)
    if before.op_type != "Reshape":
        return None
    gemm = known.only_writer(before.input[0])
    features = known.shapes.get(before.input[0], ())
    if gemm is None or gemm.op_type != "Gemm" or len(features) != 2:
        return None
    shape = known.shapes.get(before.output[0], ())
    channels = len(affine[0])
    # The channels of one row must be blocks of its features: [rows, channels, ...].
    if (
        len(shape) < 2
        or shape[1] != channels
        or features[1] != math.prod(n or 0 for n in shape[1:])
    ):
        return None
    scale, shift = (np.repeat(value, features[1] // channels) for value in affine)
    return _into_gemm(node, [gemm, before], scale, shift, known)


def as_convolution(node: onnx.NodeProto, known: Known) -> Replacement | None:
    """Return a batch norm as a convolution of one weight a channel, which int8 holds exactly."""
    affine = _affine(node, known)
    rank = len(known.shapes.get(node.input[0], ()))
    if affine is None or rank < 3:
        return None
    scale, shift = affine
    name = node.output[0]
    constants: dict[str, Array] = {
        f"{name}/weight": scale.reshape(-1, *[1] * (rank - 1)),
        f"{name}/bias": shift,
    }
    made = make_node(
        "Conv",
        [node.input[0], *constants],
        [name],
        node.name,
        group=len(scale),
        kernel_shape=[1] * (rank - 2),
    )
    return Replacement([made], constants)


def _affine(node: onnx.NodeProto, known: Known) -> tuple[FloatArray, FloatArray] | None:
    """Return what a batch norm multiplies channels by and adds, shape `[channels]` each."""
    if any(name not in known.floats for name in node.input[1:5]) or len(node.output) > 1:
        return None
    weight, bias, mean, variance = (
        known.floats[name].astype(np.float64) for name in node.input[1:5]
    )
    scale = weight / np.sqrt(variance + number(node, "epsilon", 1e-5))
    return scale.astype(np.float32), (bias - mean * scale).astype(np.float32)


def _into_transposed(
    node: onnx.NodeProto,
    before: onnx.NodeProto,
    affine: tuple[FloatArray, FloatArray],
    known: Known,
) -> Replacement | None:
    weight = known.floats.get(before.input[1])
    bias = _bias(before, known)
    if weight is None or bias is None:
        return None
    scale, shift = affine
    group = integer(before, "group", 1)
    blocks = weight.reshape(group, -1, *weight.shape[1:])
    scaled = blocks * scale.reshape(group, 1, -1, *[1] * (weight.ndim - 2))
    return _folded(node, [before], scaled.reshape(weight.shape), bias * scale + shift)


def _into_gemm(
    node: onnx.NodeProto,
    before: Sequence[onnx.NodeProto],
    scale: FloatArray,
    shift: FloatArray,
    known: Known,
) -> Replacement | None:
    gemm = before[0]
    weight = known.floats.get(gemm.input[1])
    bias = _bias(gemm, known)
    if weight is None or bias is None or number(gemm, "beta", 1.0) != 1:
        return None
    columns = scale[:, None] if integer(gemm, "transB", 0) else scale[None]
    return _folded(node, before, weight * columns, bias * scale + shift)


def _bias(node: onnx.NodeProto, known: Known) -> FloatArray | None:
    """Return the constant bias of an operator, zero where it has none; None if it is computed."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros((), np.float32)
    return known.floats.get(node.input[2])


def _folded(
    node: onnx.NodeProto, before: Sequence[onnx.NodeProto], weight: Array, bias: Array
) -> Replacement:
    """Return `before` with new weights in its first operator and the output of `node`."""
    copies = [onnx.NodeProto.FromString(old.SerializeToString()) for old in before]
    constants = {f"{node.output[0]}/weight": weight, f"{node.output[0]}/bias": bias}
    copies[0].input[1:] = list(constants)
    copies[-1].output[0] = node.output[0]
    names = frozenset(old.name for old in before)
    return Replacement(copies, constants, removed=names)
