from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils
from support.tflite_models import Builder

from edgekit.core.artifact import Format
from edgekit.exporting.tflite.outputs import part_equal_outputs
from edgekit.runtimes.session import open_session
from edgekit.runtimes.tflite.writer import to_bytes


def test_one_value_under_several_names_comes_out_under_each(tmp_path: Path) -> None:
    builder = Builder()
    x = builder.tensor("x", [1, 4])
    y = builder.tensor("y", [1, 4])
    builder.operator(schema.BuiltinOperator.RELU, [x], [y])
    names = (["x"], ["first", "other", "last"])
    model = flatbuffer_utils.read_model_from_bytearray(builder.build([x], [y, x, y], names=names))

    part_equal_outputs(model)
    graph = model.subgraphs[0]
    for end in model.signatureDefs[0].outputs:
        graph.tensors[end.tensorIndex].name = end.name

    path = tmp_path / "model.tflite"
    path.write_bytes(to_bytes(model))
    values = np.array([[-1, 0, 1, 2]], np.float32)
    found = open_session(path, Format.TFLITE).run({"x": values})
    assert len(set(map(int, graph.outputs))) == 3
    np.testing.assert_array_equal(found["first"], np.maximum(values, 0))
    np.testing.assert_array_equal(found["last"], np.maximum(values, 0))
