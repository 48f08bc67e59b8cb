"""Says lookups of rows in the operator that reads int8 tables."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.quantization.tflite.plan import is_stored, tensor_name
from edgekit.runtimes.tflite.graph import GraphWriter
from edgekit.runtimes.tflite.schema import operator_type


def look_up_rows(model: schema.ModelT) -> None:
    """Turn every GATHER_ND that takes whole rows of a stored table into EMBEDDING_LOOKUP, in place.

    That is what `weight[tokens]` converts to. In float both do the same; GATHER_ND has no form
    that reads int8 and hands on floats.
    """
    graph = model.subgraphs[0]
    operators: list[schema.OperatorT] = []
    for operator in graph.operators:
        is_lookup = operator_type(model, operator) == "GATHER_ND"
        if is_lookup and _takes_rows(model, *(int(place) for place in operator.inputs)):
            operators += _lookup(model, operator)
        else:
            operators.append(operator)
    graph.operators = operators


def _takes_rows(model: schema.ModelT, table: int, numbers: int) -> bool:
    """Whether a GATHER_ND at these places takes rows of a float table with two axes."""
    data, places = (model.subgraphs[0].tensors[place] for place in (table, numbers))
    is_table = data.type == schema.TensorType.FLOAT32 and len(data.shape) == 2
    is_number = places.type == schema.TensorType.INT32 and int(places.shape[-1]) == 1
    return is_table and is_number and is_stored(model, data) and not is_stored(model, places)


def _lookup(model: schema.ModelT, operator: schema.OperatorT) -> list[schema.OperatorT]:
    graph = model.subgraphs[0]
    table, numbers = (int(place) for place in operator.inputs)
    result = int(operator.outputs[0])
    out = GraphWriter(model, graph, f"{tensor_name(graph.tensors[result])}.rows")
    count = int(np.prod(graph.tensors[numbers].shape))
    places = out.reshape(numbers, [count], out.tensor([count], np.int32))
    rows = out.tensor([count, int(graph.tensors[table].shape[1])])
    out.add(schema.BuiltinOperator.EMBEDDING_LOOKUP, [places, table], [rows])
    out.reshape(rows, [int(size) for size in graph.tensors[result].shape], result)
    return out.operators
