"""ONNX products that scale each row of their input, for cores without int8 dot products.

Standard operators do it around MatMulInteger, whose kernels are faster than float on any core. A
row is parted into groups of channels, and each is shifted by the middle of its range and divided
by a 127th of half of it, so that it uses all levels. The few largest channels are multiplied in
float, as they would decide the scale.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.graph import float_tensors
from edgekit.quantization.onnx.products import constant, multiplying, products_among, weight_of
from edgekit.quantization.rounding import LEVELS, scale_of
from edgekit.quantization.smoothing import OUTLIERS, Channels, Smoothing, groups_of, smoothings

RUNTIME = (
    "they do so by standard operators, with a few channels in float, because a target has no int8 "
    "dot products"
)
"""Why products are written like this, for people."""

_ZERO_POINT = np.uint8(128)
_SMALLEST_STEP = np.float32(1e-12)
"""A row that holds one value all over is divided by this, not by 0."""

_AXES_AS_INPUT = 18
"""The opset from which ReduceMax takes its axes as an input."""


@dataclass(frozen=True)
class RowProduct:
    """The weight of a product in int8, for rows that are smoothed and scaled in groups.

    Attributes:
        smooth: What is done to the input.
        levels: Shape `[groups, channels of a group, n]`, -127 to 127; 0 for outliers.
        scale: The size of a level, `[groups, n]`.
        of_outliers: What the outliers are multiplied by, `[outliers, n]`.
        rank: How many axes the input has, the last of which are its channels.
    """

    smooth: Smoothing
    levels: FloatArray
    scale: FloatArray
    of_outliers: FloatArray
    rank: int


def row_products(
    model: onnx.ModelProto, names: Collection[str], channels: Mapping[str, Channels]
) -> Mapping[str, RowProduct]:
    """Return the int8 weights of the products among the operators `names`, by name.

    `channels` says what the tensors that are `smoothable` are like.
    """
    values = {tensor.name: tensor for tensor in model.graph.initializer}
    found = products_among(model, names)
    smooth = smoothings(channels, multiplying(found, values), OUTLIERS)
    infos = float_tensors(model.graph)
    ranks = {name: len(infos[name].type.tensor_type.shape.dim) for name in smooth}
    return {
        n.name: _rounded(weight_of(n, values), smooth[n.input[0]], ranks[n.input[0]]) for n in found
    }


def row_input(model: onnx.ModelProto, source: str, product: RowProduct) -> Iterator[onnx.NodeProto]:
    """Yield what turns the rows of a tensor into levels, once for all products that read it."""
    graph, make, rows = model.graph, onnx.helper.make_node, f"{source}/rows"
    smooth = product.smooth
    width = len(smooth.multiplier)
    groups = groups_of(width)
    kept = [0] * (product.rank - 1)

    def shaped(what: str, *ends: int) -> str:
        return constant(graph, f"{rows}/{what}", np.array([*kept, *ends], np.int64))

    factor = constant(graph, f"{rows}/smooth", smooth.multiplier)
    yield make("Mul", [source, factor], [f"{rows}/smoothed"])
    parts = shaped("parts", groups, width // groups)
    yield make("Reshape", [f"{rows}/smoothed", parts], [f"{rows}/grouped"])
    yield _reduced(model, "ReduceMax", f"{rows}/grouped", f"{rows}/high")
    yield _reduced(model, "ReduceMin", f"{rows}/grouped", f"{rows}/low")
    half = constant(graph, f"{rows}/half", np.float32(0.5))
    yield make("Add", [f"{rows}/high", f"{rows}/low"], [f"{rows}/ends"])
    yield make("Mul", [f"{rows}/ends", half], [f"{rows}/middle"])
    yield make("Sub", [f"{rows}/high", f"{rows}/middle"], [f"{rows}/reach"])
    a_level = constant(graph, f"{rows}/level", np.float32(1 / LEVELS))
    smallest = constant(graph, f"{rows}/smallest", _SMALLEST_STEP)
    yield make("Mul", [f"{rows}/reach", a_level], [f"{rows}/step"])
    yield make("Max", [f"{rows}/step", smallest], [f"{rows}/scale"])
    yield make("Sub", [f"{rows}/grouped", f"{rows}/middle"], [f"{rows}/shifted"])
    yield make("Div", [f"{rows}/shifted", f"{rows}/scale"], [f"{rows}/divided"])
    one = constant(graph, f"{rows}/one", np.float32(1))
    zero = constant(graph, f"{rows}/zero", _ZERO_POINT)
    yield make("QuantizeLinear", [f"{rows}/divided", one, zero], [f"{rows}/levels"])
    joined, flat = shaped("joined", width), shaped("flat", groups)
    yield make("Reshape", [f"{rows}/levels", joined], [f"{rows}/all"])
    yield make("Reshape", [f"{rows}/middle", flat], [f"{rows}/middles"])
    yield make("Reshape", [f"{rows}/scale", flat], [f"{rows}/scales"])
    yield _split(graph, f"{rows}/all", f"{rows}/level", width, groups)
    yield _split(graph, f"{rows}/scales", f"{rows}/scale", groups, groups)
    if smooth.outliers.size:
        places = constant(graph, f"{rows}/places", smooth.outliers)
        yield make("Gather", [source, places], [f"{rows}/outliers"], axis=-1)


def row_product(
    graph: onnx.GraphProto, node: onnx.NodeProto, product: RowProduct
) -> Iterator[onnx.NodeProto]:
    """Yield what multiplies the levels that `row_input` makes, in the place of `node`."""
    make, rows, name = onnx.helper.make_node, f"{node.input[0]}/rows", node.output[0]
    back = constant(graph, f"{name}/back", (product.levels * product.scale[:, None]).sum(axis=1))
    yield make("MatMul", [f"{rows}/middles", back], [f"{name}/middle"])
    terms = [f"{name}/middle", *node.input[2:]]
    if product.smooth.outliers.size:
        weight = constant(graph, f"{name}/outliers", product.of_outliers)
        yield make("MatMul", [f"{rows}/outliers", weight], [f"{name}/large"])
        terms.append(f"{name}/large")
    for group, (levels, scale) in enumerate(zip(product.levels, product.scale, strict=True)):
        part = f"{name}/{group}"
        weight = constant(graph, f"{part}/levels", levels.astype(np.int8))
        inputs = [f"{rows}/level/{group}", weight, f"{rows}/zero"]
        yield make("MatMulInteger", inputs, [f"{part}/sums"], f"{node.name}/{group}")
        yield make("Cast", [f"{part}/sums"], [f"{part}/floats"], to=onnx.TensorProto.FLOAT)
        by = constant(graph, f"{part}/scale", scale)
        yield make("Mul", [f"{part}/floats", by], [f"{part}/scaled"])
        yield make("Mul", [f"{part}/scaled", f"{rows}/scale/{group}"], [part])
        terms.append(part)
    yield make("Sum", terms, [name])


def _rounded(weight: FloatArray, smooth: Smoothing, rank: int) -> RowProduct:
    smoothed = smooth.weight(weight)
    groups = groups_of(len(weight))
    parts = smoothed.reshape(groups, -1, weight.shape[1])
    scale = scale_of(parts, (1,))[:, 0].astype(np.float32)
    of_channels = np.repeat(scale, len(weight) // groups, axis=0)
    levels = smooth.levels(smoothed, of_channels).reshape(parts.shape)
    return RowProduct(smooth, levels, scale, weight[smooth.outliers], rank)


def _split(
    graph: onnx.GraphProto, source: str, target: str, size: int, count: int
) -> onnx.NodeProto:
    sizes = constant(graph, f"{target}/sizes", np.full(count, size // count, np.int64))
    outputs = [f"{target}/{group}" for group in range(count)]
    return onnx.helper.make_node("Split", [source, sizes], outputs, axis=-1)


def _reduced(model: onnx.ModelProto, kind: str, source: str, target: str) -> onnx.NodeProto:
    opset = max(one.version for one in model.opset_import if one.domain in {"", "ai.onnx"})
    if opset < _AXES_AS_INPUT:
        return onnx.helper.make_node(kind, [source], [target], axes=[-1])
    axes = constant(model.graph, f"{target}/axes", np.array([-1], np.int64))
    return onnx.helper.make_node(kind, [source, axes], [target])
