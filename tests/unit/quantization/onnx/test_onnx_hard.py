from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from support.onnx_models import graph_model, tensor, weights

from edgekit.core.tensors import FloatArray
from edgekit.quantization.onnx.plan import make_plan
from edgekit.quantization.onnx.prepare import prepared

X = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype(np.float32) * 4
NUMBERS = {"three": 3, "zero": 0, "six": 6, "sixth": 1 / 6}

Step = tuple[str, Sequence[str], str]

SPELLED: dict[str, list[Step]] = {
    "one operator": [("HardSwish", ["h"], "s")],
    "divided last": [
        ("Add", ["h", "three"], "a"),
        ("Clip", ["a", "zero", "six"], "c"),
        ("Mul", ["h", "c"], "m"),
        ("Div", ["m", "six"], "s"),
    ],
    "divided before": [
        ("Add", ["three", "h"], "a"),
        ("Clip", ["a", "zero", "six"], "c"),
        ("Mul", ["c", "sixth"], "d"),
        ("Mul", ["d", "h"], "s"),
    ],
    "another bound": [
        ("Add", ["h", "three"], "a"),
        ("Clip", ["a", "zero", "three"], "c"),
        ("Mul", ["h", "c"], "m"),
        ("Mul", ["m", "sixth"], "s"),
    ],
    "hard sigmoid": [("HardSigmoid", ["h"], "s")],
}


def between_convolutions(steps: list[Step], *, shared: bool = False) -> onnx.ModelProto:
    """`steps` from `h` to `s` between two convolutions; one more reads `h` if it is `shared`."""
    make = helper.make_node
    last = make("Conv", ["s", "w2"], ["z" if shared else "y"], name="last")
    nodes = [make("Conv", ["x", "w1", "b1"], ["h"], name="first")]
    nodes += [make(op, [*inputs], [out], name=f"step_{out}") for op, inputs, out in steps]
    more = [
        make("Conv", ["h", "w2"], ["k"], name="other"),
        make("Add", ["z", "k"], ["y"], name="out"),
    ]
    return graph_model(
        [*nodes, last, *(more if shared else [])],
        [tensor("x", ["batch", 3, 6, 6])],
        [tensor("y", ["batch", 5, 6, 6])],
        [
            numpy_helper.from_array(weights(4, 3, 1, 1, seed=1), "w1"),
            numpy_helper.from_array(weights(4, seed=2), "b1"),
            numpy_helper.from_array(weights(5, 4, 1, 1, seed=3), "w2"),
            *(
                numpy_helper.from_array(np.array(value, np.float32), name)
                for name, value in NUMBERS.items()
            ),
        ],
    )


def answer(model: onnx.ModelProto) -> FloatArray:
    found: FloatArray = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})[
        0
    ]
    return found


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("spelled", SPELLED)
def test_hard_activations_between_convolutions_are_bounds_that_int8_has(
    spelled: str,
    shared: bool,  # noqa: FBT001  pytest passes it by name
) -> None:
    model = between_convolutions(SPELLED[spelled], shared=shared)

    found = prepared(model, ())

    np.testing.assert_allclose(answer(found), answer(model), atol=1e-4)  # sums in another order
    plan = make_plan(found, ())
    kinds = {node.name: node.op_type for node in found.graph.node}
    assert "HardSigmoid" not in kinds.values()
    assert {name for name, kind in kinds.items() if kind != "Clip"} - {"out"} <= plan.int8


def test_a_hard_swish_takes_an_addition_and_a_product_behind_a_convolution_of_its_own() -> None:
    found = prepared(between_convolutions(SPELLED["divided last"]), ())

    assert [node.op_type for node in found.graph.node] == ["Conv", "Add", "Clip", "Mul", "Conv"]


def test_what_is_spelled_out_but_bounded_elsewhere_stays_a_product() -> None:
    found = prepared(between_convolutions(SPELLED["another bound"]), ())

    assert "HardSwish" not in {node.op_type for node in found.graph.node}


def test_a_hard_activation_that_is_kept_in_float_stays_as_it_is() -> None:
    found = prepared(between_convolutions(SPELLED["hard sigmoid"]), ("HardSigmoid",))

    assert "HardSigmoid" in {node.op_type for node in found.graph.node}
