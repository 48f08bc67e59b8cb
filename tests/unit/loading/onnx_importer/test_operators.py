"""Operators in the forms that real files use, against onnxruntime or the definition."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from support.onnx_models import weights
from support.onnx_text import assert_close, imported, model, reference, run
from torch import fx, nn

from edgekit.core.tensors import Array
from edgekit.errors import UnsupportedError

# Tens of float32 products, summed in another order.
TOLERANCE = 1e-5


def normal(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return weights(*shape, seed=7)


def kinds(module: nn.Module) -> set[str]:
    return {type(part).__name__ for part in module.modules() if type(part) is not nn.Module}


def same_as_onnxruntime(
    folder: Path,
    graph: str,
    constants: Mapping[str, Array],
    inputs: Mapping[str, Array],
    opset: int = 18,
) -> nn.Module:
    proto = model(graph, constants, opset=opset)
    found = imported(proto, folder)
    assert_close(run(found, **inputs), reference(proto, **inputs), TOLERANCE)
    return found.module


@pytest.mark.parametrize(
    "attributes",
    [
        "pads = [1, 0, 0, 2]",
        'auto_pad = "SAME_UPPER", strides = [2, 2]',
        'auto_pad = "SAME_LOWER", strides = [2, 2]',
        'auto_pad = "VALID"',
        "dilations = [2, 2], pads = [2, 2, 2, 2]",
        "group = 2, strides = [2, 1]",
    ],
)
def test_convolutions_of_all_paddings_become_modules(attributes: str, tmp_path: Path) -> None:
    kernel = normal(4, 2 if "group" in attributes else 4, 3, 3)

    module = same_as_onnxruntime(
        tmp_path,
        f"m (float[n, 4, 7, 8] x) => (float[n, 4, h, v] y) {{ y = Conv<{attributes}>(x, w, b) }}",
        {"w": kernel, "b": normal(4)},
        {"x": normal(2, 4, 7, 8)},
    )

    assert "Conv2d" in kinds(module)


@pytest.mark.parametrize(
    "attributes",
    [
        "strides = [2], pads = [1, 1]",
        "strides = [2], pads = [1, 1], output_padding = [1]",
        "strides = [2], pads = [0, 1]",
        "strides = [3], pads = [2, 0], dilations = [2]",
        "strides = [2], output_shape = [12]",
        'strides = [2], auto_pad = "SAME_UPPER"',
        "strides = [1], pads = [0, 0], output_padding = [0], group = 2",
    ],
)
def test_transposed_convolutions_of_all_paddings_become_modules(
    attributes: str, tmp_path: Path
) -> None:
    module = same_as_onnxruntime(
        tmp_path,
        f"m (float[n, 4, 5] x) => (float[n, c, v] y) {{ y = ConvTranspose<{attributes}>(x, w) }}",
        {"w": normal(4, 3, 3)},
        {"x": normal(2, 4, 5)},
    )

    assert "ConvTranspose1d" in kinds(module)


@pytest.mark.parametrize("where", ["UPPER", "LOWER"])
def test_a_transposed_convolution_that_leaves_gaps_stays_shorter_than_its_strides(
    where: str, tmp_path: Path
) -> None:
    attributes = f'strides = [3], auto_pad = "SAME_{where}"'

    same_as_onnxruntime(
        tmp_path,
        f"m (float[n, 4, 5] x) => (float[n, c, v] y) {{ y = ConvTranspose<{attributes}>(x, w) }}",
        {"w": normal(4, 3, 2)},
        {"x": normal(2, 4, 5)},
    )


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(
    "attributes",
    [
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [0, 1, 2, 1]",
        "kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1",
        'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_LOWER"',
    ],
)
def test_pooling_of_all_paddings(op: str, attributes: str, tmp_path: Path) -> None:
    same_as_onnxruntime(
        tmp_path,
        f"m (float[n, 2, 7, 7] x) => (float[n, 2, h, v] y) {{ y = {op}<{attributes}>(x) }}",
        {},
        {"x": normal(2, 2, 7, 7)},
    )


@pytest.mark.parametrize("count", [0, 1])
def test_averages_count_padding_as_they_are_told(count: int, tmp_path: Path) -> None:
    attributes = f"kernel_shape = [3], pads = [0, 1], count_include_pad = {count}"

    same_as_onnxruntime(
        tmp_path,
        f"m (float[n, 2, 7] x) => (float[n, 2, h] y) {{ y = AveragePool<{attributes}>(x) }}",
        {},
        {"x": normal(2, 2, 7)},
    )


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_recurrent_layers_become_modules(op: str, direction: str, tmp_path: Path) -> None:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]
    ways = 2 if direction == "bidirectional" else 1
    cell = ", c" if op == "LSTM" else ""
    inputs = {"x": normal(5, 2, 3), "h": normal(ways, 2, 4)}
    if cell:
        inputs["c"] = normal(ways, 2, 4)
    declared = ", ".join(f"float[{ways}, n, 4] {name}" for name in inputs if name != "x")
    reset = ", linear_before_reset = 1" if op == "GRU" else ""

    module = same_as_onnxruntime(
        tmp_path,
        f"m (float[5, n, 3] x, {declared}) => (float[5, {ways}, n, 4] y, float[{ways}, n, 4] yh)"
        f'{{ y, yh = {op}<hidden_size = 4, direction = "{direction}"{reset}>'
        f"(x, w, r, b, , h{cell}) }}",
        {
            "w": normal(ways, gates * 4, 3),
            "r": normal(ways, gates * 4, 4),
            "b": normal(ways, gates * 8),
        },
        inputs,
    )

    assert op in kinds(module)


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_sequences_of_different_length_end_where_they_end(op: str, tmp_path: Path) -> None:
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[op]

    same_as_onnxruntime(
        tmp_path,
        "m (float[5, n, 3] x, int32[n] lengths) => (float[5, 2, n, 4] y, float[2, n, 4] yh)"
        f'{{ y, yh = {op}<hidden_size = 4, direction = "bidirectional">(x, w, r, , lengths) }}',
        {"w": normal(2, gates * 4, 3), "r": normal(2, gates * 4, 4)},
        {"x": normal(5, 3, 3), "lengths": np.array([5, 1, 3], np.int32)},
    )


def test_a_gru_that_resets_before_its_product_runs_step_by_step(tmp_path: Path) -> None:
    same_as_onnxruntime(
        tmp_path,
        "m (float[5, n, 3] x) => (float[5, 1, n, 4] y, float[1, n, 4] yh)"
        "{ y, yh = GRU<hidden_size = 4>(x, w, r, b) }",
        {"w": normal(1, 12, 3), "r": normal(1, 12, 4), "b": normal(1, 24)},
        {"x": normal(5, 2, 3)},
    )


def test_unusual_lstms_run_step_by_step(tmp_path: Path) -> None:
    settings = (
        'hidden_size = 4, clip = 0.5, activations = ["HardSigmoid", "ScaledTanh", "Elu"], '
        "activation_alpha = [0.3, 1.5, 0.8], activation_beta = [0.4, 0.7]"
    )

    same_as_onnxruntime(
        tmp_path,
        "m (float[3, n, 3] x) => (float[3, 1, n, 4] y)"
        f"{{ y = LSTM<{settings}>(x, w, r, b, , , , p) }}",
        {"w": normal(1, 16, 3), "r": normal(1, 16, 4), "b": normal(1, 32), "p": normal(1, 12)},
        {"x": normal(3, 2, 3)},
    )


def test_a_clipped_lstm_does_not_clip_its_cell(tmp_path: Path) -> None:
    # Gates that are wide open let the cell grow past the clip.
    same_as_onnxruntime(
        tmp_path,
        "m (float[7, n, 3] x) => (float[7, 1, n, 4] y, float[1, n, 4] h, float[1, n, 4] c)"
        "{ y, h, c = LSTM<hidden_size = 4, clip = 1.0>(x, w, r, b) }",
        {"w": normal(1, 16, 3), "r": normal(1, 16, 4), "b": np.full((1, 32), 2, np.float32)},
        {"x": normal(7, 2, 3)},
    )


def test_an_unknown_activation_is_refused(tmp_path: Path) -> None:
    proto = model(
        "m (float[3, 1, 3] x) => (float[3, 1, 1, 4] y)"
        '{ y = RNN<hidden_size = 4, activations = ["Sine"]>(x, w, r) }',
        {"w": normal(1, 4, 3), "r": normal(1, 4, 4)},
    )

    with pytest.raises(UnsupportedError, match="activation 'sine'"):
        imported(proto, tmp_path)


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric", "align_corners"])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("scale", [2.0, 1.5, 0.5])
def test_images_are_resized_as_onnxruntime_does(
    mode: str, coordinates: str, scale: float, tmp_path: Path
) -> None:
    settings = f'mode = "{mode}", coordinate_transformation_mode = "{coordinates}"'

    same_as_onnxruntime(
        tmp_path,
        f"m (float[n, 2, 6, 8] x) => (float[n, 2, h, v] y) {{ y = Resize<{settings}>(x, , s) }}",
        {"s": np.array([1, 1, scale, scale], np.float32)},
        {"x": normal(2, 2, 6, 8)},
    )


def test_an_image_of_any_size_is_doubled(tmp_path: Path) -> None:
    graph = (
        'm (float[1, 1, h, w] x) => (float[1, 1, a, b] y){ y = Resize<mode = "linear">(x, , s) }'
    )
    module = same_as_onnxruntime(
        tmp_path, graph, {"s": np.array([1, 1, 2, 2], np.float32)}, {"x": normal(1, 1, 3, 5)}
    )

    assert "interpolate" in {getattr(n.target, "__name__", "") for n in nodes(module)}


def nodes(module: nn.Module) -> list[fx.Node]:
    assert isinstance(module, fx.GraphModule)
    return list(module.graph.nodes)


ORIGIN = np.zeros((1, 1, 1, 1), np.int64)
BACKWARDS = {
    "s": np.array([-1]),
    "e": np.array([-99]),
    "a": np.array([3]),
    "t": np.array([-2]),
}


@pytest.mark.parametrize(
    ("opset", "graph", "constants"),
    [
        (7, "{ y = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(x) }", {}),
        (9, "{ y = Upsample(x, s) }", {"s": np.array([1, 1, 2, 2], np.float32)}),
        (10, "{ y = Resize(x, s) }", {"s": np.array([1, 1, 2, 2], np.float32)}),
        (7, "{ y = Slice<starts = [1], ends = [3], axes = [2]>(x) }", {}),
        (7, "{ y = Pad<pads = [0, 0, 1, 0, 0, 0, 0, 2], value = 1.5>(x) }", {}),
        (7, "{ y = Clip<min = -0.1, max = 0.2>(x) }", {}),
        (7, "{ y = Softmax<axis = 1>(x) }", {}),
        (7, "{ y = LogSoftmax<axis = 2>(x) }", {}),
        (7, "{ y, i = TopK<axis = 3, k = 2>(x) }", {}),
        (7, "{ z = Squeeze<axes = [0]>(x) y = Unsqueeze<axes = [1]>(z) }", {}),
        (7, "{ y = ReduceSum<axes = [1, 3], keepdims = 0>(x) }", {}),
        (7, "{ y, z = Split<axis = 2, split = [1, 5]>(x) }", {}),
        (7, "{ y = Dropout(x) }", {}),
        (9, "{ y = Scatter<axis = 2>(x, i, u) }", {"i": ORIGIN, "u": normal(1, 1, 1, 1)}),
        (18, "{ y, z = Split<axis = 2, num_outputs = 2>(x) }", {}),
        (18, "{ y = ReduceMax(x, a) }", {"a": np.array([2], np.int64)}),
        (18, "{ y = Pad(x, p, , a) }", {"p": np.array([1, 2]), "a": np.array([-1])}),
        (13, "{ y = Slice(x, s, e, a, t) }", BACKWARDS),
        (13, '{ y = Pad<mode = "reflect">(x, p) }', {"p": np.array([0, 0, 2, 1, 0, 0, 1, 3])}),
        (13, '{ y = Pad<mode = "edge">(x, p) }', {"p": np.array([0, 0, 2, 1, 0, 0, 0, 3])}),
        (13, '{ y = Pad<mode = "edge">(x, p) }', {"p": np.array([0, 0, 2, 19, 0, 0, 1, 0])}),
        (19, '{ y = Pad<mode = "wrap">(x, p) }', {"p": np.array([0, 0, 2, 0, 0, 0, 1, 3])}),
        (16, "{ y = LeakyRelu<alpha = 0.2>(x) }", {}),
        (13, "{ y = DepthToSpace<blocksize = 1>(x) }", {}),
        (13, "{ y = Mean(x, x, x) }", {}),
        (13, "{ y = Max(x, s) }", {"s": np.array(0.1, np.float32)}),
        (13, "{ y = Sub(s, x) }", {"s": np.array(2, np.float32)}),
        (13, "{ y = Div(s, x) }", {"s": np.array([2], np.float32)}),
        (13, "{ z = Less(s, x) y = Cast<to = 1>(z) }", {"s": np.array([0], np.float32)}),
        (13, "{ y = Selu(x) }", {}),
        (13, "{ y = Selu<alpha = 1.2, gamma = 0.9>(x) }", {}),
        (13, "{ y = PRelu(x, s) }", {"s": normal(2, 1, 1)}),
        (13, "{ y = PRelu(x, s) }", {"s": normal(1, 1, 8)}),
        (13, "{ y = InstanceNormalization(x, s, t) }", {"s": normal(2), "t": normal(2)}),
        (13, "{ z = GlobalAveragePool(x) y = InstanceNormalization(z, s, t) }",
         {"s": normal(2), "t": normal(2)}),
        (17, "{ y = LayerNormalization<axis = 2>(x, s) }", {"s": normal(6, 8)}),
        (17, "{ y = LayerNormalization(x, s, t) }", {"s": normal(1), "t": normal(8)}),
        (13, '{ y = Einsum<equation = "nchw, wk -> nchk">(x, s) }', {"s": normal(8, 3)}),
        (13, "{ y = Gather<axis = 3>(x, s) }", {"s": np.array([-1, 0])}),
        (13, "{ y = Gather<axis = 2>(x, s) }", {"s": np.array([[0, 1], [-2, 3]])}),
        (13, "{ y = Hardmax(x) }", {}),
        (13, "{ y = CumSum<exclusive = 1, reverse = 1>(x, a) }", {"a": np.array(3)}),
        (13, "{ y = GlobalMaxPool(x) }", {}),
        (13, "{ z = Shape(x) y = Cast<to = 1>(z) }", {}),
        (13, "{ y = Pow(x, e) }", {"e": np.array(2, np.float32)}),
    ],
)  # fmt: skip
def test_forms_of_all_opsets(
    opset: int, graph: str, constants: dict[str, Array], tmp_path: Path
) -> None:
    text = f"m (float[1, 2, 6, 8] x) => (float y) {graph}"
    proto = model(text, constants, opset=opset)
    # Only the name counts; onnxruntime works the shape out for itself.
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    x = normal(1, 2, 6, 8)

    found = imported(proto, tmp_path)

    assert_close(run(found, x=x), reference(proto, x=x), TOLERANCE)


def test_a_branch_whose_condition_is_known_is_the_only_one_left(tmp_path: Path) -> None:
    module = same_as_onnxruntime(
        tmp_path,
        "m (float[2, 3] x) => (float[2, 3] y) { s = Shape(x) n = Gather(s, zero) c = Equal(n, two)"
        " y = If(c) <then_branch = a () => (float[2, 3] p) { p = Relu(x) },"
        " else_branch = b () => (float[2, 3] q) { q = Exp(x) }> }",
        {"zero": np.array(0), "two": np.array(2)},
        {"x": normal(2, 3)},
    )

    assert [node.name for node in nodes(module) if node.op == "call_function"] == ["p"]


@pytest.mark.parametrize("taken", [False, True])
def test_a_branch_that_depends_on_the_inputs_is_selected(taken: bool, tmp_path: Path) -> None:  # noqa: FBT001
    same_as_onnxruntime(
        tmp_path,
        "m (float[2] x, bool c) => (float[2] y) { y = If(c) <"
        "then_branch = a () => (float[2] p) { p = Neg(x) },"
        " else_branch = b () => (float[2] q) { q = Exp(x) }> }",
        {},
        {"x": normal(2), "c": np.array(taken)},
    )


def test_branches_of_different_shape_that_depend_on_the_inputs_are_refused(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] x, bool c) => (float[k] y) { y = If(c) <"
        "then_branch = a () => (float[2] p) { p = Neg(x) },"
        " else_branch = b () => (float[4] q) { q = Concat<axis = 0>(x, x) }> }"
    )

    with pytest.raises(UnsupportedError, match="branches return different shapes"):
        imported(proto, tmp_path)


def test_a_loop_is_unrolled_with_its_weights_shared(tmp_path: Path) -> None:
    module = same_as_onnxruntime(
        tmp_path,
        "m (float[1, 2] x) => (float[1, 2] y, float[k, 1, 2] z) { y, z = Loop(n, , x) <body = b "
        "(int64 i, bool c, float[1, 2] v) => (bool d, float[1, 2] w, float[1, 2] s) "
        "{ d = Identity(c) w = Gemm(v, weight, bias) s = Relu(w) }> }",
        {"n": np.array(3), "weight": normal(2, 2), "bias": normal(2)},
        {"x": normal(1, 2)},
    )

    assert len(list(module.parameters())) == 2
    assert sum(node.op == "call_module" for node in nodes(module)) == 3


def test_a_loop_ends_when_its_own_count_says_so(tmp_path: Path) -> None:
    same_as_onnxruntime(
        tmp_path,
        "m (float[2] x) => (float[2] y) { y = Loop(, go, x) <body = b "
        "(int64 i, bool c, float[2] v) => (bool d, float[2] w) "
        "{ d = Less(i, three) w = Add(v, v) }> }",
        {"go": np.array(True), "three": np.array(3)},  # noqa: FBT003
        {"x": normal(2)},
    )


def test_a_loop_that_the_data_ends_is_refused(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] x, bool go) => (float[2] y) { y = Loop(, go, x) <body = b "
        "(int64 i, bool c, float[2] v) => (bool d, float[2] w) { d = Identity(c) w = Add(v, v) }> }"
    )

    with pytest.raises(UnsupportedError, match="when it ends depends on the model's inputs"):
        imported(proto, tmp_path)


def test_a_loop_without_end_is_refused(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] x) => (float[2] y) { y = Loop(n, , x) <body = b "
        "(int64 i, bool c, float[2] v) => (bool d, float[2] w) { d = Identity(c) w = Relu(v) }> }",
        {"n": np.array(10**9)},
    )

    with pytest.raises(UnsupportedError, match="more than 2048 steps"):
        imported(proto, tmp_path)


def test_a_scan_is_unrolled_in_both_directions(tmp_path: Path) -> None:
    same_as_onnxruntime(
        tmp_path,
        "m (float[2] s, float[4, 2] x) => (float[2] t, float[4, 2] y) { t, y = Scan<"
        "num_scan_inputs = 1, scan_input_directions = [1], scan_output_directions = [1], "
        "body = b (float[2] a, float[2] v) => (float[2] w, float[2] o) "
        "{ w = Add(a, v) o = Neg(w) }>(s, x) }",
        {},
        {"s": normal(2), "x": normal(4, 2)},
    )


def test_a_scan_over_a_dynamic_axis_is_refused(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] s, float[k, 2] x) => (float[2] t) { t = Scan<num_scan_inputs = 1, "
        "body = b (float[2] a, float[2] v) => (float[2] w) { w = Add(a, v) }>(s, x) }"
    )

    with pytest.raises(UnsupportedError, match="number of steps must not depend"):
        imported(proto, tmp_path)


def test_a_quantize_dequantize_pair_becomes_fake_quantization(tmp_path: Path) -> None:
    graph = (
        "m (float[n, 3] x) => (float[n, 1] y)"
        "{ q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) y = ReduceMean(d, a) }"
    )
    constants: dict[str, Array] = {
        "s": np.array(0.05, np.float32),
        "z": np.array(3, np.int8),
        "a": np.array([1]),
    }
    x = normal(4, 3)
    proto = model(graph, constants)

    found = imported(proto, tmp_path)

    assert_close(run(found, x=x), reference(proto, x=x), TOLERANCE)
    targets = {getattr(node.target, "__name__", "") for node in nodes(found.module)}
    assert "fake_quantized" in targets
    assert "1 quantize-dequantize pairs" in found.history[0].summary


def test_a_pair_per_channel_becomes_fake_quantization(tmp_path: Path) -> None:
    x = normal(4, 3)

    module = same_as_onnxruntime(
        tmp_path,
        "m (float[n, 3] x) => (float[n, 3] y)"
        "{ q = QuantizeLinear<axis = 1>(x, s, z) y = DequantizeLinear<axis = 1>(q, s, z) }",
        {"s": np.array([0.05, 0.1, 0.02], np.float32), "z": np.array([0, 1, -5], np.int8)},
        {"x": x},
    )

    targets = {getattr(node.target, "__name__", "") for node in nodes(module)}
    assert "fake_quantized_channels" in targets


def test_quantized_values_that_leave_the_model_are_integers(tmp_path: Path) -> None:
    same_as_onnxruntime(
        tmp_path,
        "m (float[n, 3] x) => (uint8[n, 3] q, float[n, 3] y)"
        "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        {"s": np.array(0.05, np.float32), "z": np.array(128, np.uint8)},
        {"x": normal(4, 3)},
    )


def test_integer_convolutions_are_computed_exactly(tmp_path: Path) -> None:
    same_as_onnxruntime(
        tmp_path,
        "m (uint8[1, 2, 5, 5] x) => (uint8[1, 3, 5, 5] y) { y = QLinearConv<pads = [1, 1, 1, 1]>"
        "(x, xs, xz, w, ws, wz, ys, yz, b) }",
        {
            "xs": np.array(0.02, np.float32),
            "xz": np.array(120, np.uint8),
            "w": np.arange(54, dtype=np.int8).reshape(3, 2, 3, 3) - 27,
            "ws": np.array([0.01, 0.02, 0.03], np.float32),
            "wz": np.zeros(3, np.int8),
            "ys": np.array(0.2, np.float32),
            "yz": np.array(128, np.uint8),
            "b": np.array([100, -100, 0], np.int32),
        },
        {"x": np.random.default_rng(0).integers(0, 255, (1, 2, 5, 5), np.uint8)},
    )


@given(
    batch=st.integers(1, 5),
    rows=st.integers(1, 4),
    blocks=st.integers(1, 3),
    factor=st.sampled_from([2, 6]),
)
@settings(max_examples=20, deadline=None)
def test_computed_shapes_follow_the_inputs(
    batch: int, rows: int, blocks: int, factor: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    proto = model(
        "m (float[b, r, w] x) => (float[p, q, k] y, int64[3] s, float[c] z) {"
        " s = Shape(x) b0 = Gather(s, zero) r0 = Gather(s, one) w0 = Gather(s, two)"
        " half = Div(w0, factor) joined = Mul(b0, r0) axis = Constant<value_ints = [0]>()"
        " u = Unsqueeze(joined, axis) v = Unsqueeze(half, axis) f = Unsqueeze(factor, axis)"
        " shape = Concat<axis = 0>(u, v, f) y = Reshape(x, shape)"
        " last = Slice(s, minus, end) z = ConstantOfShape(last) }",
        {
            "zero": np.array(0),
            "one": np.array(1),
            "two": np.array(2),
            "factor": np.array(factor),
            "minus": np.array([-1]),
            "end": np.array([2**31]),
        },
    )
    x = normal(batch, rows, factor * blocks)

    found = imported(proto, tmp_path_factory.mktemp("model"))

    outputs = run(found, x=x)
    assert outputs["y"].shape == (batch * rows, blocks, factor)
    assert outputs["s"].tolist() == list(x.shape)
    assert outputs["z"].shape == (factor * blocks,)
    np.testing.assert_array_equal(outputs["y"].ravel(), x.ravel())


def test_weights_of_four_bits_in_blocks_become_float_parameters(tmp_path: Path) -> None:
    proto = model(
        "m (float[n, 4] x) => (float[n, 2] y)"
        "{ w = DequantizeLinear<axis = 1, block_size = 2>(q, s) y = Gemm<transB = 1>(x, w) }",
        {"s": np.array([[1, 10], [0.5, 2]], np.float32)},
        opset=21,
    )
    stored = helper.make_tensor("q", TensorProto.INT4, [2, 4], [1, -2, 3, -4, 5, -6, 7, -8])
    proto.graph.initializer.append(stored)

    found = imported(proto, tmp_path)

    (weight,) = found.module.parameters()
    assert weight.tolist() == [[1, -2, 30, -40], [2.5, -3, 14, -16]]


def test_numbers_of_four_bits_that_are_not_just_dequantized_are_refused(tmp_path: Path) -> None:
    proto = model(
        "m (float[2] x) => (float[2] y)"
        "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        {"s": np.array(0.1, np.float32)},
        opset=21,
    )
    proto.graph.initializer.append(helper.make_tensor("z", TensorProto.INT4, [], [1]))

    with pytest.raises(UnsupportedError, match="initializer 'z': element type INT4"):
        imported(proto, tmp_path)


@pytest.mark.parametrize(
    ("scale", "zero"),
    [
        (np.array(0.05, np.float32), np.array(3, np.int8)),
        (np.array([0.05, 0.1, 0.02], np.float32), np.array([0, 1, -5], np.int8)),
    ],
)
def test_fake_quantization_lets_gradients_through_and_exports_as_plain_operators(
    scale: Array, zero: Array, tmp_path: Path
) -> None:
    proto = model(
        "m (float[2, 3] x) => (float[2, 3] y)"
        "{ q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        {"s": scale, "z": zero},
    )
    x = torch.from_numpy(normal(2, 3)).requires_grad_()

    module = imported(proto, tmp_path).module
    result = module(x)["y"]
    result.sum().backward()

    program = torch.export.export(module, (x.detach(),))
    assert x.grad is not None
    assert x.grad.count_nonzero() > 0
    assert not any("fake" in str(node.target) for node in program.graph.nodes)
    again = program.module()(x.detach())["y"]
    torch.testing.assert_close(again, result.detach())


def test_a_batch_stays_free_through_padding_after_a_reshape(tmp_path: Path) -> None:
    # The form of PyTorch's LocalResponseNorm.
    same_as_onnxruntime(
        tmp_path,
        """m (float[n, 4, 5, 5] x) => (float[n, 4, 5, 5] y) {
            s = Shape(x)
            n = Slice(s, zero, one)
            split = Concat<axis = 0>(n, inner)
            a = Reshape(x, split)
            b = Pad(a, pads)
            c = AveragePool<kernel_shape = [3, 1, 1]>(b)
            t = Shape(c)
            m = Slice(t, zero, one)
            joined = Concat<axis = 0>(m, outer)
            y = Reshape(c, joined)
        }""",
        {
            "zero": np.array([0]),
            "one": np.array([1]),
            "inner": np.array([1, 4, 5, -1]),
            "pads": np.array([0, 0, 1, 0, 0, 0, 0, 1, 0, 0]),
            "outer": np.array([4, 5, 5]),
        },
        {"x": normal(3, 4, 5, 5)},
    )
