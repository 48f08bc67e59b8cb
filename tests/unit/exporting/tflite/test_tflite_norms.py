from collections.abc import Callable

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from torch.nn import functional

from edgekit.exporting.tflite.norms import merge_norms
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.writer import to_bytes

OP = schema.BuiltinOperator
SHAPE = (1, 5, 16)
EPSILON = 1e-3
AS_WRITTEN = 12


def layer_norm(zero: float = 0.0, axis: int = 2, shape: tuple[int, ...] = SHAPE) -> schema.ModelT:
    """A layer norm the way litert-torch writes it; another zero or axis makes it something else.

    Whatever the axis, means end up along the last but one of `shape`, which has to fit.
    """
    graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name=b"main")
    model = schema.ModelT(
        version=3, buffers=[schema.BufferT()], operatorCodes=[], subgraphs=[graph]
    )
    out = GraphWriter(model, graph, "norm")
    x = out.tensor(shape, name="x")
    axes = out.constant([0, axis])
    left = shape[3 - axis]
    wide = [1, left, 1]

    def mean(source: int) -> int:
        return out.add(OP.MEAN, [source, axes], [out.tensor([left])], schema.ReducerOptionsT())

    def combined(code: int, first: int, second: int, shape: tuple[int, ...]) -> int:
        made = {OP.ADD: schema.AddOptionsT, OP.SUB: schema.SubOptionsT, OP.MUL: schema.MulOptionsT}
        options = made[code]() if code in made else schema.SquaredDifferenceOptionsT()
        return out.add(code, [first, second], [out.tensor(shape)], options)

    means = mean(x)
    squares = combined(OP.SQUARED_DIFFERENCE, x, out.reshape(means, wide), shape)
    variance = combined(OP.ADD, mean(squares), out.constant(EPSILON, np.float32), (left,))
    ratio = out.elementwise(OP.RSQRT, variance)
    shift = combined(
        OP.SUB, out.constant(zero, np.float32), out.elementwise(OP.MUL, ratio, means), (left,)
    )
    scaled = combined(OP.MUL, x, out.reshape(ratio, wide), shape)
    y = combined(OP.ADD, scaled, out.reshape(shift, wide), shape)
    graph.operators, graph.inputs, graph.outputs = out.operators, [x], [y]
    return model


def reading_twice(model: schema.ModelT) -> None:
    """Let the model return its means as well."""
    graph = model.subgraphs[0]
    graph.outputs = [*graph.outputs, graph.operators[0].outputs[0]]


def cutting_off(model: schema.ModelT) -> None:
    """Let an inner operator cut off what is negative."""
    for operator in model.subgraphs[0].operators:
        if isinstance(operator.builtinOptions, schema.SubOptionsT):
            operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU


def reading_another(model: schema.ModelT) -> None:
    """Let it scale something else than what it took the mean of."""
    graph = model.subgraphs[0]
    out = GraphWriter(model, graph, "other")
    other = out.tensor(SHAPE, name="x")
    graph.inputs = [*graph.inputs, other]
    graph.operators[-3].inputs[0] = other


def run(model: schema.ModelT, rows: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=to_bytes(model), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], rows)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def test_a_layer_norm_takes_seven_operators_and_gives_what_pytorch_gives() -> None:
    model = layer_norm()
    rows = np.random.default_rng(0).normal(3, 2, SHAPE).astype(np.float32)
    wanted = functional.layer_norm(torch.from_numpy(rows), SHAPE[2:], eps=EPSILON).numpy()

    merge_norms(model)

    assert len(model.subgraphs[0].operators) == 7
    # Seven roundings to float32, of values up to some units.
    np.testing.assert_allclose(run(model, rows), wanted, atol=2e-6)


def test_the_result_keeps_its_name() -> None:
    model = layer_norm()
    graph = model.subgraphs[0]
    name = graph.tensors[graph.outputs[0]].name

    merge_norms(model)

    assert graph.tensors[graph.operators[-1].outputs[0]].name == name


def test_two_norms_share_their_axis() -> None:
    model, other = layer_norm(), layer_norm()
    graph = model.subgraphs[0]
    shift = len(graph.tensors)
    for tensor in other.subgraphs[0].tensors:
        tensor.buffer += len(model.buffers) if tensor.buffer else 0
    for operator in other.subgraphs[0].operators:
        operator.inputs = [
            graph.outputs[0] if index == other.subgraphs[0].inputs[0] else index + shift
            for index in operator.inputs
        ]
        operator.outputs = [index + shift for index in operator.outputs]
    graph.tensors += other.subgraphs[0].tensors
    graph.operators += other.subgraphs[0].operators
    model.buffers += other.buffers
    graph.outputs = [other.subgraphs[0].outputs[0] + shift]

    merge_norms(model)

    means = [o for o in graph.operators if isinstance(o.builtinOptions, schema.ReducerOptionsT)]
    assert len(graph.operators) == 14
    assert len({int(mean.inputs[1]) for mean in means}) == 1


@pytest.mark.parametrize("change", [reading_twice, cutting_off, reading_another])
def test_what_only_looks_like_a_norm_stays(change: Callable[[schema.ModelT], None]) -> None:
    model = layer_norm()
    change(model)

    merge_norms(model)

    assert len(model.subgraphs[0].operators) == AS_WRITTEN


@pytest.mark.parametrize("model", [layer_norm(zero=1.0), layer_norm(axis=1, shape=(1, 8, 8))])
def test_another_sum_of_the_kind_stays(model: schema.ModelT) -> None:
    merge_norms(model)

    assert len(model.subgraphs[0].operators) == AS_WRITTEN
