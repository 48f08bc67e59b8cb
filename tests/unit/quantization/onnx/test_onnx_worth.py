from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import graph_model, tensor, weights
from support.quantizing import call_here, quantized, sqnr_db

from edgekit.core.artifact import Format
from edgekit.core.target import ANYWHERE, Destination, Runtime
from edgekit.quantization.onnx.plan import make_plan
from edgekit.quantization.onnx.worth import not_worth_it
from edgekit.quantization.plan import SMALL
from edgekit.quantization.settings import Activation, QuantizeSettings

HOST = Destination((Runtime.ONNXRUNTIME,), dot_products=True)
OLD_CORE = Destination((Runtime.ONNXRUNTIME,), dot_products=False)
ROWS = 32


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


def chain(*widths: int) -> onnx.ModelProto:
    """Products one after the other over `x [batch, rows, first width]`, a Softmax behind them."""
    nodes, constants, source = [], [], "x"
    for place, (depth, width) in enumerate(pairwise(widths)):
        nodes.append(helper.make_node("MatMul", [source, f"w{place}"], [f"h{place}"], f"p{place}"))
        constants.append(numpy_helper.from_array(weights(depth, width, seed=place), f"w{place}"))
        source = f"h{place}"
    nodes.append(helper.make_node("Softmax", [source], ["y"], "softmax"))
    model = graph_model(
        nodes,
        [tensor("x", ["batch", ROWS, widths[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    return onnx.shape_inference.infer_shapes(model)


def small_of(model: onnx.ModelProto, destination: Destination) -> frozenset[str]:
    widths = {node.output[0]: node.input[1] for node in model.graph.node if len(node.input) > 1}
    shapes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    sizes = {name: ROWS * shapes[weight][1] for name, weight in widths.items()}
    sizes["x"] = ROWS * shapes["w0"][0]
    return not_worth_it(model, make_plan(model, ()), sizes, destination)


@pytest.mark.parametrize(
    ("widths", "on_host", "on_old_core"),
    [
        pytest.param((64, 64), {"p0"}, {"p0"}, id="too little to multiply"),
        pytest.param((64, 128), set(), {"p0"}, id="conversions cost more without dot products"),
        pytest.param((64, 256, 64), set(), set(), id="one conversion for two products"),
        pytest.param((256, 256), set(), set(), id="much to multiply"),
        pytest.param((8, 8), set(), set(), id="float weights would take more bytes"),
    ],
)
def test_products_that_save_less_than_conversions_cost_are_float(
    widths: tuple[int, ...], on_host: set[str], on_old_core: set[str]
) -> None:
    model = chain(*widths)

    assert small_of(model, HOST) == on_host
    assert small_of(model, OLD_CORE) == on_old_core
    assert small_of(model, ANYWHERE) == set()


def test_products_of_one_tensor_share_its_conversion() -> None:
    model = chain(64, 128)
    assert small_of(model, OLD_CORE) == {"p0"}
    for name in ("p1", "p2", "p3", "p4"):
        model.graph.node.append(helper.make_node("MatMul", ["x", "w0"], [f"of_{name}"], name))
    model = onnx.shape_inference.infer_shapes(model)

    assert small_of(model, OLD_CORE) == set()


def test_a_product_behind_a_convolution_stays_int8() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"], "conv"),
        helper.make_node("Flatten", ["c"], ["f"], "flatten"),
        helper.make_node("MatMul", ["f", "w"], ["y"], "head"),
    ]
    constants = {"kernel": weights(4, 1, 3, 3), "w": weights(4 * 36, 10)}
    model = graph_model(
        nodes,
        [tensor("x", ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = onnx.shape_inference.infer_shapes(model)
    sizes = {"x": 64, "c": 144, "f": 144, "y": 10}

    assert not not_worth_it(model, make_plan(model, ()), sizes, OLD_CORE)


def test_what_is_not_worth_it_stores_int8_and_is_named(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((8, ROWS, 64)).astype(np.float32)

    made = quantized(tmp_path, Format.ONNX, chain(64, 64), destination=HOST, x=x)

    kinds = [node.op_type for node in onnx.load(made.path).graph.node]
    assert kinds == ["Cast", "Mul", "MatMul", "Softmax"]
    assert made.report.int8_macs_percent == 0
    assert made.report.float_reasons()[0] == f"1 MatMul: {SMALL}; its weights are stored in int8"


@pytest.mark.parametrize("activation", list(Activation))
def test_a_product_that_floats_read_writes_floats(tmp_path: Path, activation: Activation) -> None:
    x = np.random.default_rng(0).standard_normal((8, ROWS, 64)).astype(np.float32)
    settings = QuantizeSettings(activation=activation)

    made = quantized(tmp_path, Format.ONNX, chain(64, 128, 64), settings, x=x)

    kinds = [node.op_type for node in onnx.load(made.path).graph.node]
    # The first product has a rounded result, which the second reads; the input is rounded too.
    assert kinds.count("QuantizeLinear") == 2
    assert made.report.int8_macs_percent == 100
    assert sqnr_db(made) > 20  # a Softmax makes more of what two layers of rounding cost


def test_a_bound_in_float_keeps_the_product_before_it_rounded(tmp_path: Path) -> None:
    model = chain(64, 64)
    bounded = helper.make_node("Relu", ["h0"], ["bounded"], "bound")
    model.graph.node.insert(1, bounded)
    model.graph.node[2].input[0] = "bounded"
    model = onnx.shape_inference.infer_shapes(model)
    x = np.random.default_rng(0).standard_normal((8, ROWS, 64)).astype(np.float32)
    settings = QuantizeSettings(keep_float=("bound",))

    made = quantized(tmp_path, Format.ONNX, model, settings, x=x)

    # onnxruntime would take a Relu for a part of the product, and that for a float one.
    kinds = [node.op_type for node in onnx.load(made.path).graph.node]
    assert kinds.count("QuantizeLinear") == 2
    assert made.report.int8_macs_percent == 100
