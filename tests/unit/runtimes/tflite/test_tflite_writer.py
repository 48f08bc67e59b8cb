import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from support import tflite_graphs, tflite_models

from edgekit.runtimes.tflite.writer import to_bytes

FILES = {
    "classifier": tflite_graphs.classifier(),
    "loop": tflite_graphs.loop(),
    "per_channel": tflite_models.dynamic_per_channel(),
}


def read(content: bytes) -> schema.ModelT:
    return schema.ModelT.InitFromPackedBuf(content, 0)


def described(value: object) -> object:
    """Return all that a record of the schema says, as values that can be compared."""
    if isinstance(value, list):
        return [described(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "Pack"):
        return {name: described(field) for name, field in vars(value).items()}
    return value


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_what_a_model_says_survives(content: bytes) -> None:
    model = read(content)

    assert described(read(to_bytes(model))) == described(model)


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_a_file_that_is_written_again_stays_as_it_is(content: bytes) -> None:
    once = to_bytes(read(content))

    assert len(to_bytes(read(once))) == len(once) <= len(content)


def test_what_is_equal_takes_room_once() -> None:
    model = read(FILES["classifier"])
    graph = model.subgraphs[0]
    size_bytes = len(to_bytes(model))
    for _ in range(1000):
        again = read(FILES["classifier"])
        operator, weight = again.subgraphs[0].operators[0], again.subgraphs[0].tensors[3]
        operator.inputs = [0, len(graph.tensors), -1]
        weight.buffer = len(model.buffers)
        model.buffers.append(again.buffers[1])
        graph.tensors.append(weight)
        graph.operators.append(operator)

    grown = len(to_bytes(model)) - size_bytes

    # The weights, 8192 bytes, are there once. What is left is an operator, its list of inputs, a
    # tensor that says which buffer it holds, and references to these and to the buffer.
    assert grown < 1000 * 100


def test_lists_and_arrays_are_written_alike() -> None:
    model, listed = read(FILES["classifier"]), read(FILES["classifier"])
    for tensor in listed.subgraphs[0].tensors:
        tensor.shape = [int(size) for size in tensor.shape]

    assert to_bytes(listed) == to_bytes(model)


def test_data_that_looks_like_other_numbers_stays_aligned() -> None:
    model = read(FILES["classifier"])
    shape = np.array([64, 32], np.int32)
    model.subgraphs[0].tensors[0].shape = shape
    model.buffers.append(schema.BufferT(data=np.frombuffer(shape.tobytes(), np.uint8)))
    model.metadata = [schema.MetadataT(name=b"shape", buffer=len(model.buffers) - 1)]
    model.description = shape.tobytes()

    content = to_bytes(model)

    data = schema.Model.GetRootAs(content, 0).Buffers(len(model.buffers) - 1)
    assert data.DataAsNumpy().tobytes() == shape.tobytes()
    start = data._tab.Vector(data._tab.Offset(4))
    assert start % 16 == 0
    assert described(read(content)) == described(model)


def test_notes_of_a_converter_go_and_those_of_an_author_stay() -> None:
    model = read(FILES["classifier"])
    model.metadata = [
        schema.MetadataT(name=b"min_runtime_version", buffer=1),
        schema.MetadataT(name=b"TFLITE_METADATA", buffer=1),
    ]

    found = read(to_bytes(model)).metadata

    assert [entry.name for entry in found] == [b"TFLITE_METADATA"]


def test_what_was_written_runs_as_before() -> None:
    inputs = np.random.default_rng(0).standard_normal((1, 32)).astype(np.float32)

    def run(content: bytes) -> np.ndarray:
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], inputs)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))

    before, after = run(FILES["loop"]), run(to_bytes(read(FILES["loop"])))

    np.testing.assert_array_equal(before, after)


def test_data_and_operator_codes_that_nothing_refers_to_go() -> None:
    model = read(FILES["classifier"])
    model.operatorCodes.insert(0, schema.OperatorCodeT(builtinCode=schema.BuiltinOperator.ADD))
    model.buffers.insert(1, schema.BufferT(data=np.zeros(4096, np.uint8)))
    graph = model.subgraphs[0]
    for operator in graph.operators:
        operator.opcodeIndex += 1
    for tensor in graph.tensors:
        tensor.buffer += tensor.buffer > 0

    content = to_bytes(model)

    assert content == to_bytes(read(FILES["classifier"]))
