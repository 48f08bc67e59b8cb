import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.exporting.tflite.affine import merge_affine
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.writer import to_bytes

OP = schema.BuiltinOperator
SHAPE = (1, 4, 3, 5)
FloatArray = npt.NDArray[np.float32]
MADE = {
    "ADD": schema.AddOptionsT,
    "DIV": schema.DivOptionsT,
    "MUL": schema.MulOptionsT,
    "SUB": schema.SubOptionsT,
}
RELU = schema.ActivationFunctionType.RELU
PIXELS = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)

Step = tuple[str, FloatArray, bool]


def values(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).uniform(0.5, 2, shape or SHAPE[-1:]).astype(np.float32)


def chain(*steps: Step, rectified: int = -1) -> schema.ModelT:
    """Do `steps` to an image; each is an operator, a constant, and whether that stands first.

    The result of step `rectified` has its negative values cut off.
    """
    graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name=b"main")
    model = schema.ModelT(
        version=3, buffers=[schema.BufferT()], operatorCodes=[], subgraphs=[graph]
    )
    out = GraphWriter(model, graph, "net")
    data = x = out.tensor(SHAPE, name="x")
    for place, (kind, value, is_first) in enumerate(steps):
        read = [data, out.constant(value, np.float32)]
        options = MADE[kind](fusedActivationFunction=RELU if place == rectified else 0)
        data = out.tensor(SHAPE, name=f"step{place}")
        out.add(getattr(OP, kind), read[::-1] if is_first else read, [data], options)
    graph.operators, graph.inputs, graph.outputs = out.operators, [x], [data]
    return model


def run(model: schema.ModelT) -> FloatArray:
    interpreter = Interpreter(model_content=to_bytes(model), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], PIXELS)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def kinds(model: schema.ModelT) -> list[str]:
    operators = model.subgraphs[0].operators
    return [type(o.builtinOptions).__name__.removesuffix("OptionsT").upper() for o in operators]


def batch_norm() -> list[Step]:
    shape = (1, 1, 1, SHAPE[-1])
    names = ("SUB", "MUL", "MUL", "ADD")
    return [(kind, values(seed, *shape), False) for seed, kind in enumerate(names)]


def test_a_batch_norm_becomes_one_operator_that_does_the_same() -> None:
    model = chain(*batch_norm(), rectified=3)
    wanted = run(chain(*batch_norm(), rectified=3))

    merge_affine(model)

    assert kinds(model) == ["DEPTHWISECONV2D"]
    # Four roundings to float32 on one side, two on the other.
    np.testing.assert_allclose(run(model), wanted, rtol=1e-5, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(sorted(MADE)),
            st.sampled_from([(), (5,), (1, 1, 5), (4, 1, 1)]),
            st.booleans(),
        ),
        min_size=1,
        max_size=5,
    ),
    rectified=st.integers(-1, 4),
)
def test_any_chain_does_the_same_as_before(
    steps: list[tuple[str, tuple[int, ...], bool]], rectified: int
) -> None:
    made = [
        (
            kind,
            values(seed, *shape) if shape else np.array(1.5, np.float32),
            is_first and kind != "DIV",
        )
        for seed, (kind, shape, is_first) in enumerate(steps)
    ]
    model = chain(*made, rectified=rectified)
    wanted = run(chain(*made, rectified=rectified))

    merge_affine(model)

    assert len(model.subgraphs[0].operators) <= len(made)
    np.testing.assert_allclose(run(model), wanted, rtol=1e-4, atol=1e-4)


def test_what_is_cut_off_on_the_way_parts_a_chain() -> None:
    model = chain(*batch_norm(), *batch_norm(), rectified=3)

    merge_affine(model)

    assert kinds(model) == ["DEPTHWISECONV2D", "DEPTHWISECONV2D"]


def test_what_something_else_reads_is_still_there() -> None:
    model = chain(*batch_norm())
    graph = model.subgraphs[0]
    graph.outputs = [graph.outputs[0], graph.operators[1].outputs[0]]

    merge_affine(model)

    assert kinds(model) == ["DEPTHWISECONV2D", "DEPTHWISECONV2D"]


def test_the_result_keeps_its_name() -> None:
    model = chain(*batch_norm())

    merge_affine(model)

    graph = model.subgraphs[0]
    assert graph.tensors[graph.operators[-1].outputs[0]].name == b"net.step3"


def test_one_operator_stays_as_it_is() -> None:
    model = chain(("MUL", values(0), False))

    merge_affine(model)

    assert kinds(model) == ["MUL"]


def test_channels_in_front_are_left_with_a_product_and_a_sum() -> None:
    rows = [(kind, values(seed, SHAPE[1], 1, 1), False) for seed, kind in enumerate(sorted(MADE))]
    model = chain(*rows, rectified=3)
    wanted = run(chain(*rows, rectified=3))

    merge_affine(model)

    assert kinds(model) == ["MUL", "ADD"]
    # Four roundings to float32 on one side, two on the other.
    np.testing.assert_allclose(run(model), wanted, rtol=1e-5, atol=1e-6)


def test_one_value_for_all_channels_is_no_convolution() -> None:
    model = chain(("MUL", np.array(2, np.float32), False), ("ADD", values(0), False))

    merge_affine(model)

    assert kinds(model) == ["MUL", "ADD"]


def test_what_is_not_the_same_for_a_channel_stays() -> None:
    model = chain(("MUL", values(0, *SHAPE), False), ("ADD", values(1, *SHAPE), False))

    merge_affine(model)

    assert kinds(model) == ["MUL", "ADD"]


def test_a_division_of_a_constant_or_by_zero_stays() -> None:
    steps = [("DIV", values(0), True), ("DIV", np.zeros(5, np.float32), False)]

    for step in steps:
        model = chain(step, step)
        merge_affine(model)
        assert kinds(model) == ["DIV", "DIV"]
