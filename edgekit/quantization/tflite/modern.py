"""Brings files of older converters into the form that the quantizer reads."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.quantization.tflite.plan import is_stored
from edgekit.runtimes.tflite.schema import operator_type


def modernise(model: schema.ModelT) -> None:
    """Say in place what files said otherwise before TensorFlow 2.5, and make half floats floats.

    Operators were named in a field that is now the smaller one of two, and there were no
    signatures. Weights stored in 16 bits come back to 32 in an operator of their own, behind
    which nothing knows them for weights.
    """
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)
    model.signatureDefs = model.signatureDefs or []
    for graph in model.subgraphs:
        graph.operators = [
            operator for operator in graph.operators if not _widened(model, graph, operator)
        ]


def _widened(model: schema.ModelT, graph: schema.SubGraphT, operator: schema.OperatorT) -> bool:
    """Store in full what an operator reads in half, and tell whether there was such a thing."""
    if operator_type(model, operator) != "DEQUANTIZE":
        return False
    half, full = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if half.type != schema.TensorType.FLOAT16 or not is_stored(model, half):
        return False
    data = np.asarray(model.buffers[half.buffer].data, np.uint8)
    values = data.view(np.float16).astype(np.float32)
    full.buffer = len(model.buffers)
    model.buffers.append(schema.BufferT(data=values.view(np.uint8)))
    return True
