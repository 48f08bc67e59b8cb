"""What computes in another precision computes in float32, and says so."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from edgekit.loading.onnx_single import compute_in_single


def model(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    made.graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in weights.items()
    )
    return made


def run(made: onnx.ModelProto, tmp_path: Path, **inputs: np.ndarray) -> list[np.ndarray]:
    path = tmp_path / "model.onnx"
    onnx.save(made, path)
    found: list[np.ndarray] = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(
        None, inputs
    )
    return found


def types(made: onnx.ModelProto) -> set[int]:
    return {tensor.data_type for tensor in made.graph.initializer}


X = np.linspace(-1, 1, 8).reshape(2, 4)


@pytest.mark.parametrize(
    ("word", "dtype", "tolerance"), [("float16", np.float16, 2e-3), ("double", np.float64, 1e-6)]
)
def test_weights_become_float32_and_the_interface_stays(
    word: str, dtype: type[np.floating], tolerance: float, tmp_path: Path
) -> None:
    weight = (np.arange(12) / 7).astype(dtype).reshape(4, 3)
    made = model(
        f"g ({word}[n, 4] x, bool b) => ({word}[n, 3] y, {word}[n, 4] x) {{"
        f" m = MatMul(x, w) low = Constant <value = {word} {{0}}>()"
        " y = If (b) <then_branch = t () => "
        f"({word}[n, 3] p) {{ p = Max(m, low) }}, else_branch = e () => ({word}[n, 3] q)"
        " { q = Neg(m) }> }",
        w=weight,
    )
    made.graph.output.pop()
    inputs = {"x": X.astype(dtype), "b": np.ones((), np.bool_)}
    before = run(made, tmp_path, **inputs)

    notes = list(compute_in_single(made))

    after = run(made, tmp_path, **inputs)
    assert types(made) == {TensorProto.FLOAT}
    assert after[0].dtype == before[0].dtype == dtype
    # Half precision rounds each product to 11 bits.
    np.testing.assert_allclose(after[0], before[0], rtol=tolerance, atol=tolerance)
    said = f"not in {np.dtype(dtype)} as it came"
    assert [said in note for note in notes] == [True]


def test_casts_from_and_to_the_other_type_go(tmp_path: Path) -> None:
    made = model(
        "g (float[n, 4] x) => (float[n, 3] y) { h = Cast <to = 10>(x) m = MatMul(h, w)"
        " r = Relu(m) y = Cast <to = 1>(r) }",
        w=np.ones((4, 3), np.float16),
    )

    list(compute_in_single(made))

    assert [node.op_type for node in made.graph.node] == ["MatMul", "Relu", "Cast"]
    np.testing.assert_allclose(
        run(made, tmp_path, x=X.astype(np.float32))[0][1], [16 / 7] * 3, rtol=1e-6
    )


def test_the_lowest_double_stays_a_number() -> None:
    made = model(
        "g (double[n, 4] x) => (double[n, 4] y) { y = Max(x, w) }",
        w=np.array([np.finfo(np.float64).min, -np.inf, 0, 1]),
    )

    list(compute_in_single(made))

    values = numpy_helper.to_array(made.graph.initializer[0])
    assert values[0] == np.finfo(np.float32).min
    assert np.isneginf(values[1])


def test_a_float32_model_with_some_doubles_is_left_alone() -> None:
    made = model(
        "g (float[n, 4] x) => (float[n, 3] y) { m = MatMul(x, w) d = Cast <to = 11>(m)"
        " s = Mul(d, k) y = Cast <to = 1>(s) }",
        w=np.ones((4, 3), np.float32), k=np.array(0.5),
    )  # fmt: skip
    before = made.SerializeToString()

    assert list(compute_in_single(made)) == []
    assert made.SerializeToString() == before


def test_what_is_quantized_already_is_left_alone() -> None:
    made = model(
        "g (float16[n, 4] x) => (float16[n, 3] y) { w = DequantizeLinear(q, s) y = MatMul(x, w) }",
        q=np.ones((4, 3), np.int8), s=np.array(0.5, np.float16),
    )  # fmt: skip

    assert list(compute_in_single(made)) == []
    assert types(made) == {TensorProto.INT8, TensorProto.FLOAT16}


def test_a_weight_that_is_an_output_keeps_its_type(tmp_path: Path) -> None:
    made = model(
        "g (float16[n, 4] x) => (float16[4, 3] w, float16[n, 3] y) { y = MatMul(x, w) }",
        w=np.ones((4, 3), np.float16),
    )

    list(compute_in_single(made))

    assert [one.dtype for one in run(made, tmp_path, x=X.astype(np.float16))] == [np.float16] * 2


def test_an_operator_that_says_its_type_says_float32() -> None:
    made = model(
        "g (float16[n, 4] x) => (float16[n, 4] y) { y = Mul(x, w) }", w=np.ones(4, np.float16)
    )
    made.graph.node.insert(0, helper.make_node("EyeLike", ["x"], ["i"], dtype=TensorProto.FLOAT16))

    list(compute_in_single(made))

    eye = next(node for node in made.graph.node if node.op_type == "EyeLike")
    assert eye.attribute[0].i == TensorProto.FLOAT
