from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from support import tflite_models
from support.quantizing import Quantized, call_here, quantized, sqnr_db
from support.tflite_graphs import classifier, loop, outlying, placed, residual, swishing
from support.tflite_models import Builder

from edgekit.core.artifact import Format
from edgekit.core.target import Destination, Runtime
from edgekit.errors import UnsupportedError
from edgekit.loading.artifact import open_artifact
from edgekit.quantization.settings import RANGES, QuantizeSettings, Scales
from edgekit.quantization.tflite.biases import flatten_biases

FULLY_CONNECTED = schema.BuiltinOperator.FULLY_CONNECTED
X = np.random.default_rng(0).standard_normal((40, 32)).astype(np.float32)


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


@pytest.fixture(scope="module")
def mlp(tmp_path_factory: pytest.TempPathFactory) -> Quantized:
    return quantized(tmp_path_factory.mktemp("mlp"), Format.TFLITE, classifier(), x=X)


def test_an_int8_model_answers_as_the_float_one(mlp: Quantized) -> None:
    assert sqnr_db(mlp) > 30  # 8 bits give 6 dB each, less what two layers of rounding cost


def test_an_int8_model_is_smaller_and_computes_in_int8(mlp: Quantized) -> None:
    assert mlp.report.size_bytes == mlp.path.stat().st_size < 0.5 * mlp.report.float_size_bytes
    assert mlp.report.int8_macs_percent == 100


def test_float_inputs_and_outputs_keep_their_names(mlp: Quantized) -> None:
    assert open_artifact(mlp.path).signature == mlp.artifact.signature


@pytest.mark.parametrize("name", RANGES.names())
def test_every_range_method_gives_a_working_file(name: str, tmp_path: Path) -> None:
    settings = QuantizeSettings(ranges=RANGES.get(name)())

    assert sqnr_db(quantized(tmp_path, Format.TFLITE, classifier(), settings, x=X)) > 20


def test_what_is_kept_in_float_is_kept(tmp_path: Path) -> None:
    settings = QuantizeSettings(keep_float=("hidden",))

    made = quantized(tmp_path, Format.TFLITE, classifier(), settings, x=X)

    assert [(f.op_type, f.count, f.reason) for f in made.report.float_operators] == [
        ("FULLY_CONNECTED", 1, "kept in float as asked")
    ]
    assert made.report.int8_macs_percent == pytest.approx(100 * 64 * 8 / (32 * 64 + 64 * 8))


def test_what_is_faster_in_float_stays_float_between_int8_operators(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.TFLITE, swishing(), x=X)

    assert [(f.op_type, f.count, f.reason) for f in made.report.float_operators] == [
        ("HARD_SWISH", 1, "LiteRT computes it faster in float")
    ]
    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what two layers of rounding cost


@pytest.mark.parametrize(
    ("channels", "destination", "left"),
    [
        (1, Destination((Runtime.LITERT,), dot_products=False), [("DEPTHWISE_CONV_2D", 1)]),
        (3, Destination((Runtime.LITERT,), dot_products=False), [("CONV_2D", 1)]),
        (8, Destination((Runtime.LITERT,), dot_products=False), []),
        (1, Destination((Runtime.LITERT,), dot_products=True), []),
        (1, Destination((), dot_products=False), []),
    ],
)
def test_only_a_convolution_of_few_channels_stays_float_for_cores_without_dot_products(
    channels: int, destination: Destination, left: list[tuple[str, int]], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).standard_normal((20, 12, 12, channels)).astype(np.float32)

    made = quantized(tmp_path, Format.TFLITE, residual(channels), None, destination, x=images)

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    kernel = [1, 3, 3, 16] if channels == 1 else [16, 3, 3, channels]
    kernels = [t for t in model.subgraphs[0].tensors if list(t.shape) == kernel]
    assert schema.TensorType.INT8 in {kernel.type for kernel in kernels}
    assert [(found.op_type, found.count) for found in made.report.float_operators] == left
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what three layers of rounding cost


def test_what_hurts_computes_in_float_with_int8_weights(tmp_path: Path) -> None:
    settings = QuantizeSettings(scales=Scales.STATIC)

    made = quantized(tmp_path, Format.TFLITE, outlying(), settings, x=X)

    assert sqnr_db(made) > 15  # int8 weights alone, which cannot hold 1 and 1/300 well either
    assert made.report.size_bytes < 0.6 * made.report.float_size_bytes
    assert [(f.op_type, f.count, f.reason) for f in made.report.float_operators] == [
        (
            "FULLY_CONNECTED",
            2,
            "in static int8 it costs the outputs most; its weights are stored in int8",
        )
    ]
    assert "dB of signal over noise" in made.report.notes[-1]


@pytest.mark.parametrize(
    ("settings", "table"),
    [
        (QuantizeSettings(), schema.TensorType.INT8),
        (QuantizeSettings(keep_float=("ADD",)), schema.TensorType.FLOAT32),
        # No more than half of what is tried stays float: the table is not the worse one.
        (QuantizeSettings(min_sqnr_db=60), schema.TensorType.INT8),
    ],
)
def test_constants_of_float_operators_are_int8_unless_asked(
    settings: QuantizeSettings, table: int, tmp_path: Path
) -> None:
    rows = np.repeat(X[:, None], 2, axis=1)

    made = quantized(tmp_path, Format.TFLITE, placed(), settings, x=rows)

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    types = {bytes(tensor.name): tensor.type for tensor in model.subgraphs[0].tensors}
    assert types[b"table"] == table
    assert sqnr_db(made) > 35  # one layer and one constant, rounded


def test_short_rows_of_weights_share_one_scale(tmp_path: Path) -> None:
    net = Builder()
    x = net.tensor("x", [1, 4])
    inner = net.tensor("inner", [1, 64])
    y = net.tensor("y", [1, 8])
    rng = np.random.default_rng(1)
    short = net.tensor("short", [64, 4], value=rng.standard_normal((64, 4)).astype(np.float32))
    long = net.tensor("long", [8, 64], value=rng.standard_normal((8, 64)).astype(np.float32))
    options = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    net.operator(FULLY_CONNECTED, [x, short, -1], [inner], options=options)
    net.operator(FULLY_CONNECTED, [inner, long, -1], [y], options=options)

    content = net.build([x], [y], names=(["x"], ["y"]))
    made = quantized(tmp_path, Format.TFLITE, content, x=X[:, :4])

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    scales = {bytes(t.name): t.quantization for t in model.subgraphs[0].tensors}
    assert len(scales[b"short"].scale) == 1
    assert len(scales[b"long"].scale) == 8
    assert sqnr_db(made) > 30  # 8 bits, less what two layers of rounding cost


@pytest.mark.parametrize(("is_even", "scales"), [(True, 1), (False, 64)])
def test_rows_of_some_weights_share_a_scale_where_channels_are_alike(
    tmp_path: Path, *, is_even: bool, scales: int
) -> None:
    net = Builder()
    x, y = net.tensor("x", [1, 32]), net.tensor("y", [1, 64])
    weights = np.random.default_rng(1).uniform(-1, 1, (64, 32)).astype(np.float32)
    weights[1:] *= 1.0 if is_even else 0.05
    options = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    net.operator(
        FULLY_CONNECTED, [x, net.tensor("w", [64, 32], value=weights), -1], [y], options=options
    )

    made = quantized(
        tmp_path, Format.TFLITE, net.build([x], [y], names=(["x"], ["y"])), x=X[:, :32]
    )

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    (found,) = (t.quantization for t in model.subgraphs[0].tensors if bytes(t.name) == b"w")
    assert len(found.scale) == scales


@pytest.mark.parametrize("axes", [2, 3])
def test_a_product_of_batches_by_weights_is_int8(axes: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((1, 32, 24)[-axes:]).astype(np.float32)
    builder = Builder()
    x = builder.tensor("x", [1, 4, 32])
    w = builder.tensor(
        "w", weights.shape, value=weights * rng.uniform(0.1, 1, 24).astype(np.float32)
    )
    y = builder.tensor("y", [1, 4, 24])
    options = (schema.BuiltinOptions.BatchMatMulOptions, schema.BatchMatMulOptionsT())
    builder.operator(schema.BuiltinOperator.BATCH_MATMUL, [x, w], [y], options=options)
    model = builder.build([x], [y], names=(["x"], ["y"]))

    made = quantized(tmp_path, Format.TFLITE, model, x=X.reshape(-1, 4, 32))

    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 30  # 8 bits give 6 dB each, less what a scale for all costs


def test_outliers_get_scales_for_each_row_as_the_model_runs(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.TFLITE, outlying(), x=X)

    assert sqnr_db(made) > 30  # smoothing takes the outlier away; four layers are rounded
    assert made.report.float_operators == ()
    assert made.report.int8_macs_percent == 100
    assert "4 operators scale each row of their inputs as the model runs" in made.report.notes[-1]
    assert "tflite-runtime 2.14 wrong" in made.report.notes[-1]


@pytest.mark.parametrize(
    "activation", [schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU]
)
def test_a_few_of_many_channels_are_multiplied_in_float(tmp_path: Path, activation: int) -> None:
    wide = np.random.default_rng(0).standard_normal((40, 256)).astype(np.float32)
    settings = QuantizeSettings(scales=Scales.DYNAMIC)

    made = quantized(tmp_path, Format.TFLITE, outlying(256, activation), settings, x=wide)

    assert sqnr_db(made) > 30  # four layers are rounded
    assert 90 < made.report.int8_macs_percent < 100  # 8 channels of 256 are float
    assert made.report.size_bytes < 0.35 * made.report.float_size_bytes
    assert open_artifact(made.path).signature == made.artifact.signature


def test_groups_of_channels_have_scales_of_their_own(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).standard_normal((40, 256)).astype(np.float32)
    settings = QuantizeSettings(scales=Scales.DYNAMIC)

    made = quantized(tmp_path, Format.TFLITE, outlying(256), settings, x=wide)

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    of_groups = [t for t in model.subgraphs[0].tensors if list(t.shape) == [256, 128]]
    # Two each of three layers; nothing can be added to the last, an output of the model.
    assert [len(weight.quantization.scale) for weight in of_groups] == [256] * 6
    assert {weight.type for weight in of_groups} == {schema.TensorType.INT8}


def test_scales_are_static_where_older_runtimes_count(tmp_path: Path) -> None:
    settings = QuantizeSettings(scales=Scales.DYNAMIC)

    made = quantized(
        tmp_path,
        Format.TFLITE,
        outlying(),
        settings,
        destination=Destination((Runtime.TFLITE_RUNTIME,)),
        x=X,
    )

    assert not any("scale each row" in note for note in made.report.notes)


def test_nothing_is_tried_when_nothing_is_asked_for(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.TFLITE, outlying(), QuantizeSettings(min_sqnr_db=0), x=X)

    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) < 10  # one scale for values of 1 and of 300


def test_keeping_everything_in_float_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no operator that int8 would shrink"):
        quantized(tmp_path, Format.TFLITE, classifier(), QuantizeSettings(keep_float=("*",)), x=X)


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    x = np.zeros((4, 8), np.int8)

    with pytest.raises(UnsupportedError, match="quantized already"):
        quantized(tmp_path, Format.TFLITE, tflite_models.quantized(), x=x)


def test_equal_zero_points_are_written_once(tmp_path: Path) -> None:
    net = Builder()
    x, y = net.tensor("x", [1, 64]), net.tensor("y", [1, 64])
    rng = np.random.default_rng(1)
    weights = net.tensor("w", [64, 64], value=rng.standard_normal((64, 64)).astype(np.float32))
    bias = net.tensor("b", [64], value=rng.standard_normal(64).astype(np.float32))
    options = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    net.operator(FULLY_CONNECTED, [x, weights, bias], [y], options=options)
    content = net.build([x], [y], names=(["x"], ["y"]))

    made = quantized(tmp_path, Format.TFLITE, content, x=np.tile(X, 2))

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    plain = len(flatbuffer_utils.convert_object_to_bytearray(model))
    # 64 channels carry 8 bytes of zero twice, for the weight and for the bias.
    assert made.report.size_bytes <= plain - 64 * 8


def test_weights_inside_a_loop_become_int8(tmp_path: Path) -> None:
    made = quantized(tmp_path, Format.TFLITE, loop(), x=X)

    assert made.report.int8_macs_percent == 100
    assert made.report.size_bytes < 0.7 * made.report.float_size_bytes
    assert made.report.float_operators == ()
    assert sqnr_db(made) > 25


def test_weights_inside_a_loop_are_only_stored_where_int8_would_be_slower(tmp_path: Path) -> None:
    made = quantized(
        tmp_path, Format.TFLITE, loop(), destination=Destination((Runtime.TFLITE_RUNTIME,)), x=X
    )

    assert made.report.int8_macs_percent == 0
    assert made.report.size_bytes < 0.7 * made.report.float_size_bytes
    (left,) = made.report.float_operators
    assert (left.op_type, left.count) == ("FULLY_CONNECTED", 1)
    assert left.reason == (
        "between floats, int8 takes longer than float on tflite-runtime; "
        "its weights are stored in int8"
    )
    assert sqnr_db(made) > 25


def test_weights_inside_a_loop_are_kept_as_asked(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no operator that int8 would shrink"):
        quantized(tmp_path, Format.TFLITE, loop(), QuantizeSettings(keep_float=("product",)), x=X)


def biased(*, shared: bool) -> bytes:
    """`x [1, 32]` to `y [1, 64]` by a layer whose bias has a shape that batch norms leave."""
    net = Builder()
    x, hidden, y = net.tensor("x", [1, 32]), net.tensor("h", [1, 64]), net.tensor("y", [1, 64])
    rng = np.random.default_rng(0)
    weight = net.tensor("w", [64, 32], value=rng.standard_normal((64, 32)).astype(np.float32))
    bias = net.tensor("b", [1, 64], value=rng.standard_normal((1, 64)).astype(np.float32))
    plain = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    add = (schema.BuiltinOptions.AddOptions, schema.AddOptionsT())
    net.operator(schema.BuiltinOperator.FULLY_CONNECTED, [x, weight, bias], [hidden], options=plain)
    second = bias if shared else hidden
    net.operator(schema.BuiltinOperator.ADD, [hidden, second], [y], options=add)
    return net.build([x], [y], names=(["x"], ["y"]))


@pytest.mark.parametrize(("shared", "shape"), [(False, [64]), (True, [1, 64])])
def test_a_bias_gets_one_axis_unless_something_else_reads_it(
    *, shared: bool, shape: list[int]
) -> None:
    model = flatbuffer_utils.read_model_from_bytearray(biased(shared=shared))

    flatten_biases(model)

    (bias,) = (t for t in model.subgraphs[0].tensors if t.name == b"b")
    assert list(bias.shape) == shape


def embedding() -> bytes:
    """`x [1]`, the number of a word, to `y [1, 32]` by a table of 50 words and a layer."""
    net = Builder()
    x, word, y = (
        net.tensor("x", [1], "int32"),
        net.tensor("word", [1, 32]),
        net.tensor("y", [1, 32]),
    )
    rng = np.random.default_rng(0)
    table = net.tensor("table", [50, 32], value=rng.standard_normal((50, 32)).astype(np.float32))
    weight = net.tensor("w", [32, 32], value=rng.standard_normal((32, 32)).astype(np.float32))
    plain = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    net.operator(schema.BuiltinOperator.EMBEDDING_LOOKUP, [x, table], [word])
    net.operator(schema.BuiltinOperator.FULLY_CONNECTED, [word, weight, -1], [y], options=plain)
    return net.build([x], [y], names=(["x"], ["y"]))


def test_a_table_of_words_has_one_scale_as_older_runtimes_read_one_only(tmp_path: Path) -> None:
    words = np.arange(40, dtype=np.int32)

    made = quantized(tmp_path, Format.TFLITE, embedding(), x=words)

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    (table,) = (t for t in model.subgraphs[0].tensors if list(t.shape) == [50, 32])
    assert table.type == schema.TensorType.INT8
    assert len(table.quantization.scale) == 1
    assert sqnr_db(made) > 30


def test_an_output_that_the_model_reads_itself_stays_float(tmp_path: Path) -> None:
    net = Builder()
    x, state, y = (net.tensor(name, [1, 32]) for name in ("x", "state", "y"))
    plain = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    for seed, (source, target) in enumerate(((x, state), (state, y))):
        values = np.random.default_rng(seed).standard_normal((32, 32)).astype(np.float32)
        weight = net.tensor(f"w{seed}", [32, 32], value=values)
        fully_connected = schema.BuiltinOperator.FULLY_CONNECTED
        net.operator(fully_connected, [source, weight], [target], options=plain)
    model = net.build([x], [y, state], names=(["x"], ["y", "state"]))

    made = quantized(tmp_path, Format.TFLITE, model, x=X)

    assert open_artifact(made.path).signature == made.artifact.signature
    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 25


def test_a_constant_that_joins_an_int8_tensor_is_int8_too(tmp_path: Path) -> None:
    net = Builder()
    x, y = net.tensor("x", [1, 32]), net.tensor("y", [1, 32])
    joined = net.tensor("joined", [1, 40])
    zeros = net.tensor("zeros", [1, 8], value=np.zeros((1, 8), np.float32))
    values = np.random.default_rng(0).standard_normal((32, 40)).astype(np.float32)
    weight = net.tensor("w", [32, 40], value=values)
    along = schema.ConcatenationOptionsT(axis=1)
    concatenation, fully = schema.BuiltinOperator.CONCATENATION, schema.FullyConnectedOptionsT()
    options = schema.BuiltinOptions
    net.operator(concatenation, [x, zeros], [joined], options=(options.ConcatenationOptions, along))
    net.operator(
        schema.BuiltinOperator.FULLY_CONNECTED,
        [joined, weight],
        [y],
        options=(options.FullyConnectedOptions, fully),
    )

    made = quantized(tmp_path, Format.TFLITE, net.build([x], [y], names=(["x"], ["y"])), x=X)

    assert sqnr_db(made) > 25


@pytest.mark.parametrize("scales", [Scales.STATIC, Scales.DYNAMIC])
def test_a_table_that_is_looked_up_and_multiplied_is_stored_once(
    tmp_path: Path, scales: Scales
) -> None:
    net = Builder()
    x, word, scores = (
        net.tensor("x", [1], "int32"),
        net.tensor("word", [1, 32]),
        net.tensor("scores", [1, 200]),
    )
    values = np.random.default_rng(0).standard_normal((200, 32)).astype(np.float32)
    table = net.tensor("table", [200, 32], value=values)
    plain = (schema.BuiltinOptions.FullyConnectedOptions, schema.FullyConnectedOptionsT())
    net.operator(schema.BuiltinOperator.EMBEDDING_LOOKUP, [x, table], [word])
    net.operator(FULLY_CONNECTED, [word, table, -1], [scores], options=plain)
    model = net.build([x], [scores], names=(["x"], ["scores"]))
    settings = QuantizeSettings(scales=scales)

    made = quantized(
        tmp_path, Format.TFLITE, model, settings, x=np.arange(200, dtype=np.int32)[::5]
    )

    file = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    large = [b for b in file.buffers if b.data is not None and len(b.data) >= 200 * 32]
    assert [len(buffer.data) for buffer in large] == [200 * 32]
    assert sqnr_db(made) > 30  # one table, rounded, and what is looked up in it


def test_rows_taken_by_their_numbers_come_from_an_int8_table(tmp_path: Path) -> None:
    net = Builder()
    x, rows, y = (
        net.tensor("x", [1, 4, 1], "int32"),
        net.tensor("rows", [1, 4, 32]),
        net.tensor("y", [1, 4, 16]),
    )
    rng = np.random.default_rng(0)
    values = rng.standard_normal((200, 32)).astype(np.float32)
    weight = net.tensor("w", [16, 32], value=rng.standard_normal((16, 32)).astype(np.float32))
    keeping = schema.FullyConnectedOptionsT(keepNumDims=True)
    options = (schema.BuiltinOptions.FullyConnectedOptions, keeping)
    table = net.tensor("table", [200, 32], value=values)
    net.operator(schema.BuiltinOperator.GATHER_ND, [table, x], [rows])
    net.operator(FULLY_CONNECTED, [rows, weight, -1], [y], options=options)
    model = net.build([x], [y], names=(["x"], ["y"]))
    numbers = rng.integers(0, 200, (30, 4, 1)).astype(np.int32)

    made = quantized(tmp_path, Format.TFLITE, model, x=numbers)

    assert made.report.size_bytes < 0.4 * made.report.float_size_bytes
    assert sqnr_db(made) > 30  # a table and a layer, rounded


def test_each_row_of_a_table_has_a_scale_where_scales_are_dynamic(tmp_path: Path) -> None:
    settings = QuantizeSettings(scales=Scales.DYNAMIC)

    made = quantized(
        tmp_path, Format.TFLITE, embedding(), settings, x=np.arange(40, dtype=np.int32)
    )

    model = flatbuffer_utils.read_model_from_bytearray(made.path.read_bytes())
    (table,) = (t for t in model.subgraphs[0].tensors if list(t.shape) == [50, 32])
    assert len(table.quantization.scale) == 50
    assert sqnr_db(made) > 30  # a table and a layer, rounded
    assert (
        "2 operators scale each row of their inputs as the model runs, as asked"
        in (made.report.notes[-1])
    )
