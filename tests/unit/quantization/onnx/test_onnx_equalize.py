from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import graph_model, tensor

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.equalize import equalize_channels

WIDTHS = np.array([0.01, 0.1, 1, 10], np.float32)
PIXELS = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)


def normal(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def net(
    activation: str = "Relu",
    *,
    outputs: Sequence[str] = ("y",),
    axis: int = 1,
    between: Sequence[onnx.NodeProto] = (),
) -> onnx.ModelProto:
    """Two convolutions side by side, whose channels are joined, pooled and normed."""
    size = 8 if axis == 1 else 4
    constants = {
        "w1": normal(1, 4, 3, 1, 1) * WIDTHS.reshape(-1, 1, 1, 1),
        "w2": normal(2, 4, 3, 1, 1) * WIDTHS.reshape(-1, 1, 1, 1),
        "b": (1 + normal(3, 4) ** 2) * WIDTHS,
        "scale": np.resize(1 / WIDTHS, (size, 1, 1, 1)),
        "shift": normal(4, size),
        "six": np.array(6, np.float32),
    }
    bounds = ["", "six"] if activation == "Clip" else []
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b"], ["c1"], name="left"),
        helper.make_node("Conv", ["x", "w2", "b"], ["c2"], name="right"),
        helper.make_node("Concat", ["c1", "c2"], ["joined"], name="join", axis=axis),
        *between,
        helper.make_node(activation, ["joined", *bounds], ["a"], name="activation"),
        helper.make_node("MaxPool", ["a"], ["pooled"], name="pool", kernel_shape=[2, 2]),
        helper.make_node("Conv", ["pooled", "scale", "shift"], ["y"], name="norm", group=size),
    ]
    model = graph_model(
        nodes,
        [tensor("x", ["batch", 3, 6, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, name: str) -> FloatArray:
    """Return the values of one tensor of a model."""
    copied = onnx.ModelProto.FromString(model.SerializeToString())
    del copied.graph.output[:]
    copied.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(copied.SerializeToString())
    answer: FloatArray = session.run(None, {"x": PIXELS})[0]
    return answer


def unevenness(model: onnx.ModelProto) -> float:
    """Return how much wider the widest joined channel is than the narrowest."""
    spread = run(model, "joined").std(axis=(0, 2, 3))
    return float(spread.max() / spread.min())


def test_channels_get_like_ranges_and_the_model_computes_the_same() -> None:
    model = net()
    before = net()

    equalize_channels(model, ())

    np.testing.assert_allclose(run(model, "y"), run(before, "y"), rtol=1e-4, atol=1e-4)
    assert unevenness(before) > 100
    assert unevenness(model) < 10  # what is left is in the random weights


BODY = helper.make_graph(
    [helper.make_node("Identity", ["c1"], ["inner"])],
    "body",
    [],
    [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
)
READ_BY_A_BODY = (
    helper.make_node("If", ["yes"], ["unread"], name="if", then_branch=BODY, else_branch=BODY),
)


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        (net("Clip"), ()),
        (net(outputs=("y", "joined")), ()),
        (net(axis=2), ()),
        (net(), ("norm",)),
        (net(), ("left", "right")),
        (net(between=[helper.make_node("Erf", ["joined"], ["read"], name="other")]), ()),
    ],
    ids=["cut off above", "an output", "joined along rows", "norm kept", "writers kept", "read"],
)
def test_channels_that_something_else_depends_on_stay(
    model: onnx.ModelProto, kept: Sequence[str]
) -> None:
    before = run(model, "joined")

    equalize_channels(model, kept)

    np.testing.assert_array_equal(run(model, "joined"), before)


def test_channels_that_a_body_reads_stay() -> None:
    model = net(between=READ_BY_A_BODY)
    model.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    before = run(model, "c1")

    equalize_channels(model, ())

    np.testing.assert_array_equal(run(model, "c1"), before)
    assert unevenness(model) > 10
