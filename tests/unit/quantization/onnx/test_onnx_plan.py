from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import graph_model, tensor, weights
from support.quantizing import call_here, quantized

from edgekit.core.artifact import Format
from edgekit.quantization.onnx.plan import make_plan


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


def between(middle: onnx.NodeProto) -> onnx.ModelProto:
    """An operator that reads `c` and writes `z`, each `[batch, 8, ...]`, between convolutions."""
    constants = {
        "first": weights(8, 3, 1, 1),
        "last": weights(4, 8, 1, 1),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "around": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "slope": weights(8, 1, 1),
    }
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["c"], name="first"),
        middle,
        helper.make_node("Conv", ["z", "last"], ["y"], name="last"),
    ]
    model = graph_model(
        nodes,
        [tensor("x", ["batch", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return onnx.shape_inference.infer_shapes(model)


def runs(path: Path, scratch: Path) -> list[str]:
    """Return the types of operators that onnxruntime makes of a file."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(scratch / "runs.onnx")
    onnxruntime.InferenceSession(path, options)
    return [node.op_type for node in onnx.load(scratch / "runs.onnx").graph.node]


@pytest.mark.parametrize(
    "middle",
    [
        helper.make_node("Softmax", ["c"], ["z"]),
        helper.make_node("Sigmoid", ["c"], ["z"]),
        helper.make_node("Resize", ["c", "", "twice"], ["z"], mode="nearest"),
        helper.make_node("Pad", ["c", "around"], ["z"], mode="constant"),
    ],
    ids=["Softmax", "Sigmoid", "Resize nearest", "Pad constant"],
)
def test_what_is_planned_as_int8_runs_in_int8(middle: onnx.NodeProto, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3, 6, 6)).astype(np.float32)

    made = quantized(tmp_path, Format.ONNX, between(middle), x=x)

    assert made.report.float_operators == ()
    kinds = runs(made.report.path, tmp_path)
    # One step into int8 at the input and one out at the output: none on the way.
    assert (kinds.count("QuantizeLinear"), kinds.count("DequantizeLinear")) == (1, 1)


@pytest.mark.parametrize(
    "middle",
    [
        helper.make_node("Resize", ["c", "", "twice"], ["z"], mode="linear"),
        helper.make_node("Pad", ["c", "around"], ["z"], mode="reflect"),
        helper.make_node("PRelu", ["c", "slope"], ["z"]),
        helper.make_node("Tanh", ["c"], ["z"]),
    ],
    ids=["Resize linear", "Pad reflect", "PRelu", "Tanh"],
)
def test_what_runs_in_float_is_named_with_its_reason(
    middle: onnx.NodeProto, tmp_path: Path
) -> None:
    x = np.random.default_rng(0).standard_normal((20, 3, 6, 6)).astype(np.float32)

    made = quantized(tmp_path, Format.ONNX, between(middle), x=x)

    (told,) = made.report.float_operators
    assert (told.op_type, told.count) == (middle.op_type, 1)
    assert "onnxruntime has no int8 kernel" in told.reason
    assert middle.op_type in runs(made.report.path, tmp_path)


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("count", [1, 2])
def test_a_softmax_over_one_value_stays_float(axis: int, count: int) -> None:
    constants = {"first": weights(count, 3, 1), "last": weights(4, count, 1)}
    model = graph_model(
        [
            helper.make_node("Conv", ["x", "first"], ["c"], name="first"),
            helper.make_node("Softmax", ["c"], ["z"], name="shares", axis=axis),
            helper.make_node("Conv", ["z", "last"], ["y"], name="last"),
        ],
        [tensor("x", ["batch", 3, count])],
        [tensor("y", ["batch", 4, count])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )

    plan = make_plan(onnx.shape_inference.infer_shapes(model), ())

    assert ("shares" in plan.int8) == (count > 1)
    assert {"first", "last"} <= plan.int8
