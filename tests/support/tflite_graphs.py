"""TFLite models with weights large enough to be worth quantizing."""

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from support.tflite_models import Builder

_FULLY_CONNECTED = schema.BuiltinOperator.FULLY_CONNECTED
_OPTIONS = schema.BuiltinOptions.FullyConnectedOptions


def _weights(*shape: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32) * np.float32(0.3)


def classifier() -> bytes:
    """Two layers: `x [1, 32]` to `y [1, 8]`, 64 hidden."""
    net = Builder()
    x = net.tensor("x", [1, 32])
    hidden = net.tensor("app.Net/torch.nn.Linear_hidden;", [1, 64])
    y = net.tensor("y", [1, 8])
    w1 = net.tensor("w1", [64, 32], value=_weights(64, 32, seed=1))
    b1 = net.tensor("b1", [64], value=_weights(64, seed=2))
    w2 = net.tensor("w2", [8, 64], value=_weights(8, 64, seed=3))
    b2 = net.tensor("b2", [8], value=_weights(8, seed=4))
    relu = schema.FullyConnectedOptionsT(fusedActivationFunction=schema.ActivationFunctionType.RELU)
    net.operator(_FULLY_CONNECTED, [x, w1, b1], [hidden], options=(_OPTIONS, relu))
    plain = (_OPTIONS, schema.FullyConnectedOptionsT())
    net.operator(_FULLY_CONNECTED, [hidden, w2, b2], [y], options=plain)
    return net.build([x], [y], names=(["x"], ["y"]))


def outlying(width: int = 32, activation: int = schema.ActivationFunctionType.NONE) -> bytes:
    """Four layers; one value between the first two is 300 times the others."""
    net = Builder()
    x = data = net.tensor("x", [1, width])
    for layer in range(4):
        weight = _weights(width, width, seed=layer)
        if layer == 0:
            weight[0] *= 300
        if layer == 1:
            weight[:, 0] /= 300
        place = net.tensor(f"w{layer}", [width, width], value=weight)
        following = net.tensor(f"layer{layer}", [1, width])
        options = (_OPTIONS, schema.FullyConnectedOptionsT(fusedActivationFunction=activation))
        net.operator(_FULLY_CONNECTED, [data, place, -1], [following], options=options)
        data = following
    return net.build([x], [data], names=(["x"], ["y"]))


def residual(channels: int) -> bytes:
    """`x [1, 12, 12, channels]` to 16 channels, what a convolution makes of these added, to `y`."""
    net = Builder()
    x = net.tensor("x", [1, 12, 12, channels])
    stem, inner, both, y = (net.tensor(n, [1, 12, 12, 16]) for n in ("stem", "inner", "both", "y"))
    biases = [net.tensor(f"b{i}", [16], value=_weights(16, seed=i)) for i in range(3)]
    kernel = [1, 3, 3, 16] if channels == 1 else [16, 3, 3, channels]
    first = net.tensor("w0", kernel, value=_weights(*kernel, seed=3))
    second, third = (
        net.tensor(f"w{i}", [16, 3, 3, 16], value=_weights(16, 3, 3, 16, seed=3 + i))
        for i in (1, 2)
    )
    tags, codes = schema.BuiltinOptions, schema.BuiltinOperator
    wide = schema.DepthwiseConv2DOptionsT(strideW=1, strideH=1, depthMultiplier=16)
    plain = (tags.Conv2DOptions, schema.Conv2DOptionsT(strideW=1, strideH=1))
    add = (tags.AddOptions, schema.AddOptionsT())
    depthwise = (tags.DepthwiseConv2DOptions, wide)
    code, options = (
        (codes.DEPTHWISE_CONV_2D, depthwise) if channels == 1 else (codes.CONV_2D, plain)
    )
    net.operator(code, [x, first, biases[0]], [stem], options=options)
    net.operator(codes.CONV_2D, [stem, second, biases[1]], [inner], options=plain)
    net.operator(codes.ADD, [stem, inner], [both], options=add)
    net.operator(codes.CONV_2D, [both, third, biases[2]], [y], options=plain)
    return net.build([x], [y], names=(["x"], ["y"]))


def loop() -> bytes:
    """`x [1, 32]`, multiplied by one matrix three times in a WHILE loop, to `y [1, 32]`."""
    net = Builder()
    start = net.tensor("start", [1], "int32", value=np.zeros(1, np.int32))
    x = net.tensor("x", [1, 32])
    steps = net.tensor("steps", [1], "int32")
    y = net.tensor("y", [1, 32])
    options = schema.WhileOptionsT(condSubgraphIndex=1, bodySubgraphIndex=2)
    tag = schema.BuiltinOptions.WhileOptions
    net.operator(schema.BuiltinOperator.WHILE, [start, x], [steps, y], options=(tag, options))

    condition = _inside(net)
    count, _ = _loop_variables(condition)
    three = condition.tensor("three", [1], "int32", value=np.full(1, 3, np.int32))
    again = condition.tensor("again", [1], "int32")
    condition.graph.tensors[again].type = schema.TensorType.BOOL
    condition.operator(schema.BuiltinOperator.LESS, [count, three], [again])
    condition.graph.outputs = [again]

    body = _inside(net)
    count, state = _loop_variables(body)
    one = body.tensor("one", [1], "int32", value=np.ones(1, np.int32))
    weight = body.tensor("weight", [32, 32], value=_weights(32, 32, seed=1))
    following = body.tensor("following", [1], "int32")
    product = body.tensor("product", [1, 32])
    add = (schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
    body.operator(schema.BuiltinOperator.ADD, [count, one], [following], options=add)
    plain = (_OPTIONS, schema.FullyConnectedOptionsT())
    body.operator(_FULLY_CONNECTED, [state, weight, -1], [product], options=plain)
    body.graph.outputs = [following, product]
    return net.build([x], [y], names=(["x"], ["y"]))


def _inside(net: Builder) -> Builder:
    """Return a builder for one more graph of the same model."""
    inner = Builder()
    inner.model = net.model
    net.model.subgraphs.append(inner.graph)
    return inner


def _loop_variables(inner: Builder) -> tuple[int, int]:
    count = inner.tensor("count", [1], "int32")
    state = inner.tensor("state", [1, 32])
    inner.graph.inputs = [count, state]
    return count, state


def placed() -> bytes:
    """One layer and a table that is added to its result: `x [1, 2, 32]` to `y [1, 2, 256]`."""
    net = Builder()
    x = net.tensor("x", [1, 2, 32])
    product = net.tensor("product", [1, 2, 256])
    y = net.tensor("y", [1, 2, 256])
    weight = net.tensor("weight", [256, 32], value=_weights(256, 32, seed=1))
    table = net.tensor("table", [2, 256], value=_weights(2, 256, seed=2))
    plain = (_OPTIONS, schema.FullyConnectedOptionsT(keepNumDims=True))
    net.operator(_FULLY_CONNECTED, [x, weight, -1], [product], options=plain)
    add = (schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
    net.operator(schema.BuiltinOperator.ADD, [product, table], [y], options=add)
    return net.build([x], [y], names=(["x"], ["y"]))


def swishing() -> bytes:
    """Two layers and a HARD_SWISH between them: `x [1, 32]` to `y [1, 8]`, 64 hidden."""
    net = Builder()
    x = net.tensor("x", [1, 32])
    hidden, swished = (net.tensor(name, [1, 64]) for name in ("hidden", "swished"))
    y = net.tensor("y", [1, 8])
    w1 = net.tensor("w1", [64, 32], value=_weights(64, 32, seed=1))
    w2 = net.tensor("w2", [8, 64], value=_weights(8, 64, seed=3))
    plain = (_OPTIONS, schema.FullyConnectedOptionsT())
    net.operator(_FULLY_CONNECTED, [x, w1, -1], [hidden], options=plain)
    net.operator(schema.BuiltinOperator.HARD_SWISH, [hidden], [swished])
    net.operator(_FULLY_CONNECTED, [swished, w2, -1], [y], options=plain)
    return net.build([x], [y], names=(["x"], ["y"]))


def hybrid(scales: int, code: int = _FULLY_CONNECTED) -> bytes:
    """`x [1, 32]` floats, multiplied by int8 weights with so many scales, to `y [1, 64]`."""
    net = Builder()
    x, y = net.tensor("x", [1, 32]), net.tensor("y", [1, 64])
    values = np.random.default_rng(0).integers(-127, 128, (64, 32), np.int8)
    weight = net.tensor("w", [64, 32], "int8", value=values, scale=[0.01] * scales)
    plain = (_OPTIONS, schema.FullyConnectedOptionsT())
    net.operator(code, [x, weight, -1], [y], options=plain)
    return net.build([x], [y], names=(["x"], ["y"]))
