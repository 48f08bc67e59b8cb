import numpy as np
import numpy.typing as npt
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgekit.quantization.tflite.constants import readers_of_constants, store_constants
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.writer import to_bytes

OP = schema.BuiltinOperator
STEPS, WIDTH, TOKENS = 16, 32, 40
FloatArray = npt.NDArray[np.float32]


def constant(*shape: int) -> FloatArray:
    return np.random.default_rng(1).normal(1, 0.5, shape).astype(np.float32)


def embedding(positions: FloatArray, table: FloatArray) -> schema.ModelT:
    """Rows of `table`, plus `positions`, and minus `positions` of which the half is taken."""
    graph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name=b"main")
    model = schema.ModelT(
        version=3, buffers=[schema.BufferT()], operatorCodes=[], subgraphs=[graph]
    )
    out = GraphWriter(model, graph, "net")
    tokens = out.tensor([STEPS], np.int32, name="tokens")
    rows = out.tensor([STEPS, WIDTH], name="rows")
    held = out.constant(table, np.float32)
    out.add(OP.GATHER, [held, tokens], [rows], schema.GatherOptionsT())
    added = out.constant(positions, np.float32)
    placed = out.tensor([STEPS, WIDTH], name="placed")
    out.add(OP.ADD, [rows, added], [placed], schema.AddOptionsT())
    half = out.tensor([STEPS, WIDTH], name="half")
    out.add(OP.MUL, [placed, out.constant(0.5, np.float32)], [half], schema.MulOptionsT())
    result = out.tensor([STEPS, WIDTH], name="result")
    out.add(OP.SUB, [half, added], [result], schema.SubOptionsT())
    graph.operators, graph.inputs, graph.outputs = out.operators, [tokens], [result]
    return model


def run(model: schema.ModelT) -> FloatArray:
    interpreter = Interpreter(model_content=to_bytes(model), num_threads=1)
    interpreter.allocate_tensors()
    tokens = np.arange(STEPS, dtype=np.int32) * 2
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tokens)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def stored(model: schema.ModelT) -> set[tuple[int, int]]:
    """Return the type and the size of every large constant."""
    return {
        (tensor.type, int(np.prod(tensor.shape)))
        for tensor in model.subgraphs[0].tensors
        if model.buffers[tensor.buffer].data is not None and np.prod(tensor.shape) > 1
    }


def after_writing(model: schema.ModelT) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(to_bytes(model), 0)


INT8, FLOAT = schema.TensorType.INT8, schema.TensorType.FLOAT32


def test_positions_and_tables_become_int8_and_mean_the_same() -> None:
    positions, table = constant(STEPS, WIDTH), constant(TOKENS, WIDTH)
    model = embedding(positions, table)
    wanted = run(model)

    store_constants(model, ())

    # Half a step of the table, halved, and half a step of the positions, which are halved and
    # taken off again.
    step = (max(table.max(), positions.max()) - min(table.min(), positions.min(), 0)) / 255
    np.testing.assert_allclose(run(model), wanted, atol=0.5 * step + 1e-6)
    found = stored(after_writing(model))
    assert found == {(INT8, STEPS * WIDTH), (INT8, TOKENS * WIDTH)}


def test_a_table_is_gathered_from_as_int8() -> None:
    model = embedding(constant(STEPS, WIDTH), constant(TOKENS, WIDTH))

    store_constants(model, ())

    gather = model.subgraphs[0].operators[1]
    assert isinstance(gather.builtinOptions, schema.GatherOptionsT)
    assert model.subgraphs[0].tensors[gather.outputs[0]].type == INT8


def test_a_constant_of_two_operators_is_turned_into_floats_once() -> None:
    model = embedding(constant(STEPS, WIDTH), constant(TOKENS, WIDTH))

    store_constants(model, ())

    names = [type(o.builtinOptions).__name__ for o in model.subgraphs[0].operators]
    assert names.count("DequantizeOptionsT") == 2


def test_a_mask_of_two_values_survives_exactly() -> None:
    mask = np.triu(np.full((STEPS, WIDTH), -20, np.float32), 1)
    model = embedding(mask, constant(TOKENS, WIDTH))
    exact = embedding(mask, constant(TOKENS, WIDTH))
    store_constants(exact, {"net.rows"})

    # One rounding of a scale to float32.
    np.testing.assert_allclose(run(exact), run(model), rtol=1e-6)


def test_the_first_reader_of_each_constant_stands_for_it() -> None:
    model = embedding(constant(STEPS, WIDTH), constant(TOKENS, WIDTH))

    assert readers_of_constants(model) == ("net.rows", "net.placed")


@pytest.mark.parametrize("kept", ["net.placed", "net.result"])
def test_what_an_operator_reads_that_is_kept_in_float_stays_float(kept: str) -> None:
    model = embedding(constant(STEPS, WIDTH), constant(TOKENS, WIDTH))

    store_constants(model, {kept})

    found = stored(after_writing(model))
    assert found == {(FLOAT, STEPS * WIDTH), (INT8, TOKENS * WIDTH)}


def test_constants_with_infinities_stay_float() -> None:
    positions = constant(STEPS, WIDTH)
    positions[0, 0] = -np.inf
    model = embedding(positions, constant(TOKENS, WIDTH))

    assert readers_of_constants(model) == ("net.rows",)


def test_small_constants_stay_float() -> None:
    model = embedding(constant(1, WIDTH), constant(4, WIDTH))

    assert readers_of_constants(model) == ()


def test_weights_of_layers_are_left_to_the_quantizer() -> None:
    model = embedding(constant(STEPS, WIDTH), constant(TOKENS, WIDTH))
    graph = model.subgraphs[0]
    out = GraphWriter(model, graph, "layer")
    weight = int(graph.operators[0].inputs[0])
    graph.outputs = [out.fully_connected(int(graph.outputs[0]), weight, -1, "product")]
    graph.operators += out.operators

    assert readers_of_constants(model) == ("net.placed",)
