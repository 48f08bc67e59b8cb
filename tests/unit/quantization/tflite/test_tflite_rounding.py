import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from support.tflite_models import Builder

from edgekit.core.tensors import FloatArray
from edgekit.quantization.rounding import means_of_channels
from edgekit.quantization.tflite.rounding import CHANNELS, read_by, rounded_weights
from edgekit.runtimes.tflite.schema import operator_name

X = np.random.default_rng(0).uniform(1, 2, (32, 1, 6, 6, 4)).astype(np.float32)
CODE, OPTIONS = schema.BuiltinOperator, schema.BuiltinOptions


def convolutions() -> bytes:
    """A depthwise convolution `d` and a plain one `y`, which share no bias: `x [1, 6, 6, 4]`."""
    rng = np.random.default_rng(1)
    net = Builder()
    x, d = net.tensor("x", [1, 6, 6, 4]), net.tensor("d", [1, 4, 4, 4])
    y = net.tensor("y", [1, 3, 3, 5])
    w1, b1, w2, b2 = (
        net.tensor(name, [*shape], value=rng.normal(size=shape).astype(np.float32))
        for name, shape in (("w1", (1, 3, 3, 4)), ("b1", (4,)), ("w2", (5, 2, 2, 4)), ("b2", (5,)))
    )
    valid = schema.Padding.VALID
    depthwise = schema.DepthwiseConv2DOptionsT(
        padding=valid, strideW=1, strideH=1, depthMultiplier=1
    )
    plain = schema.Conv2DOptionsT(padding=valid, strideW=1, strideH=1)
    tags = (OPTIONS.DepthwiseConv2DOptions, OPTIONS.Conv2DOptions)
    net.operator(CODE.DEPTHWISE_CONV_2D, [x, w1, b1], [d], options=(tags[0], depthwise))
    net.operator(CODE.CONV_2D, [d, w2, b2], [y], options=(tags[1], plain))
    return net.build([x], [y], names=(["x"], ["y"]))


def values(content: bytes, *names: str) -> dict[str, FloatArray]:
    """Return the tensors of these names for every row of `X`."""
    interpreter = Interpreter(
        model_content=content, num_threads=1, experimental_preserve_all_tensors=True
    )
    interpreter.allocate_tensors()
    places = {one["name"]: one["index"] for one in interpreter.get_tensor_details()}
    rows: dict[str, list[FloatArray]] = {name: [] for name in names}
    for row in X:
        interpreter.set_tensor(places["x"], row)
        interpreter.invoke()
        for name in names:
            rows[name].append(interpreter.get_tensor(places[name]))
    return {name: np.concatenate(found) for name, found in rows.items()}


@pytest.mark.filterwarnings("ignore:.*preserve_all_tensors:UserWarning")  # it is told to
def test_rounded_layers_give_the_float_mean_of_every_channel_and_fit_their_scales() -> None:
    content = convolutions()
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    names = {operator_name(graph, operator) for operator in graph.operators}
    read = values(content, *read_by(model, names))

    found = rounded_weights(content, names, means_of_channels(lambda: (read,), CHANNELS), ())

    exact, rounded = values(content, "d", "y"), values(found, "d", "y")
    for name, wanted in exact.items():
        error = (rounded[name] - wanted).mean(axis=(0, 1, 2))
        assert np.abs(error).max() < float(np.ptp(wanted)) / 2550  # a tenth of an int8 step
        assert np.abs(rounded[name] - wanted).max() > 0  # the weights did move
    held = values(found, "w1", "w2")
    for name, axes in (("w1", (0, 1, 2)), ("w2", (1, 2, 3))):
        weights = held[name][: 1 if name == "w1" else 5]
        steps = weights / np.abs(weights).max(axis=axes, keepdims=True) * 127
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)  # float32 of up to 127
