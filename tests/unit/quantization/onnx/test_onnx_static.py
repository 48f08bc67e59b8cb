from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models
from support.onnx_models import graph_model, tensor, weights
from support.quantizing import Quantized, call_here, quantized, sqnr_db

from edgekit.core.artifact import Format, Precision
from edgekit.core.target import Destination
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.loading.artifact import open_artifact
from edgekit.quantization.quantize import quantize
from edgekit.quantization.settings import Activation, QuantizeSettings, Scales

X = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


def wide_mlp(opset: int = 18) -> onnx.ModelProto:
    """Two layers of 64 units behind 8 inputs."""
    return graph_model(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"], name="first"),
            helper.make_node("Relu", ["h"], ["r"], name="relu"),
            helper.make_node("MatMul", ["r", "w2"], ["y"], name="second"),
        ],
        [tensor("x", ["batch", 8])],
        [tensor("y", ["batch", 64])],
        [
            numpy_helper.from_array(weights(8, 64, seed=1), "w1"),
            numpy_helper.from_array(weights(64, seed=2), "b1"),
            numpy_helper.from_array(weights(64, 64, seed=3), "w2"),
        ],
        opset=opset,
    )


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    return quantized(tmp_path_factory.mktemp("mlp"), Format.ONNX, wide_mlp(), x=X)


def test_an_int8_model_answers_as_the_float_one(mlp: Quantized) -> None:
    assert sqnr_db(mlp) > 30  # 8 bits give 6 dB each, less what two layers of rounding cost


def test_an_int8_file_has_its_nodes_in_the_order_that_the_standard_wants(mlp: Quantized) -> None:
    onnx.checker.check_model(onnx.load(mlp.path), full_check=True)


def test_an_int8_model_is_smaller_and_computes_in_int8(mlp: Quantized) -> None:
    assert mlp.report.size_bytes == mlp.path.stat().st_size < 0.5 * mlp.report.float_size_bytes
    assert mlp.report.int8_macs_percent == 100
    assert mlp.report.float_operators == ()


def test_inputs_and_outputs_stay_as_they_are(mlp: Quantized) -> None:
    before, after = onnx.load(mlp.float_path).graph, onnx.load(mlp.path).graph

    assert list(after.input) == list(before.input)
    assert [output.name for output in after.output] == [output.name for output in before.output]


def test_operators_keep_their_names_and_nothing_else_does(mlp: Quantized) -> None:
    model = onnx.load(mlp.path)

    assert {node.name for node in model.graph.node} == {"", "first", "second"}
    assert all(len(i.name) <= 2 for i in model.graph.initializer)
    assert not model.graph.value_info
    assert not model.producer_name


def test_fewer_samples_than_asked_for_is_said(mlp: Quantized) -> None:
    assert mlp.report.samples == 40
    assert "calibrated on 40 samples; 256 were asked for" in mlp.report.notes[0]


@pytest.mark.parametrize(
    ("activation", "kind"),
    [(Activation.INT8, TensorProto.INT8), (Activation.UINT8, TensorProto.UINT8)],
)
def test_activations_have_the_type_that_was_asked_for(
    tmp_path: Path, activation: Activation, kind: int
) -> None:
    made = quantized(
        tmp_path, Format.ONNX, wide_mlp(), QuantizeSettings(activation=activation), x=X
    )

    graph = onnx.load(made.path).graph
    points = {i.name: i.data_type for i in graph.initializer}
    first = next(node for node in graph.node if node.op_type == "QuantizeLinear")
    assert points[first.input[2]] == kind
    assert sqnr_db(made) > 30


def test_what_is_kept_in_float_is_kept(tmp_path: Path) -> None:
    settings = QuantizeSettings(keep_float=("sec*",))

    made = quantized(tmp_path, Format.ONNX, wide_mlp(), settings, x=X)

    assert [(f.op_type, f.reason) for f in made.report.float_operators] == [
        ("MatMul", "kept in float as asked")
    ]
    stored = [i for i in onnx.load(made.path).graph.initializer if i.dims == [64, 64]]
    assert [i.data_type for i in stored] == [TensorProto.FLOAT]


def test_keeping_everything_in_float_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no operator that int8 would shrink"):
        quantized(tmp_path, Format.ONNX, wide_mlp(), QuantizeSettings(keep_float=("*",)), x=X)


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="quantized already"):
        quantized(tmp_path, Format.ONNX, onnx_models.quantized(), x=X)


def test_an_old_opset_is_refused_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="opset 12") as caught:
        quantized(tmp_path, Format.ONNX, wide_mlp(opset=12), x=X)

    assert "normalize" in caught.value.hint


def test_samples_of_another_shape_are_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match="do not fit the model"):
        quantized(tmp_path, Format.ONNX, wide_mlp(), x=X[:, :5])


def test_nan_in_the_model_is_refused_by_name(tmp_path: Path) -> None:
    model = wide_mlp()
    broken = np.full((64, 64), np.nan, np.float32)
    model.graph.initializer[2].CopyFrom(numpy_helper.from_array(broken, "w2"))

    with pytest.raises(InputRefusedError, match="NaN in 'y'"):
        quantized(tmp_path, Format.ONNX, model, x=X)


def test_a_failure_leaves_no_file_behind(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError):
        quantized(tmp_path, Format.ONNX, onnx_models.quantized(), x=X)

    assert not (tmp_path / "int8").exists()
    assert not list(tmp_path.glob(".int8*"))


def test_a_fixed_batch_is_filled_up(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.ONNX, onnx_models.mlp(batch=16), x=X[:20])

    assert made.report.samples == 20


def test_a_tiny_model_that_grows_says_so(tmp_path: Path) -> None:
    tiny = graph_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="only")],
        [tensor("x", ["batch", 8])],
        [tensor("y", ["batch", 2])],
        [numpy_helper.from_array(weights(8, 2), "w")],
    )

    made = quantized(tmp_path, Format.ONNX, tiny, x=X)

    assert "is not smaller than the float file" in made.report.notes[-1]


def test_random_calibration_is_told(tmp_path: Path) -> None:
    settings = QuantizeSettings(random_calibration=True, calibration_samples=8)

    made = quantized(tmp_path, Format.ONNX, wide_mlp(), settings, x=X)

    assert made.report.samples == 8
    (note,) = made.report.notes
    assert note.startswith("calibrated on random data, as asked")


def test_one_scale_a_tensor_when_channels_are_not_asked_for(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.ONNX, wide_mlp(), QuantizeSettings(per_channel=False), x=X)

    scales = [i for i in onnx.load(made.path).graph.initializer if i.data_type == TensorProto.FLOAT]
    assert {len(i.dims) for i in scales} == {0} or {tuple(i.dims) for i in scales} <= {(), (1,)}


def outlying() -> onnx.ModelProto:
    """Four layers; one value between the first two is 300 times the others."""
    first, second = weights(8, 64, seed=1), weights(64, 64, seed=3)
    first[:, 0] *= 300
    second[0] /= 300
    return graph_model(
        [
            helper.make_node("MatMul", ["x", "w1"], ["h"], name="first"),
            helper.make_node("MatMul", ["h", "w2"], ["g"], name="second"),
            helper.make_node("MatMul", ["g", "w3"], ["k"], name="third"),
            helper.make_node("MatMul", ["k", "w4"], ["y"], name="fourth"),
        ],
        [tensor("x", ["batch", 8])],
        [tensor("y", ["batch", 64])],
        [
            numpy_helper.from_array(first, "w1"),
            numpy_helper.from_array(second, "w2"),
            numpy_helper.from_array(weights(64, 64, seed=4), "w3"),
            numpy_helper.from_array(weights(64, 64, seed=5), "w4"),
        ],
    )


def test_what_hurts_computes_in_float_with_int8_weights(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.ONNX, outlying(), QuantizeSettings(scales=Scales.STATIC), x=X)

    assert [(f.op_type, f.count, f.reason) for f in made.report.float_operators] == [
        ("MatMul", 2, "in static int8 it costs the outputs most; its weights are stored in int8")
    ]
    assert "out of static int8, because outputs had" in made.report.notes[-1]
    assert made.report.size_bytes < 0.5 * made.report.float_size_bytes


def placed() -> onnx.ModelProto:
    """A layer, whose result takes the half of its softmax, and to which a table is added."""
    table = np.where(np.arange(256) < 2, -50, weights(2, 256, seed=5)).astype(np.float32)
    return graph_model(
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], name="layer"),
            helper.make_node("Softmax", ["h"], ["s"], name="shares"),
            helper.make_node("Add", ["s", "table"], ["y"], name="place"),
        ],
        [tensor("x", ["batch", 2, 8])],
        [tensor("y", ["batch", 2, 256])],
        [numpy_helper.from_array(weights(8, 256, seed=1), "w"), numpy_helper.from_array(table)],
    )


@pytest.mark.parametrize(
    ("settings", "is_float"),
    [
        (QuantizeSettings(min_sqnr_db=0), False),
        (QuantizeSettings(keep_float=("place",)), True),
        (QuantizeSettings(min_sqnr_db=60), True),
    ],
)
def test_large_constants_are_int8_unless_that_hurts(
    settings: QuantizeSettings, *, is_float: bool, tmp_path: Path
) -> None:
    model = placed()
    model.graph.initializer[1].name = "table"

    made = quantized(tmp_path, Format.ONNX, model, settings, x=np.repeat(X[:, None], 2, axis=1))

    floats = [
        initializer
        for initializer in onnx.load(made.path).graph.initializer
        if initializer.data_type == TensorProto.FLOAT and np.prod(initializer.dims) == 512
    ]
    assert len(floats) == is_float


def test_a_table_has_a_scale_for_each_row(tmp_path: Path) -> None:
    model = placed()
    table = np.outer(10.0 ** np.arange(-4, 4), weights(64, seed=2)).astype(np.float32)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(table, "table"))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights(8, 64, seed=1), "w"))
    model.graph.input[0].CopyFrom(tensor("x", ["batch", 8, 8]))
    model.graph.output[0].CopyFrom(tensor("y", ["batch", 8, 64]))
    rows = np.repeat(X[:, None], 8, axis=1)

    made = quantized(tmp_path, Format.ONNX, model, QuantizeSettings(min_sqnr_db=0), x=rows)

    found = [i for i in onnx.load(made.path).graph.initializer if list(i.dims) == [8, 1]]
    assert len(found) == 1


def test_a_vector_that_goes_into_every_row_stays_float(tmp_path: Path) -> None:
    model = placed()
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(weights(512, seed=2), "table"))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights(8, 512, seed=1), "w"))
    model.graph.output[0].CopyFrom(tensor("y", ["batch", 2, 512]))
    rows = np.repeat(X[:, None], 2, axis=1)

    made = quantized(tmp_path, Format.ONNX, model, QuantizeSettings(min_sqnr_db=0), x=rows)

    constants = [
        numpy_helper.to_array(initializer)
        for initializer in onnx.load(made.path).graph.initializer
        if initializer.data_type == TensorProto.FLOAT
    ]
    assert any(np.array_equal(values, weights(512, seed=2)) for values in constants)


def products(*, transposed: bool) -> onnx.ModelProto:
    """A row of a table for each token, and two products; one value is 300 times the others."""
    first, second = weights(256, 256, seed=1), weights(256, 256, seed=2)
    first[:, 0] *= 300
    second[0] /= 300
    return graph_model(
        [
            helper.make_node("Gather", ["table", "tokens"], ["x"], name="embedding"),
            helper.make_node("MatMul", ["x", "w1"], ["h"], name="first"),
            helper.make_node("Gemm", ["h", "w2", "b"], ["y"], name="second", transB=transposed),
        ],
        [tensor("tokens", ["batch"], TensorProto.INT64)],
        [tensor("y", ["batch", 256])],
        [
            numpy_helper.from_array(weights(40, 256, seed=3), "table"),
            numpy_helper.from_array(first, "w1"),
            numpy_helper.from_array(second.T if transposed else second, "w2"),
            numpy_helper.from_array(weights(256, seed=4), "b"),
        ],
    )


@pytest.mark.parametrize("transposed", [False, True])
def test_outliers_get_scales_for_each_row_as_the_model_runs(
    tmp_path: Path, *, transposed: bool
) -> None:
    tokens = np.arange(40, dtype=np.int64)

    made = quantized(tmp_path, Format.ONNX, products(transposed=transposed), tokens=tokens)

    assert sqnr_db(made) > 30  # three tables of weights, rounded
    assert made.report.float_operators == ()
    assert made.report.int8_macs_percent == 100
    assert "3 operators scale each row of their inputs as the model runs" in made.report.notes[-1]
    assert "for other ARM cores name one as a target" in made.report.notes[-1]
    assert made.report.size_bytes < 0.5 * made.report.float_size_bytes
    with pytest.raises(UnsupportedError, match="is quantized already"):
        quantize(open_artifact(made.path), made.samples, QuantizeSettings(), tmp_path / "twice")


@pytest.mark.parametrize("opset", [17, 18])
@pytest.mark.parametrize("transposed", [False, True])
def test_rows_are_scaled_by_standard_operators_for_cores_without_dot_products(
    tmp_path: Path, opset: int, *, transposed: bool
) -> None:
    model = products(transposed=transposed)
    model.opset_import[0].version = opset
    tokens = np.arange(40, dtype=np.int64)

    made = quantized(
        tmp_path, Format.ONNX, model, destination=Destination(dot_products=False), tokens=tokens
    )

    types = [node.op_type for node in onnx.load(made.path).graph.node]
    assert (types.count("MatMulInteger"), types.count("MatMulNBits")) == (4, 0)
    assert sqnr_db(made) > 30  # three tables of weights, rounded
    assert made.report.float_operators == ()
    assert made.report.int8_macs_percent > 90  # 8 of 256 channels are float
    assert "a target has no int8 dot products" in made.report.notes[-1]
    assert made.report.size_bytes < 0.5 * made.report.float_size_bytes
    assert open_artifact(made.path).precision is Precision.INT8


@pytest.mark.parametrize("dot_products", [False, True])
def test_products_of_one_input_share_what_is_made_of_it(
    tmp_path: Path, *, dot_products: bool
) -> None:
    model = products(transposed=False)
    model.graph.node.append(helper.make_node("MatMul", ["x", "w3"], ["g"], name="third"))
    model.graph.node.append(helper.make_node("Add", ["y", "g"], ["sum"], name="add"))
    model.graph.initializer.append(numpy_helper.from_array(weights(256, 256, seed=5), "w3"))
    model.graph.output[0].name = "sum"
    settings = QuantizeSettings(scales=Scales.DYNAMIC, min_sqnr_db=0)
    destination = Destination(dot_products=dot_products)
    tokens = np.arange(40, dtype=np.int64)

    made = quantized(tmp_path, Format.ONNX, model, settings, destination=destination, tokens=tokens)

    names = [stored.name for stored in onnx.load(made.path).graph.initializer]
    assert len(names) == len(set(names))
    assert sqnr_db(made) > 30  # four tables of weights, rounded


def test_scales_are_static_where_that_is_asked_for(tmp_path: Path) -> None:
    settings = QuantizeSettings(scales=Scales.STATIC, min_sqnr_db=0)
    tokens = np.arange(40, dtype=np.int64)

    made = quantized(tmp_path, Format.ONNX, products(transposed=False), settings, tokens=tokens)

    types = {node.op_type for node in onnx.load(made.path).graph.node}
    assert "MatMulNBits" not in types


def test_products_that_share_weights_keep_sharing_them(tmp_path: Path) -> None:
    model = products(transposed=False)
    model.graph.node[2].CopyFrom(helper.make_node("MatMul", ["h", "w2"], ["g"], name="second"))
    model.graph.node.append(helper.make_node("MatMul", ["g", "w2"], ["y"], name="third"))
    settings = QuantizeSettings(scales=Scales.DYNAMIC, min_sqnr_db=0)
    tokens = np.arange(40, dtype=np.int64)

    made = quantized(tmp_path, Format.ONNX, model, settings, tokens=tokens)

    types = [node.op_type for node in onnx.load(made.path).graph.node]
    assert types.count("MatMulNBits") == 1
    assert "as asked" in made.report.notes[-1]


def branches() -> onnx.ModelProto:
    """An If whose bodies multiply by weights of their own, and of the graph around them."""

    def body(name: str, weight: str) -> onnx.GraphProto:
        own = [numpy_helper.from_array(weights(32, 32, seed=len(name)), f"{name}_w")]
        nodes = [
            helper.make_node("MatMul", ["x", weight], [f"{name}_h"], name=f"{name}_outer"),
            helper.make_node("MatMul", [f"{name}_h", f"{name}_w"], [f"{name}_y"], name=name),
        ]
        return helper.make_graph(nodes, name, [], [tensor(f"{name}_y", ["batch", 32])], own)

    return graph_model(
        [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
            helper.make_node("Greater", ["sum", "zero"], ["positive"]),
            helper.make_node(
                "If",
                ["positive"],
                ["y"],
                then_branch=body("yes", "shared"),
                else_branch=body("no", "shared"),
            ),
        ],
        [tensor("x", ["batch", 32])],
        [tensor("y", ["batch", 32])],
        [
            numpy_helper.from_array(weights(32, 32, seed=9), "shared"),
            numpy_helper.from_array(np.array(0, np.float32), "zero"),
        ],
    )


def test_weights_inside_a_branch_are_stored_in_int8_and_told(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((6, 32)).astype(np.float32)

    made = quantized(tmp_path, Format.ONNX, branches(), x=x)

    assert made.report.size_bytes < 0.5 * made.report.float_size_bytes
    reason = "inside the body of another operator; its weights are stored in int8"
    assert any(f.op_type == "MatMul" and f.reason == reason for f in made.report.float_operators)
    assert sqnr_db(made) > 30


def test_embeddings_are_quantized(tmp_path: Path) -> None:
    model = graph_model(
        [
            helper.make_node("Gather", ["table", "tokens"], ["e"], name="embed"),
            helper.make_node("MatMul", ["e", "w"], ["y"], name="head"),
        ],
        [tensor("tokens", ["batch", 4], TensorProto.INT64)],
        [tensor("y", ["batch", 4, 16])],
        [
            numpy_helper.from_array(weights(200, 32, seed=1), "table"),
            numpy_helper.from_array(weights(32, 16, seed=2), "w"),
        ],
    )
    tokens = np.random.default_rng(0).integers(0, 200, (30, 4))

    made = quantized(tmp_path, Format.ONNX, model, tokens=tokens)

    assert made.report.size_bytes < 0.32 * made.report.float_size_bytes
    assert sqnr_db(made) > 30


def test_constants_read_twice_are_kept_once(tmp_path: Path) -> None:
    model = wide_mlp()
    copy = onnx.TensorProto()
    copy.CopyFrom(model.graph.initializer[2])
    copy.name = "w3"
    model.graph.initializer.append(copy)
    model.graph.node[-1].output[0] = "m"
    model.graph.node.append(helper.make_node("MatMul", ["m", "w3"], ["y"], name="third"))

    made = quantized(tmp_path, Format.ONNX, model, x=X)

    large = [i for i in onnx.load(made.path).graph.initializer if i.dims == [64, 64]]
    assert len(large) == 1


def test_tflite_without_its_quantizer_names_the_extra(
    mlp: Quantized, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    artifact = replace(mlp.artifact, format=Format.TFLITE)

    with pytest.raises(UnsupportedError) as caught:
        quantize(artifact, mlp.samples, QuantizeSettings(), tmp_path / "out")

    assert caught.value.hint == "pip install 'edgekit[tflite]'"


def unrolled(steps: int) -> onnx.ModelProto:
    """A state that goes through the same weights again and again."""
    values = ["x", *(f"h{i}" for i in range(1, steps)), "y"]
    nodes = [
        helper.make_node("Gemm", [a, "w", "b"], [b], name=f"step{i}")
        for i, (a, b) in enumerate(pairwise(values))
    ]
    stored = {"w": 0.4 * weights(16, 16), "b": weights(16, seed=1)}
    return graph_model(
        nodes,
        [tensor("x", ["batch", 16])],
        [tensor("y", ["batch", 16])],
        [numpy_helper.from_array(value, name) for name, value in stored.items()],
    )


def test_steps_that_share_weights_store_one_int8_bias(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).standard_normal((16, 16)).astype(np.float32)

    made = quantized(tmp_path, Format.ONNX, unrolled(4), x=samples)

    biases = [i for i in onnx.load(made.path).graph.initializer if i.data_type == TensorProto.INT32]
    assert len(biases) == 1
    assert sqnr_db(made) > 25


def test_a_weight_read_both_ways_has_scales_along_both(tmp_path: Path) -> None:
    """An autoencoder whose decoder reads the encoder's weight backwards."""
    model = graph_model(
        [
            helper.make_node("Gemm", ["x", "w"], ["code"], name="encode", transB=1),
            helper.make_node("Gemm", ["code", "w"], ["y"], name="decode"),
        ],
        [tensor("x", ["batch", 48])],
        [tensor("y", ["batch", 256])],
        [numpy_helper.from_array(weights(24, 48), "w")],
    )
    samples = np.random.default_rng(0).standard_normal((16, 48)).astype(np.float32)

    made = quantized(tmp_path, Format.ONNX, model, x=samples)

    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 25


def test_tensors_called_like_numbered_biases_do_no_harm(tmp_path: Path) -> None:
    made = helper.make_node
    model = graph_model(
        [made("Conv", ["x", f"w{n}", "b"], [f"b{n}"], name=f"conv{n}") for n in (0, 1)]
        + [made("Concat", ["b0", "b1"], ["y"], axis=1)],
        [tensor("x", ["batch", 4, 3, 3])],
        [tensor("y", ["batch", 8, 3, 3])],
        [
            *(numpy_helper.from_array(weights(4, 4, 1, 1, seed=n), f"w{n}") for n in (0, 1)),
            numpy_helper.from_array(weights(4, seed=3), "b"),
        ],
    )

    int8 = quantized(tmp_path, Format.ONNX, model, x=X[:36].reshape(8, 4, 3, 3))

    assert sqnr_db(int8) > 30  # as one layer rounds
