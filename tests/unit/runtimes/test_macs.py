import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from onnx import TensorProto, helper, numpy_helper
from support import onnx_models
from support.onnx_models import graph_model, tensor, weights
from support.tflite_graphs import classifier, loop
from support.tflite_models import Builder

from edgekit.runtimes.macs import OperatorMacs, int8_percent
from edgekit.runtimes.onnx import macs as macs_onnx
from edgekit.runtimes.onnx.loops import runs_of_body
from edgekit.runtimes.tflite import macs as macs_tflite
from edgekit.runtimes.tflite.loops import runs_of_graphs


def one(
    node: onnx.NodeProto, x: list[int | str], y: list[int | str], **constants: np.ndarray
) -> OperatorMacs:
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = graph_model([node], [tensor("x", x)], [tensor("y", y)], initializers)
    (found,) = macs_onnx.count_macs(model)
    return found


def test_a_convolution_multiplies_its_kernel_at_every_place_of_the_output() -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1], group=2)

    found = one(node, ["n", 4, 8, 8], ["n", 6, 8, 8], w=weights(6, 2, 3, 3))

    assert found == OperatorMacs("conv", "Conv", 6 * 8 * 8 * 2 * 9, is_int8=False)


def test_a_transposed_convolution_multiplies_its_kernel_at_every_place_of_the_input() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])

    found = one(node, ["n", 4, 8, 8], ["n", 6, 16, 16], w=weights(4, 6, 2, 2))

    assert found.macs == 4 * 8 * 8 * 6 * 4


def test_a_transposed_gemm_counts_as_a_plain_one() -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)

    assert one(node, [5, 3], [3, 7], w=weights(5, 7)).macs == 3 * 5 * 7


def test_a_recurrent_layer_multiplies_both_matrices_in_every_step() -> None:
    node = helper.make_node("GRU", ["x", "w", "r"], ["y"], hidden_size=4)

    found = one(node, [10, "n", 3], [10, 1, "n", 4], w=weights(1, 12, 3), r=weights(1, 12, 4))

    assert found.macs == 10 * (12 * 3 + 12 * 4)


def test_layers_behind_an_int8_lstm_are_counted_in_full() -> None:
    int8 = {"w1": weights(1, 3, 16), "r1": weights(1, 4, 16)}
    initializers = [numpy_helper.from_array(v.astype(np.int8), name) for name, v in int8.items()]
    initializers += [
        numpy_helper.from_array(weights(1, 12, 4), "w2"),
        numpy_helper.from_array(weights(1, 12, 4), "r2"),
        numpy_helper.from_array(np.array([1]), "one"),
    ]
    nodes = [
        helper.make_node(
            "DynamicQuantizeLSTM",
            ["x", "w1", "r1", "", "", "", "", "", "s", "z", "s", "z"],
            ["h"],
            name="lstm",
            domain="com.microsoft",
            hidden_size=4,
        ),
        helper.make_node("Squeeze", ["h", "one"], ["s1"]),
        helper.make_node("GRU", ["s1", "w2", "r2"], ["y"], name="gru", hidden_size=4),
    ]
    model = graph_model(
        nodes, [tensor("x", [10, "n", 3])], [tensor("y", [10, 1, "n", 4])], initializers
    )

    assert macs_onnx.count_macs(model) == (
        OperatorMacs("lstm", "LSTM", 10 * (3 * 16 + 4 * 16), is_int8=True),
        OperatorMacs("gru", "GRU", 10 * (12 * 4 + 12 * 4), is_int8=False),
    )


def test_weights_inside_a_branch_are_counted() -> None:
    assert [found.macs for found in macs_onnx.count_macs(onnx_models.branches())] == [16, 16]


def test_a_multiplication_between_dequantized_tensors_is_int8() -> None:
    (found,) = macs_onnx.count_macs(onnx_models.quantized())

    assert found.is_int8
    assert found.macs == 8 * 3


def test_a_product_that_adds_an_activation_is_float() -> None:
    model = onnx_models.quantized()
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    product.op_type = "Gemm"
    product.input.append(product.input[0])

    assert not macs_onnx.count_macs(model)[0].is_int8


@pytest.mark.parametrize(("activation", "is_int8"), [(np.uint8, False), (np.int8, True)])
def test_signed_weights_stand_left_of_signed_activations_only(
    activation: type[np.int8 | np.uint8], *, is_int8: bool
) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "s"], ["f"]),
        helper.make_node("MatMul", ["f", "d"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "s": np.array(0.1, np.float32),
        "z": np.array(0, activation),
        "w": np.ones((3, 8), np.int8),
    }
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = graph_model(nodes, [tensor("x", [8, 4])], [tensor("y", [3, 4])], initializers)

    assert macs_onnx.count_macs(model)[0].is_int8 is is_int8


@pytest.mark.parametrize(
    ("zero", "after", "is_int8"),
    [(0, "QuantizeLinear", True), (128, "QuantizeLinear", False), (0, "Tanh", False)],
)
def test_a_product_is_int8_if_rounding_does_what_its_activation_would(
    zero: int, after: str, *, is_int8: bool
) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "s"], ["f"]),
        helper.make_node("MatMul", ["d", "f"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node(after, ["r", "s", "z"] if after == "QuantizeLinear" else ["r"], ["p"]),
        helper.make_node("Cast", ["p"], ["y"], to=TensorProto.FLOAT),
    ]
    constants: dict[str, np.ndarray] = {
        "s": np.array(0.1, np.float32),
        "z": np.array(zero, np.uint8),
        "w": np.ones((8, 3), np.int8),
    }
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = graph_model(nodes, [tensor("x", [4, 8])], [tensor("y", [4, 3])], initializers)

    assert macs_onnx.count_macs(model)[0].is_int8 is is_int8


def test_sizes_are_followed_through_the_arithmetic_on_them() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "first"], ["rows"]),
        helper.make_node("Concat", ["rows", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["x", "wanted"], ["pairs"]),
        helper.make_node("MatMul", ["pairs", "w"], ["y"]),
    ]
    constants: dict[str, np.ndarray] = {
        "first": np.array([0]),
        "rest": np.array([4, 2]),
        "w": weights(2, 3),
    }
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    outputs = [tensor("y", ["n", "pairs", 3])]

    (found,) = macs_onnx.count_macs(
        graph_model(nodes, [tensor("x", ["n", 8])], outputs, initializers)
    )

    assert found.macs == 4 * 2 * 3


def test_an_integer_operator_is_int8() -> None:
    model = graph_model(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"], name="product")],
        [tensor("x", ["n", 8], TensorProto.UINT8)],
        [tensor("y", ["n", 3], TensorProto.INT32)],
        [numpy_helper.from_array(np.ones((8, 3), np.int8), "w")],
    )

    (found,) = macs_onnx.count_macs(model)

    assert found == OperatorMacs("product", "MatMul", 24, is_int8=True)


def test_a_product_with_blocks_of_int8_weights_is_int8() -> None:
    node = helper.make_node(
        "MatMulNBits",
        ["x", "levels", "scale"],
        ["y"],
        name="layer",
        domain="com.microsoft",
        K=20,
        N=6,
        bits=8,
        block_size=16,
    )
    stored: dict[str, np.ndarray] = {
        "levels": np.zeros((6, 2, 16), np.uint8),
        "scale": np.ones((6, 2), np.float32),
    }

    found = one(node, ["n", 5, 20], ["n", 5, 6], **stored)

    assert found == OperatorMacs("layer", "MatMul", 5 * 20 * 6, is_int8=True)


def test_stale_shapes_in_the_file_are_not_believed() -> None:
    model = onnx_models.mlp()
    model.graph.value_info.append(tensor("h", [900, 900]))

    assert sum(found.macs for found in macs_onnx.count_macs(model)) == 8 * 16 + 16 * 3


def test_layers_of_a_tflite_file_go_by_their_outputs() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(classifier())

    found = macs_tflite.count_macs(model)

    assert [(item.op_type, item.macs, item.is_int8) for item in found] == [
        ("FULLY_CONNECTED", 32 * 64, False),
        ("FULLY_CONNECTED", 64 * 8, False),
    ]
    assert found[1].name == "y"


def tflite_operator(code: int, output: list[int], *inputs: list[int]) -> int:
    """Count one operator whose inputs and output have these shapes."""
    net = Builder()
    places = [net.tensor(f"in{index}", shape) for index, shape in enumerate(inputs)]
    y = net.tensor("y", output)
    net.operator(code, places, [y])
    model = flatbuffer_utils.read_model_from_bytearray(net.build(places, [y]))
    (found,) = macs_tflite.count_macs(model)
    return found.macs


def test_tflite_kernels_are_read_in_the_order_of_their_axes() -> None:
    kinds = schema.BuiltinOperator
    image, out = [1, 8, 8, 4], [1, 8, 8, 6]

    assert tflite_operator(kinds.CONV_2D, out, image, [6, 3, 3, 4], [6]) == 64 * 6 * 9 * 4
    assert tflite_operator(kinds.DEPTHWISE_CONV_2D, image, image, [1, 3, 3, 4]) == 64 * 4 * 9
    up = tflite_operator(kinds.TRANSPOSE_CONV, [1, 16, 16, 6], [4], [6, 2, 2, 4], image)
    assert up == 64 * 4 * 6 * 4
    assert tflite_operator(kinds.BATCH_MATMUL, [2, 3, 5], [2, 3, 7], [2, 7, 5]) == 2 * 3 * 5 * 7
    lstm = kinds.UNIDIRECTIONAL_SEQUENCE_RNN
    assert tflite_operator(lstm, [1, 9, 4], [1, 9, 3], [4, 3], [4, 4], [4]) == 9 * (12 + 16)


@pytest.mark.parametrize(
    ("operators", "percent"),
    [
        ((), 0.0),
        (
            (
                OperatorMacs("a", "Conv", 30, is_int8=True),
                OperatorMacs("b", "LSTM", 10, is_int8=False),
            ),
            75.0,
        ),
    ],
)
def test_the_share_is_of_all_multiplications(
    operators: tuple[OperatorMacs, ...], percent: float
) -> None:
    assert int8_percent(operators) == percent


def onnx_loop(trips: int | None, *, ends_itself: bool = False) -> onnx.ModelProto:
    """Return a Loop whose body multiplies `[1, 4]` by a `[4, 4]` matrix."""
    kinds = TensorProto
    state, going = tensor("s", [1, 4]), helper.make_tensor_value_info("go", kinds.BOOL, [])
    on = "stop" if ends_itself else "on"
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["s", "w"], ["t"], name="product"),
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Not", ["go"], ["stop"]),
        ],
        "body",
        [helper.make_tensor_value_info("i", kinds.INT64, []), going, state],
        [helper.make_tensor_value_info(on, kinds.BOOL, []), tensor("t", [1, 4])],
    )
    constants = [numpy_helper.from_array(weights(4, 4), "w")]
    if trips is not None:
        constants.append(numpy_helper.from_array(np.array(trips), "trips"))
    return graph_model(
        [helper.make_node("Loop", ["trips", "", "x"], ["y"], body=body)],
        [tensor("x", [1, 4]), *([] if trips else [tensor("trips", [], kinds.INT64)])],
        [tensor("y", [1, 4])],
        constants,
    )


def test_the_body_of_a_loop_counts_as_often_as_its_constant_trip_count_says() -> None:
    (found,) = macs_onnx.count_macs(onnx_loop(7))

    assert found == OperatorMacs("product", "MatMul", 7 * 16, is_int8=False)


@pytest.mark.parametrize("model", [onnx_loop(None), onnx_loop(7, ends_itself=True)])
def test_the_body_of_a_loop_that_nobody_knows_the_end_of_counts_once(
    model: onnx.ModelProto,
) -> None:
    (found,) = macs_onnx.count_macs(model)

    assert found.macs == 16


@pytest.mark.parametrize(("axis", "shape"), [(0, [5, 1, 4]), (1, [1, 5, 4]), (-2, [1, 5, 4])])
def test_the_body_of_a_scan_counts_once_an_element_of_its_sequence(
    axis: int, shape: list[int | str]
) -> None:
    body = helper.make_graph(
        [helper.make_node("MatMul", ["row", "w"], ["t"], name="product")],
        "body",
        [tensor("row", [1, 4])],
        [tensor("t", [1, 3])],
    )
    node = helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)
    node.attribute.append(helper.make_attribute("scan_input_axes", [axis]))
    constants = [numpy_helper.from_array(weights(4, 3), "w")]
    model = graph_model([node], [tensor("x", shape)], [tensor("y", [5, 1, 3])], constants)

    assert [found.macs for found in macs_onnx.count_macs(model)] == [5 * 4 * 3]


def test_an_onnx_loop_that_runs_on_nothing_it_knows_counts_once() -> None:
    node = helper.make_node("Scan", ["x"], ["y"])

    assert runs_of_body(node, {}, {}) == 1


def test_the_body_of_a_tflite_loop_counts_as_often_as_it_runs() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(loop())

    assert [found.macs for found in macs_tflite.count_macs(model)] == [3 * 32 * 32]


@pytest.mark.parametrize(
    ("start", "compare", "limit", "step", "runs"),
    [
        (0, "LESS", 7, 2, 4),
        (0, "LESS_EQUAL", 6, 2, 4),
        (6, "GREATER_EQUAL", 0, -1, 7),
        (6, "GREATER", 0, -1, 6),
        (9, "LESS", 3, 1, 0),
        # One that never ends, or whose counter is no constant's, is not multiplied by anything.
        (0, "LESS", 7, 0, 1),
        (0, "NOT_EQUAL", 7, 1, 1),
    ],
)
def test_a_tflite_loop_runs_until_its_counter_reaches_the_limit(
    start: int, compare: str, limit: int, step: int, runs: int
) -> None:
    model = flatbuffer_utils.read_model_from_bytearray(loop())
    values = {"start": start, "three": limit, "one": step}
    for graph in model.subgraphs:
        for tensor_ in graph.tensors:
            if tensor_.name.decode() in values:
                value = np.array(values[tensor_.name.decode()], np.int32)
                model.buffers[tensor_.buffer].data = np.frombuffer(value.tobytes(), np.uint8)
    (code,) = {operator.opcodeIndex for operator in model.subgraphs[1].operators}
    kind = getattr(schema.BuiltinOperator, compare)
    model.operatorCodes[code].builtinCode = model.operatorCodes[code].deprecatedBuiltinCode = kind

    assert runs_of_graphs(model) == (1, 1, runs)


def test_a_loop_whose_start_is_fed_in_counts_once() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(loop())
    graph = model.subgraphs[0]
    (start,) = [one for one in graph.tensors if one.name == b"start"]
    start.buffer = 0

    assert runs_of_graphs(model) == (1, 1, 1)


def test_a_file_whose_loop_is_its_own_body_is_counted_all_the_same() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(loop())
    (operator,) = model.subgraphs[0].operators
    operator.builtinOptions.bodySubgraphIndex = 0

    assert len(runs_of_graphs(model)) == 3


@pytest.mark.parametrize(
    ("equation", "macs"), [("b h q d, bhkd -> bhqk", 2 * 3 * 5 * 7 * 4), ("...qd,...kd->...qk", 0)]
)
def test_an_einsum_multiplies_once_for_every_choice_of_its_letters(
    equation: str, macs: int
) -> None:
    node = helper.make_node("Einsum", ["x", "w"], ["y"], equation=equation)

    found = one(node, [2, 3, 5, 4], [2, 3, 5, 7], w=weights(2, 3, 7, 4))

    assert found.macs == macs


def test_nodes_in_another_order_count_the_same() -> None:
    model = onnx_models.quantized()
    model.graph.node.reverse()

    assert macs_onnx.count_macs(model) == macs_onnx.count_macs(onnx_models.quantized())
