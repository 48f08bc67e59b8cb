"""Brings a float ONNX model into the form of which onnxruntime runs most in int8."""

from collections.abc import Mapping, Sequence

import onnx

from edgekit.quantization.onnx import einsum, hard, norms, spelling, transposed
from edgekit.quantization.onnx.equalize import equalize_channels
from edgekit.quantization.onnx.plan import make_plan, names_asked_for
from edgekit.quantization.onnx.rewrite import Rewrite, replaceable, rewritten

_FOLDS: Mapping[str, Rewrite] = {"BatchNormalization": norms.into_weights}

_ALWAYS: Mapping[str, Rewrite] = {
    "Clip": spelling.activation_first,
    "ConvTranspose": transposed.as_convolution,
    "Div": hard.swish,
    "Einsum": einsum.as_product,
    "GatherND": spelling.rows_as_gather,
    "Gemm": spelling.plain_product,
    "Mul": hard.swish,
    "Relu": spelling.activation_first,
}

_BETWEEN: Mapping[str, Rewrite] = {
    "BatchNormalization": norms.as_convolution,
    "Div": spelling.quotient_as_product,
    "HardSigmoid": hard.bound,
    "HardSwish": hard.product,
    "ReduceMean": spelling.mean_as_pooling,
    "Sub": spelling.difference_as_addition,
    "Sum": spelling.sum_as_additions,
}
"""Between two int8 operators these gain something; elsewhere they might hide a pattern that
onnxruntime recognises."""


def prepared(model: onnx.ModelProto, keep_float: Sequence[str]) -> onnx.ModelProto:
    """Return `model`, computing the same, without operators that int8 need not stop at.

    What matches `keep_float` by its name or type stays as it is.
    """
    asked = names_asked_for(model, keep_float)
    folded = rewritten(rewritten(model, _FOLDS, asked), _ALWAYS, asked)
    could = replaceable(folded, _BETWEEN)
    between = make_plan(folded, keep_float, carrying=could).int8
    others = {node.name for node in folded.graph.node} - between
    result = rewritten(folded, _BETWEEN, others | asked)
    equalize_channels(result, asked)
    return result
