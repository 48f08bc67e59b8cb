from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from support.onnx_models import graph_model, tensor
from support.quantizing import call_here, quantized, sqnr_db

from edgekit.core.artifact import Format
from edgekit.core.target import Destination
from edgekit.quantization.onnx.plan import make_plan
from edgekit.quantization.onnx.recurrent import SMALLEST, with_recurrent_in_int8
from edgekit.quantization.plan import HURTS, SMALL
from edgekit.quantization.settings import QuantizeSettings
from edgekit.runtimes.macs import int8_percent
from edgekit.runtimes.onnx.macs import count_macs

GATES = {"GRU": 3, "LSTM": 4, "RNN": 1}
ALL_SIZES = dict.fromkeys(GATES, 1)
INPUTS, STEPS, BATCH = 8, 6, 3


def recurrent(
    kind: str,
    hidden: int,
    *,
    direction: str = "forward",
    more: Sequence[str] = (),
    biased: bool = True,
    **attributes: float | str | Sequence[str],
) -> onnx.ModelProto:
    """A layer with weights as PyTorch draws them: `x [steps, batch, inputs]` to all states and the
    last; `more` are its inputs after the bias, of which the sixth is the model's `start`."""
    rng = np.random.default_rng(hidden)
    sides = 2 if direction == "bidirectional" else 1
    rows = GATES[kind] * hidden

    def drawn(name: str, *shape: int) -> onnx.TensorProto:
        bound = 1 / np.sqrt(hidden)
        return numpy_helper.from_array(rng.uniform(-bound, bound, shape).astype(np.float32), name)

    constants = [drawn("w", sides, rows, INPUTS), drawn("r", sides, rows, hidden)]
    if biased:
        constants.append(drawn("b", sides, 2 * rows))
    if "lengths" in more:
        constants.append(numpy_helper.from_array(np.array([6, 4, 2], np.int32), "lengths"))
    node = helper.make_node(
        kind,
        ["x", "w", "r", "b" if biased else "", *more],
        ["y", "end"],
        name="layer",
        hidden_size=hidden,
        direction=direction,
    )
    node.attribute.extend(helper.make_attribute(*given) for given in attributes.items())
    inputs = [tensor("x", [STEPS, "batch", INPUTS])]
    if "start" in more:
        inputs.append(tensor("start", [sides, "batch", hidden]))
    outputs = [
        tensor("y", [STEPS, sides, "batch", hidden]),
        tensor("end", [sides, "batch", hidden]),
    ]
    return graph_model([node], inputs, outputs, constants)


def outputs(model: onnx.ModelProto) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {}
    for given in session.get_inputs():
        shape = [size if isinstance(size, int) else BATCH for size in given.shape]
        feeds[given.name] = rng.uniform(-1, 1, shape).astype(np.float32)
    found: list[np.ndarray] = session.run(None, feeds)
    return found


def in_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    made, plan = with_recurrent_in_int8(model, make_plan(model, ()), ALL_SIZES)
    assert plan.dynamic == {"layer"}
    return made


def assert_int8_gives_the_same(model: onnx.ModelProto) -> None:
    made = in_int8(model)

    assert int8_percent(count_macs(made)) == 100
    for wanted, found in zip(outputs(model), outputs(made), strict=True):
        assert found.shape == wanted.shape
        noise = ((found - wanted) ** 2).sum() / (wanted**2).sum()
        assert noise < 1e-3  # 30 dB: int8 has some 40, and each step hands its error on


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("kind", list(GATES))
def test_every_cell_computes_the_same_in_int8_in_every_direction(kind: str, direction: str) -> None:
    assert_int8_gives_the_same(recurrent(kind, 32, direction=direction))


@pytest.mark.parametrize("direction", ["reverse", "bidirectional"])
@pytest.mark.parametrize("kind", list(GATES))
def test_a_cell_starts_from_the_state_it_is_given(kind: str, direction: str) -> None:
    assert_int8_gives_the_same(recurrent(kind, 32, direction=direction, more=["", "start"]))


@pytest.mark.parametrize("resets_after", [0, 1])
@pytest.mark.parametrize("biased", [False, True])
def test_a_gru_resets_before_or_after_its_product(resets_after: int, *, biased: bool) -> None:
    model = recurrent("GRU", 32, biased=biased, linear_before_reset=resets_after)

    assert_int8_gives_the_same(model)


@pytest.mark.parametrize(
    ("kind", "activations"),
    [("RNN", ["Relu"]), ("RNN", ["Softsign"]), ("GRU", ["Sigmoid", "Relu"])],
)
def test_a_cell_keeps_its_activations(kind: str, activations: Sequence[str]) -> None:
    assert_int8_gives_the_same(recurrent(kind, 32, activations=activations))


def test_only_the_last_state_may_be_wanted() -> None:
    model = recurrent("GRU", 32)
    model.graph.node[0].output[0] = ""
    del model.graph.output[0]

    assert_int8_gives_the_same(model)


def test_an_error_does_not_grow_over_hundreds_of_steps() -> None:
    model = recurrent("GRU", 64, direction="bidirectional", linear_before_reset=1)
    for info in (model.graph.input[0], model.graph.output[0]):
        info.type.tensor_type.shape.dim[0].dim_value = 500

    assert_int8_gives_the_same(model)


@pytest.mark.parametrize(
    "model",
    [
        recurrent("GRU", 32, more=["lengths"]),
        recurrent("GRU", 32, clip=3.0),
        recurrent("RNN", 32, activations=["HardSigmoid"]),
        recurrent("LSTM", 32, layout=1),
    ],
    ids=["lengths", "clip", "activation", "layout"],
)
def test_what_no_int8_form_can_do_stays_as_it_is(model: onnx.ModelProto) -> None:
    made, plan = with_recurrent_in_int8(model, make_plan(model, ()), ALL_SIZES)

    assert [node.op_type for node in made.graph.node] == [model.graph.node[0].op_type]
    assert not plan.dynamic
    assert "layer" in plan.reasons


@pytest.mark.parametrize("dot_products", [False, True])
@pytest.mark.parametrize("kind", list(GATES))
def test_a_small_cell_only_stores_int8_and_says_why(kind: str, *, dot_products: bool) -> None:
    smallest = SMALLEST[dot_products]
    model = recurrent(kind, smallest[kind] - 1)

    made, plan = with_recurrent_in_int8(model, make_plan(model, ()), smallest)

    assert [node.op_type for node in made.graph.node] == [kind]
    assert plan.reasons["layer"] == (kind, SMALL)
    assert plan.may_store("layer")


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


def classifier(kind: str, hidden: int) -> onnx.ModelProto:
    """A layer over `x [batch, steps, inputs]`, and a product with where it ends."""
    cell = recurrent(kind, hidden).graph
    cell.node[0].input[0] = "steps"
    first, v = np.array([0]), np.random.default_rng(1).standard_normal((hidden, 4))
    return graph_model(
        [
            helper.make_node("Transpose", ["x"], ["steps"], name="turn", perm=[1, 0, 2]),
            *cell.node,
            helper.make_node("Squeeze", ["end", "first"], ["last"], name="squeeze"),
            helper.make_node("Gemm", ["last", "v"], ["z"], name="head"),
        ],
        [tensor("x", ["batch", STEPS, INPUTS])],
        [tensor("z", ["batch", 4])],
        [
            *cell.initializer,
            numpy_helper.from_array(first, "first"),
            numpy_helper.from_array(v.astype(np.float32), "v"),
        ],
    )


STEPWISE = np.random.default_rng(0).standard_normal((8, STEPS, INPUTS)).astype(np.float32)


@pytest.mark.parametrize("kind", list(GATES))
def test_a_large_cell_is_int8_in_the_file_and_its_bytes_a_third(kind: str, tmp_path: Path) -> None:
    model = classifier(kind, max(64, SMALLEST[True][kind]))

    made = quantized(tmp_path, Format.ONNX, model, x=STEPWISE)

    assert made.report.int8_macs_percent == 100
    assert made.report.float_operators == ()
    assert made.report.size_bytes < 0.35 * made.report.float_size_bytes
    assert sqnr_db(made) > 30


def test_a_cell_that_is_slower_on_a_target_only_stores_int8(tmp_path: Path) -> None:
    model = classifier("LSTM", SMALLEST[True]["LSTM"])

    made = quantized(
        tmp_path, Format.ONNX, model, destination=Destination(dot_products=False), x=STEPWISE
    )

    (left,) = made.report.float_operators
    assert (left.op_type, left.reason.startswith(SMALL)) == ("LSTM", True)


def test_a_cell_stays_float_as_asked(tmp_path: Path) -> None:
    settings = QuantizeSettings(keep_float=("layer",))

    made = quantized(tmp_path, Format.ONNX, classifier("LSTM", 64), settings, x=STEPWISE)

    assert "LSTM" in {node.op_type for node in onnx.load(made.path).graph.node}


def test_a_cell_that_costs_the_outputs_too_much_only_stores_int8(tmp_path: Path) -> None:
    loud = STEPWISE.copy()
    # One scale holds for all steps, and leaves next to nothing of those that are not like this.
    loud[:, 0] *= 1000

    made = quantized(tmp_path, Format.ONNX, classifier("LSTM", 64), x=loud)

    (left,) = made.report.float_operators
    assert (left.op_type, left.reason.startswith(HURTS)) == ("LSTM", True)
    assert sqnr_db(made) > 30
