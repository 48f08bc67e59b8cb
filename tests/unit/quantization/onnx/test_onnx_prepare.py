from collections.abc import Sequence
from itertools import starmap
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import graph_model, tensor, weights
from support.quantizing import call_here, quantized, sqnr_db

from edgekit.core.artifact import Format
from edgekit.core.tensors import Array, FloatArray
from edgekit.quantization.onnx import transposed as transposed_convolution
from edgekit.quantization.onnx.prepare import prepared
from edgekit.quantization.settings import QuantizeSettings


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


def model_of(
    nodes: Sequence[onnx.NodeProto], shape: Sequence[int | str], **constants: Array
) -> onnx.ModelProto:
    """A model from `x` to `y`, whose inner shapes are known."""
    model = graph_model(
        nodes,
        [tensor("x", shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, x: Array) -> FloatArray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    answer: FloatArray = session.run(None, {"x": x})[0]
    return answer


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def kinds_run(path: Path) -> set[str]:
    """Return the types of operators that onnxruntime makes of a file as it loads it."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path.with_suffix(".run"))
    onnxruntime.InferenceSession(path, options)
    return set(kinds(onnx.load(options.optimized_model_filepath)))


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_same(before: onnx.ModelProto, after: onnx.ModelProto, x: Array) -> None:
    wanted, found = run(before, x), run(after, x)
    assert found.shape == wanted.shape
    # Sums of the same terms in another order.
    np.testing.assert_allclose(found, wanted, atol=1e-5 * max(1, np.abs(wanted).max()))


@st.composite
def transposed(draw: st.DrawFn) -> tuple[onnx.ModelProto, Array]:
    """A ConvTranspose of any geometry, and an input for it."""
    rank = draw(st.integers(1, 3))
    axis = st.tuples(
        st.integers(1, 4),
        st.integers(1, 5),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(3, 5),
    )
    axes = draw(st.lists(axis, min_size=rank, max_size=rank))
    strides, kernel, before, after, lengths = (list(part) for part in zip(*axes, strict=True))
    dilations = [draw(st.integers(1, 3)) if stride == 1 else 1 for stride in strides]
    extra = [draw(st.integers(0, stride - 1)) for stride in strides]
    group = draw(st.integers(1, 2)) if max(strides) == 1 else 1
    parts = zip(strides, dilations, kernel, before, after, extra, lengths, strict=True)
    # What is left of an axis must not be nothing.
    for i, (s, d, k, b, a, e, n) in enumerate(parts):
        if s * (n - 1) + e + (k - 1) * d + 1 <= b + a:
            before[i] = after[i] = 0
    node = helper.make_node(
        "ConvTranspose",
        ["x", "w", "b"],
        ["y"],
        name="up",
        strides=strides,
        dilations=dilations,
        output_padding=extra,
        pads=[*before, *after],
        group=group,
    )
    free = [f"n{i}" for i in range(rank)] if draw(st.booleans()) else lengths
    constants = {"w": values(2 * group, 3, *kernel), "b": values(3 * group, seed=1)}
    return model_of([node], ["batch", 2 * group, *free], **constants), values(
        2, 2 * group, *lengths, seed=2
    )


@settings(deadline=None, max_examples=60)
@given(transposed())
def test_any_transposed_convolution_is_a_convolution(
    case: tuple[onnx.ModelProto, Array],
) -> None:
    model, x = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transposed_convolution, "_MOST_WORK", np.inf)

        after = prepared(model, ())

    assert kinds(after)[0] == "Conv"
    assert "ConvTranspose" not in kinds(after)
    assert_same(model, after, x)


def upsampling(group: int = 1, kernel: int = 4, **attributes: list[int]) -> onnx.ModelProto:
    """Two convolutions around a transposed one of 16 channels, which doubles the image."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], name="first"),
        helper.make_node(
            "ConvTranspose",
            ["a", "w2", "b2"],
            ["up"],
            name="up",
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            group=group,
        ),
        helper.make_node("Relu", ["up"], ["r"], name="relu"),
        helper.make_node("Conv", ["r", "w3"], ["y"], name="last"),
    ]
    nodes[1].attribute.extend(starmap(helper.make_attribute, attributes.items()))
    return model_of(
        nodes,
        ["batch", 3, 16, 16],
        w1=weights(16, 3, 1, 1, seed=1),
        w2=weights(16, 16 // group, kernel, kernel, seed=2),
        b2=values(16, seed=3),
        w3=weights(4, 16, 1, 1, seed=4),
    )


def test_a_transposed_convolution_is_int8_and_its_activation_free(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.ONNX, upsampling(), x=values(20, 3, 16, 16))

    assert made.report.int8_macs_percent == 100
    assert made.report.float_operators == ()
    assert "Relu" not in kinds(onnx.load(made.path))
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what three layers of rounding cost


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(upsampling(group=16), id="groups, for which int8 is slow"),
        pytest.param(upsampling(kernel=1, output_padding=[1, 1]), id="mostly zeros"),
        pytest.param(upsampling(dilations=[2, 2]), id="holes"),
    ],
)
def test_a_transposed_convolution_that_would_not_gain_stays(model: onnx.ModelProto) -> None:
    assert "ConvTranspose" in kinds(prepared(model, ()))


@pytest.mark.parametrize("asked", ["up", "ConvTranspose"])
def test_what_is_kept_in_float_is_not_rewritten(asked: str) -> None:
    assert "ConvTranspose" in kinds(prepared(upsampling(), (asked,)))


def norm(name: str, channels: int) -> dict[str, Array]:
    parts = {"scale": 0, "bias": 1, "mean": 2, "variance": 3}
    made = {f"{name}_{part}": values(channels, seed=seed) for part, seed in parts.items()}
    made[f"{name}_variance"] = np.abs(made[f"{name}_variance"]) + 0.5
    return made


def norm_node(name: str, source: str, target: str) -> onnx.NodeProto:
    inputs = [source, *norm(name, 1)]
    return helper.make_node("BatchNormalization", inputs, [target], name=name)


def test_a_batch_norm_folds_into_a_transposed_convolution_of_any_groups() -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"], name="up", group=2),
        norm_node("norm", "t", "y"),
    ]
    model = model_of(nodes, ["batch", 4, 5, 5], w=values(4, 3, 2, 2), **norm("norm", 6))

    after = prepared(model, ())

    assert "BatchNormalization" not in kinds(after)
    assert_same(model, after, values(2, 4, 5, 5, seed=9))


@pytest.mark.parametrize("transposed_weight", [0, 1])
def test_a_batch_norm_folds_into_a_gemm_through_a_reshape(transposed_weight: int) -> None:
    weight = values(7, 12)
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["g"], name="fc", transB=transposed_weight),
        helper.make_node("Reshape", ["g", "size"], ["image"], name="image"),
        norm_node("norm", "image", "y"),
    ]
    constants = {
        "w": np.ascontiguousarray(weight.T) if transposed_weight else weight,
        "b": values(12, seed=5),
        "size": np.array([-1, 3, 2, 2]),
    }
    model = model_of(nodes, ["batch", 7], **constants, **norm("norm", 3))

    after = prepared(model, ())

    assert kinds(after) == ["Gemm", "Reshape"]
    assert_same(model, after, values(2, 7, seed=9))


def between(*nodes: onnx.NodeProto, **constants: Array) -> onnx.ModelProto:
    """`nodes` from `a` to `z`, between two convolutions of images of 8 channels."""
    ends = [
        helper.make_node("Conv", ["x", "w1"], ["c"], name="first"),
        helper.make_node("Relu", ["c"], ["a"], name="relu"),
        *nodes,
        helper.make_node("Conv", ["z", "w2"], ["y"], name="last"),
    ]
    ends_constants = {"w1": weights(8, 3, 1, 1, seed=1), "w2": weights(4, 8, 1, 1, seed=2)}
    return model_of(ends, ["batch", 3, 6, 6], **ends_constants, **constants)


CONSTANT = np.array([2.5], np.float32)
BETWEEN = {
    "BatchNormalization": (
        between(norm_node("norm", "a", "z"), **norm("norm", 8)),
        ["Conv", "Relu", "Conv", "Conv"],
    ),
    "Div": (
        between(helper.make_node("Div", ["a", "k"], ["z"], name="by"), k=CONSTANT),
        ["Conv", "Relu", "Mul", "Conv"],
    ),
    "ReduceMean": (
        between(helper.make_node("ReduceMean", ["a", "k"], ["z"], name="m"), k=np.array([-1, 2])),
        ["Conv", "Relu", "GlobalAveragePool", "Conv"],
    ),
    "Sub": (
        between(helper.make_node("Sub", ["a", "k"], ["z"], name="less"), k=CONSTANT),
        ["Conv", "Relu", "Add", "Conv"],
    ),
    "Sum": (
        between(helper.make_node("Sum", ["a", "c", "a"], ["z"], name="all")),
        ["Conv", "Relu", "Add", "Add", "Conv"],
    ),
}


@pytest.mark.parametrize("op_type", BETWEEN)
def test_between_int8_operators_one_without_a_kernel_is_said_otherwise(
    op_type: str, tmp_path: Path
) -> None:
    model, wanted = BETWEEN[op_type]

    after = prepared(model, ())

    x = values(20, 3, 6, 6)
    assert kinds(after) == wanted
    assert_same(model, after, x)
    made = quantized(tmp_path, Format.ONNX, model, x=x)
    assert made.report.float_operators == ()
    assert sqnr_db(made) > 28  # 8 bits give 6 dB each, less what four roundings cost


def test_a_mean_without_axes_kept_is_flattened() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first"),
        helper.make_node("ReduceMean", ["c", "axes"], ["m"], name="mean", keepdims=0),
        helper.make_node("Gemm", ["m", "v"], ["y"], name="head"),
    ]
    constants = {"w": weights(8, 3, 1, 1), "v": weights(8, 5), "axes": np.array([2, 3])}
    model = model_of(nodes, ["batch", 3, 6, 6], **constants)

    after = prepared(model, ())

    assert kinds(after) == ["Conv", "GlobalAveragePool", "Flatten", "Gemm"]
    assert_same(model, after, values(2, 3, 6, 6))


@pytest.mark.parametrize("op_type", ["Div", "Sub", "ReduceMean"])
def test_beside_a_float_operator_nothing_is_rewritten(op_type: str) -> None:
    model = BETWEEN[op_type][0]
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.node[-1].op_type = "Erf"
    del model.graph.node[-1].input[1:]

    assert op_type in kinds(prepared(model, ()))


def test_what_is_joined_is_rounded_once(tmp_path: Path) -> None:
    model = between(
        helper.make_node("Concat", ["a", "c"], ["joined"], name="join", axis=1),
        helper.make_node("Concat", ["joined", "a"], ["more"], name="again", axis=1),
        helper.make_node("Conv", ["more", "w3"], ["z"], name="narrow"),
        w3=weights(8, 24, 1, 1),
    )

    made = quantized(tmp_path, Format.ONNX, model, x=values(20, 3, 6, 6))

    graph = onnx.load(made.path).graph
    join = next(node for node in graph.node if node.name == "again")
    steps = {node.output[0]: node.input[1] for node in graph.node if len(node.input) > 1}
    (reader,) = (node for node in graph.node if join.output[0] in node.input)
    assert {steps[name] for name in join.input} == {reader.input[1]}


def test_an_activation_behind_a_reshape_comes_before_it() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"], name="fc"),
        helper.make_node("Reshape", ["m", "size"], ["image"], name="image"),
        helper.make_node("Transpose", ["image"], ["turned"], name="turn", perm=[0, 2, 1]),
        helper.make_node("Clip", ["turned", "low", "high"], ["y"], name="clip"),
    ]
    constants = {
        "w": weights(7, 12),
        "size": np.array([-1, 3, 4]),
        "low": np.array(0, np.float32),
        "high": np.array(1, np.float32),
    }
    model = model_of(nodes, ["batch", 7], **constants)

    after = prepared(model, ())

    assert kinds(after) == ["MatMul", "Clip", "Reshape", "Transpose"]
    assert_same(model, after, values(2, 7))


def test_an_activation_before_a_float_operator_is_still_free(tmp_path: Path) -> None:
    model = between(helper.make_node("Erf", ["a"], ["z"], name="erf"))

    made = quantized(tmp_path, Format.ONNX, model, x=values(20, 3, 6, 6))

    assert "Relu" not in kinds(onnx.load(made.path))
    assert [(f.op_type, f.count) for f in made.report.float_operators] == [("Erf", 1)]


def test_depthwise_weights_have_a_scale_a_channel_in_any_case(tmp_path: Path) -> None:
    uneven = (10.0 ** np.arange(-3, 5)).astype(np.float32).reshape(8, 1, 1, 1)
    model = between(
        helper.make_node("Conv", ["a", "d"], ["even"], name="depthwise", group=8),
        helper.make_node("Conv", ["even", "e"], ["z"], name="back", group=8),
        d=uneven,
        e=1 / uneven,
    )

    made = quantized(
        tmp_path,
        Format.ONNX,
        model,
        QuantizeSettings(per_channel=False, min_sqnr_db=0),
        x=values(20, 3, 6, 6),
    )

    scales = {tuple(i.dims) for i in onnx.load(made.path).graph.initializer}
    assert (8,) in scales


@pytest.mark.parametrize(("inputs", "scales"), [(8, 1), (300, 32)])
def test_short_channels_of_a_gemm_share_a_scale(inputs: int, scales: int, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="wide"),
        helper.make_node("MatMul", ["h", "v"], ["y"], name="head"),
    ]
    constants = {"w": weights(inputs, 32), "b": values(32), "v": weights(32, 4)}
    model = model_of(nodes, ["batch", inputs], **constants)

    made = quantized(tmp_path, Format.ONNX, model, x=values(30, inputs))

    graph = onnx.load(made.path).graph
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    gemm = next(node for node in graph.node if node.name == "wide")
    (weight,) = (node for node in graph.node if gemm.input[1] in node.output)
    assert sizes[weight.input[1]] == scales
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what two layers of rounding cost


@pytest.mark.parametrize("shape", [(), (1,), (32,), (1, 32), (3, 32), (3, 1)])
@pytest.mark.parametrize("how", [{"transB": 1}, {"beta": 0.5}, {"alpha": 2.0}])
def test_a_bias_of_a_gemm_may_have_any_shape_and_factor(
    shape: tuple[int, ...], how: dict[str, float], tmp_path: Path
) -> None:
    gemm = helper.make_node("Gemm", ["x", "w", "b"], ["h"], name="wide")
    gemm.attribute.extend(helper.make_attribute(name, value) for name, value in how.items())
    constants = {
        "w": weights(*((32, 300) if "transB" in how else (300, 32))),
        "b": values(*shape, seed=1),
        "v": weights(32, 4),
    }
    nodes = [gemm, helper.make_node("MatMul", ["h", "v"], ["y"], name="head")]
    model = model_of(nodes, [3, 300], **constants)

    made = quantized(tmp_path, Format.ONNX, model, x=values(30, 300))

    assert_same(model, prepared(model, ()), values(3, 300, seed=2))
    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what two layers of rounding cost


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_an_activation_that_a_gemm_adds_is_added_behind_it(beta: float, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["x", "w", "x"], ["h"], name="wide", beta=beta),
        helper.make_node("MatMul", ["h", "v"], ["y"], name="head"),
    ]
    model = model_of(nodes, ["batch", 16], w=weights(16, 16), v=weights(16, 4))

    made = quantized(tmp_path, Format.ONNX, model, x=values(30, 16))

    assert_same(model, prepared(model, ()), values(3, 16, seed=2))
    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what two layers of rounding cost


@pytest.mark.parametrize(
    ("operands", "shape"), [(["w", "x"], (5, 6)), (["x", "w"], (1, 6, 5)), (["w", "x"], (2, 6, 6))]
)
def test_weights_of_a_product_may_stand_left_and_be_stacked(
    operands: list[str], shape: tuple[int, ...], tmp_path: Path
) -> None:
    nodes = [helper.make_node("MatMul", operands, ["y"], name="mix")]
    model = model_of(nodes, [2, 6, 6], w=weights(*shape))

    made = quantized(tmp_path, Format.ONNX, model, x=values(30, 6, 6))

    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what two layers of rounding cost
    assert kinds_run(made.path) == {"QuantizeLinear", "MatMulIntegerToFloat"}


@pytest.mark.parametrize(
    ("equation", "shape", "weight"),
    [
        ("bsd,df->bsf", [2, 5, 6], [6, 7]),
        ("bsd,dhk->bshk", [2, 5, 6], [6, 3, 4]),
        ("bsd,dhk->bhsk", [2, 5, 6], [6, 3, 4]),
        ("bhsk,hkd->bsd", [2, 3, 5, 4], [3, 4, 6]),
        ("bshk,khd->bsd", [2, 5, 3, 4], [4, 3, 6]),
        ("od,bsd->bos", [2, 5, 6], [7, 6]),
    ],
)
def test_an_einsum_with_weights_is_a_matrix_product(
    equation: str, shape: list[int], weight: list[int]
) -> None:
    names = ["x", "w"] if equation.startswith("b") else ["w", "x"]
    node = helper.make_node("Einsum", names, ["y"], name="sum", equation=equation)
    model = model_of([node], ["batch", *shape[1:]], w=values(*weight))

    after = prepared(model, ())

    assert "MatMul" in kinds(after)
    assert "Einsum" not in kinds(after)
    assert_same(model, after, values(*shape, seed=1))


@pytest.mark.parametrize(
    ("equation", "weight"),
    [("bsd,bd->bs", [2, 6]), ("bsd,sdf->bsf", [5, 6, 7]), ("...d,df", [6, 7])],
)
def test_an_einsum_that_is_no_matrix_product_stays(equation: str, weight: list[int]) -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="sum", equation=equation)

    after = prepared(model_of([node], [2, 5, 6], w=values(*weight)), ())

    assert kinds(after) == ["Einsum"]


def test_weights_of_an_einsum_are_int8(tmp_path: Path) -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="heads", equation="bsd,dhk->bhsk")
    model = model_of([node], ["batch", 5, 64], w=weights(64, 4, 16))

    made = quantized(tmp_path, Format.ONNX, model, x=values(20, 5, 64))

    assert made.report.size_bytes < 0.4 * made.report.float_size_bytes
    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what one layer of rounding costs


@pytest.mark.parametrize(
    ("equation", "shape"),
    [("beh,ehd->bed", [4, 32]), ("...eh,ehd->...ed", [4, 32]), ("beh,ehd", [4, 32])],
)
def test_weights_of_an_einsum_that_is_no_matrix_product_are_stored_in_int8(
    equation: str, shape: list[int], tmp_path: Path
) -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], name="experts", equation=equation)
    model = model_of([node], ["batch", *shape], w=weights(4, 32, 48))

    made = quantized(tmp_path, Format.ONNX, model, x=values(20, *shape))

    assert made.report.size_bytes < 0.4 * made.report.float_size_bytes
    assert "stored in int8" in made.report.float_operators[0].reason
    assert sqnr_db(made) > 35  # 8 bits give 6 dB each, less what rounding the weights costs


def computed(name: str) -> onnx.NodeProto:
    """An operator that makes a tensor of a constant, which the file does not know then."""
    return helper.make_node("Relu", [name], [f"{name}_computed"], name=f"{name}_computed")


@pytest.mark.parametrize(
    ("op_type", "model"),
    [
        pytest.param(
            "ReduceMean",
            between(helper.make_node("ReduceMean", ["a", "k"], ["z"], name="m"), k=np.array([1])),
            id="a mean over channels",
        ),
        pytest.param(
            "Div",
            between(
                computed("k"),
                helper.make_node("Div", ["a", "k_computed"], ["z"], name="by"),
                k=CONSTANT,
            ),
            id="a division by what is computed",
        ),
        pytest.param(
            "Sub",
            between(
                computed("k"),
                helper.make_node("Sub", ["a", "k_computed"], ["z"], name="less"),
                k=CONSTANT,
            ),
            id="a subtraction of what is computed",
        ),
        pytest.param(
            "BatchNormalization",
            between(
                computed("norm_scale"),
                helper.make_node(
                    "BatchNormalization",
                    ["a", "norm_scale_computed", "norm_bias", "norm_mean", "norm_variance"],
                    ["z"],
                    name="norm",
                ),
                **norm("norm", 8),
            ),
            id="a batch norm with a computed scale",
        ),
        pytest.param(
            "Gemm",
            model_of(
                [
                    computed("b"),
                    helper.make_node("Gemm", ["x", "w", "b_computed"], ["y"], name="wide"),
                ],
                ["batch", 8],
                w=values(8, 4),
                b=values(1, 4),
            ),
            id="a computed bias",
        ),
        pytest.param(
            "ConvTranspose",
            between(
                computed("t"),
                helper.make_node("ConvTranspose", ["a", "t_computed"], ["u"], name="up"),
                norm_node("norm", "u", "z"),
                t=values(8, 8, 1, 1),
                **norm("norm", 8),
            ),
            id="computed weights",
        ),
    ],
)
def test_what_is_not_known_stays(op_type: str, model: onnx.ModelProto) -> None:
    assert op_type in kinds(prepared(model, ()))


def test_axes_of_a_mean_may_be_an_attribute() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first"),
        helper.make_node("ReduceMean", ["c"], ["m"], name="mean", axes=[2, 3]),
        helper.make_node("Conv", ["m", "v"], ["y"], name="head"),
    ]
    constants = [
        numpy_helper.from_array(weights(8, 3, 1, 1), "w"),
        numpy_helper.from_array(weights(5, 8, 1, 1), "v"),
    ]
    model = graph_model(
        nodes,
        [tensor("x", ["batch", 3, 6, 6])],
        [tensor("y", ["batch", 5, 1, 1])],
        constants,
        opset=13,
    )

    after = prepared(onnx.shape_inference.infer_shapes(model), ())

    assert kinds(after) == ["Conv", "GlobalAveragePool", "Conv"]


@pytest.mark.parametrize("axis", [-1, 2])
def test_rows_taken_by_their_numbers_are_gathered(axis: int) -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["tokens", "axis"], ["places"], name="unsqueeze"),
        helper.make_node("GatherND", ["table", "places"], ["y"], name="rows"),
    ]
    model = graph_model(
        nodes,
        [tensor("tokens", ["batch", 3], TensorProto.INT64)],
        [tensor("y", ["batch", 3, 32])],
        [
            numpy_helper.from_array(weights(50, 32, seed=1), "table"),
            numpy_helper.from_array(np.array([axis], np.int64), "axis"),
        ],
    )
    tokens = np.array([[0, 49, -1], [7, 7, 3]])

    result = prepared(onnx.shape_inference.infer_shapes(model), ())

    found, wanted = (
        onnxruntime.InferenceSession(one.SerializeToString()).run(None, {"tokens": tokens})[0]
        for one in (result, model)
    )
    assert kinds(result) == ["Gather"]
    np.testing.assert_array_equal(found, wanted)


def test_parts_of_rows_taken_by_their_numbers_stay_as_they_are() -> None:
    model = model_of(
        [
            helper.make_node("Cast", ["x"], ["places"], name="cast", to=TensorProto.INT64),
            helper.make_node("GatherND", ["table", "places"], ["y"], name="values"),
        ],
        ["batch", 2],
        table=weights(50, 32, seed=1),
    )

    assert kinds(prepared(model, ())) == ["Cast", "GatherND"]
