from pathlib import Path

import numpy as np
import onnx
import pytest
from support.onnx_text import model, run

from edgekit.core.samples import Example
from edgekit.errors import UnsupportedError
from edgekit.loading.onnx_importer import import_onnx

# How many steps there are is only known once the length is.
UNROLLED = """g (float[batch, length, 3] x) => (float[a, b, c] y) {
    one = Constant<value = int64[1] {1}>()
    shape = Shape<start = 1, end = 2>(x)
    zero = Constant<value = int64 {0}>()
    count = Squeeze(shape)
    yes = Constant<value = bool {1}>()
    y = Loop(count, yes, x) <body = step
        (int64 i, bool go, float[p, q, r] held) => (bool on, float[p, q, r] next)
        { on = Identity(go) next = Add(held, held) }>
}"""
ROWS = np.arange(12, dtype=np.float32).reshape(1, 4, 3)


def written(text: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model(text), path)
    return path


def test_what_needs_the_sizes_of_samples_gets_them_and_keeps_its_batch(tmp_path: Path) -> None:
    path = written(UNROLLED, tmp_path)

    found = import_onnx(path, Example({"x": (4, 3)}))

    np.testing.assert_array_equal(run(found, x=ROWS)["y"], ROWS * 2**4)
    assert found.signature.inputs[0].shape == ("batch", 4, 3)
    assert "fixed as in the samples: 'x' is [batch, 4, 3]" in found.history[0].summary


def test_arrays_of_other_names_go_by_order(tmp_path: Path) -> None:
    found = import_onnx(written(UNROLLED, tmp_path), Example({"anything": (4, 3)}))

    assert found.signature.inputs[0].shape == ("batch", 4, 3)


@pytest.mark.parametrize("example", [{}, {"x": (3,)}, {"x": (4, 3), "z": (1,)}])
def test_without_a_fitting_example_the_node_is_named(
    tmp_path: Path, example: dict[str, tuple[int, ...]]
) -> None:
    path = written(UNROLLED.replace("[batch, length, 3]", "[batch, length, width]"), tmp_path)

    if "z" in example:
        assert import_onnx(path, Example(example)).signature.inputs[0].shape == ("batch", 4, 3)
        return
    with pytest.raises(UnsupportedError, match="its number of steps must not depend"):
        import_onnx(path, Example(example))


def test_a_batch_that_has_to_be_known_becomes_one(tmp_path: Path) -> None:
    path = written(UNROLLED.replace("start = 1, end = 2", "start = 0, end = 1"), tmp_path)

    found = import_onnx(path, Example({"x": (4, 3)}))

    assert found.signature.inputs[0].shape == (1, 4, 3)
    np.testing.assert_array_equal(run(found, x=ROWS)["y"], ROWS * 2)


def test_two_axes_without_a_name_are_two_axes(tmp_path: Path) -> None:
    proto = model("g (float[n, a, b] x) => (float[n, a, b] y) { y = Relu(x) }")
    for dim in proto.graph.input[0].type.tensor_type.shape.dim[1:]:
        dim.dim_param = "?"
    onnx.save(proto, tmp_path / "model.onnx")

    found = import_onnx(tmp_path / "model.onnx")

    assert found.signature.inputs[0].shape == ("n", "x_1", "x_2")


# Which branch is taken is only known once the rate is, and the other one fits no window.
CHOSEN = """g (float[batch, length] x, int64 rate) => (float[a, b] y) {
    fast = Constant<value = int64 {16000}>()
    is_fast = Equal(rate, fast)
    y = If(is_fast) <
        then_branch = wide () => (float[c, d] p) {
            two = Constant<value = float {2.0}>() p = Mul(x, two) },
        else_branch = narrow () => (float[e, f] q) { q = Concat<axis = 1>(x, x) }>
}"""


def test_an_input_that_is_one_number_in_all_samples_may_decide_what_is_done(
    tmp_path: Path,
) -> None:
    example = Example({"x": (3,), "rate": ()}, {"rate": 16000})

    found = import_onnx(written(CHOSEN, tmp_path), example)

    rate = np.array(16000)
    np.testing.assert_array_equal(run(found, x=ROWS[0], rate=rate)["y"], ROWS[0] * 2)
    assert [spec.name for spec in found.signature.inputs] == ["x", "rate"]
    assert found.history[0].summary.endswith("right only where, as in all samples, 'rate' is 16000")


def test_an_input_that_varies_decides_nothing_beforehand(tmp_path: Path) -> None:
    path = written(CHOSEN, tmp_path)

    with pytest.raises(UnsupportedError, match="which one is taken depends on the inputs"):
        import_onnx(path, Example({"x": (3,), "rate": ()}))


def test_words_of_python_may_name_weights(tmp_path: Path) -> None:
    proto = model(
        "g (float[n, 2] x) => (float[n, 2] y) <float[2, 2] w = {1.0, 2.0, 3.0, 4.0}>"
        " { y = MatMul(x, w) }"
    )
    proto.graph.node[0].name = "rnn/while/cell"
    onnx.save(proto, tmp_path / "model.onnx")

    found = import_onnx(tmp_path / "model.onnx")

    assert [name for name, _ in found.module.named_parameters()] == ["rnn.while_.cell.weight"]


@pytest.mark.parametrize("step", [2, -2])
def test_steps_of_a_slice_may_come_with_the_samples(tmp_path: Path, step: int) -> None:
    path = written(
        """g (float[6] x, int64[1] start, int64[1] end, int64[1] step) => (float[n] y) {
            axes = Constant<value = int64[1] {0}>()
            y = Slice(x, start, end, axes, step) }""",
        tmp_path,
    )
    start, end = (1, 6) if step > 0 else (4, 0)
    places = {"start": np.array([start]), "end": np.array([end]), "step": np.array([step])}
    x = np.arange(6, dtype=np.float32)

    found = run(import_onnx(path), x=x, **places)

    np.testing.assert_array_equal(found["y"], x[start:end:step])
