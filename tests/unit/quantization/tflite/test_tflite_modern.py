"""Files as converters wrote them before TensorFlow 2.5, and with weights in half precision."""

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from support.quantizing import call_here, quantized, sqnr_db
from support.tflite_graphs import classifier

from edgekit.core.artifact import Format
from edgekit.quantization.tflite.modern import modernise
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.writer import to_bytes

X = np.random.default_rng(0).standard_normal((40, 32)).astype(np.float32)


@pytest.fixture(autouse=True)
def _without_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.quantization.quantize.call", call_here)
    monkeypatch.setattr("edgekit.runtimes.inspect.call", call_here)


def in_halves(content: bytes) -> bytes:
    """Return a model whose stored floats are half floats, each behind a DEQUANTIZE."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph = model.subgraphs[0]
    out = GraphWriter(model, graph, "half")
    for place in range(len(graph.tensors)):
        data = model.buffers[graph.tensors[place].buffer].data
        if data is None or not len(data) or graph.tensors[place].type != schema.TensorType.FLOAT32:
            continue
        values = np.asarray(data, np.uint8).view(np.float32)
        half = out.tensor([int(size) for size in graph.tensors[place].shape])
        graph.tensors[half].type = schema.TensorType.FLOAT16
        graph.tensors[half].buffer = len(model.buffers)
        stored = values.astype(np.float16).view(np.uint8)
        model.buffers.append(schema.BufferT(data=stored))
        graph.tensors[place].buffer = 0
        out.add(schema.BuiltinOperator.DEQUANTIZE, [half], [place], version=2)
    graph.operators = [*out.operators, *graph.operators]
    return to_bytes(model)


def old(content: bytes) -> bytes:
    """Return a model with the codes of operators where they once were, and no signature."""
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = code.builtinCode, 0
    model.signatureDefs = None
    return to_bytes(model)


@pytest.mark.parametrize("written", [old, in_halves, lambda content: old(in_halves(content))])
def test_older_forms_are_quantized_like_todays(tmp_path: Path, written: object) -> None:
    assert callable(written)
    made = quantized(tmp_path, Format.TFLITE, written(classifier()), x=X)

    assert sqnr_db(made) > 30  # as in today's form
    assert made.report.int8_macs_percent == 100


def test_what_is_stored_in_halves_is_in_full_and_behind_nothing() -> None:
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(in_halves(classifier())))
    plain = flatbuffer_utils.read_model_from_bytearray(bytearray(classifier()))

    modernise(model)

    assert len(model.subgraphs[0].operators) == len(plain.subgraphs[0].operators)
