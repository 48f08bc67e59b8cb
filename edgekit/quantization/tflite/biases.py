"""Gives biases the shape that int8 kernels ask for."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite.schema import operator_type

_PLACES: Mapping[str, int] = {
    "CONV_2D": 2,
    "DEPTHWISE_CONV_2D": 2,
    "FULLY_CONNECTED": 2,
    "TRANSPOSE_CONV": 3,
}
"""Which input of an operator is its bias."""


def flatten_biases(model: schema.ModelT) -> None:
    """Give every bias of `model` one axis, in place.

    A batch norm that the converter folds leaves a bias of shape `[1, 1, 1, channels]`. It works
    in float; in int8 the first axis has too few entries for a scale each.
    """
    for graph in model.subgraphs:
        readers = Counter(index for operator in graph.operators for index in operator.inputs)
        for operator in graph.operators:
            place = _PLACES.get(operator_type(model, operator), len(operator.inputs))
            index = operator.inputs[place] if place < len(operator.inputs) else -1
            if index >= 0 and readers[index] == 1:
                tensor = graph.tensors[index]
                tensor.shape = np.array([np.prod(tensor.shape, dtype=np.int32)], np.int32)
