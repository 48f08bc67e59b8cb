"""The tensors of a TFLite file: the buffers that its subgraphs' tensors point to."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgekit.errors import UnsupportedError
from edgekit.profiling.stored import Contents, StoredTensor
from edgekit.runtimes.tflite.macs import count_macs
from edgekit.runtimes.tflite.schema import operator_type, text
from edgekit.runtimes.tflite.session import refusing

_PASSED_THROUGH = frozenset({"CAST", "DEQUANTIZE", "QUANTIZE", "RESHAPE", "TRANSPOSE"})
"""Operators that only hand a weight on to the one it belongs to."""

_UNUSED = "unused"
_DTYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if isinstance(code, int)
}


@dataclass(frozen=True)
class TfliteContents:
    """Reads a .tflite file."""

    def read(self, path: Path) -> Contents:
        """Return what is in the file; see `ContentsReader.read`.

        Raises:
            InputRefusedError: The file is damaged.
        """
        # LiteRT verifies every offset; reading the file by its schema relies on that. A kernel
        # that it lacks does not matter here.
        with contextlib.suppress(UnsupportedError), refusing(path.name):
            Interpreter(model_path=str(path), num_threads=1)
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        return Contents(tuple(_tensors(model)), count_macs(model))


def _tensors(model: schema.ModelT) -> Iterator[StoredTensor]:
    seen: set[int] = set()
    for graph in model.subgraphs:
        users = _users(model, graph)
        for index, tensor in enumerate(graph.tensors):
            data, size_bytes = _stored(model, tensor.buffer)
            # Tensors may share a buffer, and the file holds it once.
            if size_bytes and tensor.buffer not in seen:
                seen.add(tensor.buffer)
                dtype = _DTYPES.get(tensor.type, f"type {tensor.type}")
                purpose = _purpose(index, users)
                yield StoredTensor(text(tensor.name), purpose, dtype, data, size_bytes)


def _stored(model: schema.ModelT, place: int) -> tuple[bytes, int]:
    buffer = model.buffers[place]
    if buffer.data is not None:
        data = np.asarray(buffer.data, dtype=np.uint8).tobytes()
        return data, len(data)
    # Files over 2 GB keep data after the table; it is counted, not read.
    return b"", int(buffer.size) if buffer.offset > 1 else 0


Users = Mapping[int, tuple[str, int]]
"""The type and the first output of the operator that takes a tensor first, by the tensor."""


def _users(model: schema.ModelT, graph: schema.SubGraphT) -> Users:
    users: dict[int, tuple[str, int]] = {}
    for operator in graph.operators:
        output = int(operator.outputs[0]) if len(operator.outputs) else -1
        for tensor in operator.inputs:
            users.setdefault(int(tensor), (operator_type(model, operator), output))
    return users


def _purpose(tensor: int, users: Users) -> str:
    """Return the type of the operator that a tensor ends up in."""
    seen: set[int] = set()
    op_type = _UNUSED
    while tensor in users and tensor not in seen:
        seen.add(tensor)
        op_type, output = users[tensor]
        if op_type not in _PASSED_THROUGH:
            return op_type
        tensor = output
    return op_type
