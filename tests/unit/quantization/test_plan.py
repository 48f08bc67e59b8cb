from edgekit.quantization.plan import (
    ASKED,
    BODY,
    Operator,
    Plan,
    sharing_weights,
    unmatched_notes,
    with_carriers,
)
from edgekit.quantization.report import FloatOperators


def chain(*names: str) -> list[Operator]:
    """Operators in a row, each reading what the one before it writes."""
    return [
        Operator(name, name.rstrip("0123456789"), (f"t{i}",), (f"t{i + 1}",))
        for i, name in enumerate(names)
    ]


def test_a_carrier_between_two_int8_operators_is_int8() -> None:
    operators = chain("conv1", "add1", "relu1", "conv2")

    assert "relu1" in with_carriers(operators, {"conv1", "conv2"}, {"add1", "relu1"})


def test_a_carrier_before_the_output_stays_float() -> None:
    operators = chain("conv1", "add1", "relu1")

    assert with_carriers(operators, {"conv1"}, {"add1", "relu1"}) == {"conv1"}


def test_a_carrier_that_a_float_operator_reads_stays_float() -> None:
    operators = [*chain("conv1", "add1", "conv2"), Operator("norm", "norm", ("t2",), ("n",))]

    assert with_carriers(operators, {"conv1", "conv2"}, {"add1"}) == {"conv1", "conv2"}


def test_a_carrier_after_a_float_operator_stays_float() -> None:
    operators = chain("norm1", "add1", "conv1")

    assert with_carriers(operators, {"conv1"}, {"add1"}) == {"conv1"}


def test_a_carrier_on_the_model_input_is_int8() -> None:
    assert with_carriers(chain("pad1", "conv1"), {"conv1"}, {"pad1"}) == {"pad1", "conv1"}


def test_patterns_take_names_and_types() -> None:
    operator = Operator("block.3.conv", "Conv", (), ())

    assert operator.matches(["block.3.*"])
    assert operator.matches(["Conv"])
    assert not operator.matches(["block.4.*", "conv"])


def test_a_pattern_that_fits_nothing_is_told_with_the_closest_name() -> None:
    notes = unmatched_notes(chain("conv1", "relu1"), ["conv*", "relu", "conw1", "nothing"])

    assert notes == (
        "keep_float: 'conw1' matches no operator of this file; did you mean 'conv1'?",
        "keep_float: 'nothing' matches no operator of this file",
    )


def test_what_is_left_is_counted_by_type_and_reason() -> None:
    plan = Plan(frozenset(), {"a": ("LSTM", BODY), "b": ("LSTM", BODY), "c": ("Add", ASKED)})

    assert plan.left({"b"}) == (
        FloatOperators("Add", 1, ASKED),
        FloatOperators("LSTM", 1, BODY),
        FloatOperators("LSTM", 1, BODY + "; its weights are stored in int8"),
    )
    assert plan.may_store("a")
    assert not plan.may_store("c")


def test_what_meets_the_same_weights_is_found() -> None:
    steps = [Operator(f"g{i}", "gemm", (f"h{i}", "w", "b"), (f"h{i + 1}",)) for i in range(3)]
    head = Operator("head", "gemm", ("h3", "v"), ("out",))

    groups = sharing_weights([*steps, head], {"g0", "g1", "head"}, {"w", "b", "v"})

    assert groups == (("h0", "h1"),)
