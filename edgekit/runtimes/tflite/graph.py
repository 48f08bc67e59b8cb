"""Adds tensors and operators to a graph of a TFLite model."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

_LAST_OLD_CODE = 127
"""Codes up to here also go into the field that runtimes before 2.4 read."""

_TYPES = {
    np.dtype(np.bool_): schema.TensorType.BOOL,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.int32): schema.TensorType.INT32,
}


class Options(Protocol):
    """The options of one type of operator, as the schema's generated classes hold them."""

    def Pack(self, builder: object) -> int:  # noqa: N802  the schema's own name
        """Write them into a file."""
        ...


class GraphWriter:
    """Writes into `graph` of `model`; the tensors it makes are called after `name`."""

    def __init__(self, model: schema.ModelT, graph: schema.SubGraphT, name: str) -> None:
        self.model = model
        self.graph = graph
        self.operators: list[schema.OperatorT] = []
        self._name = name

    def tensor(
        self, shape: Sequence[int], dtype: type[np.generic] = np.float32, name: str = ""
    ) -> int:
        """Add a tensor that is computed or fed, and return its place."""
        place = len(self.graph.tensors)
        self.graph.tensors.append(
            schema.TensorT(
                shape=np.array(shape, np.int32),
                type=_TYPES[np.dtype(dtype)],
                name=f"{self._name}.{name or place}".encode(),
                buffer=0,
                hasRank=True,
            )
        )
        return place

    def constant(self, values: npt.ArrayLike, dtype: type[np.generic] = np.int32) -> int:
        """Add a tensor with `values` (any shape), and return its place."""
        array = np.ascontiguousarray(values, dtype)
        place = self.tensor(np.shape(values), dtype)
        self.graph.tensors[place].buffer = len(self.model.buffers)
        data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(schema.BufferT(data=data))
        return place

    def add(
        self,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Options | None = None,
        version: int = 1,
    ) -> int:
        """Add an operator that computes `outputs`, and return the first of them."""
        operator = schema.OperatorT(
            opcodeIndex=self._opcode(code, version), inputs=list(inputs), outputs=list(outputs)
        )
        if options is not None:
            operator.builtinOptions = options
            # The generated class of XOptions is XOptionsT.
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        self.operators.append(operator)
        return outputs[0]

    def reshape(self, source: int, shape: Sequence[int], target: int | None = None) -> int:
        """Give `source` another shape, in `target` or a new tensor; return which one."""
        if target is None:
            target = self.tensor(shape)
        inputs = [source, self.constant(shape)]
        options = schema.ReshapeOptionsT(newShape=list(shape))
        return self.add(schema.BuiltinOperator.RESHAPE, inputs, [target], options)

    def fully_connected(self, source: int, weight: int, bias: int, name: str) -> int:
        """Multiply rows `[n, k]` by a weight `[m, k]`, add a bias unless it is -1."""
        rows = self.graph.tensors[source].shape[0]
        target = self.tensor([rows, self.graph.tensors[weight].shape[0]], name=name)
        options = schema.FullyConnectedOptionsT()
        return self.add(
            schema.BuiltinOperator.FULLY_CONNECTED, [source, weight, bias], [target], options
        )

    def elementwise(self, code: int, *sources: int) -> int:
        """Combine tensors of one shape by an operator that keeps it."""
        target = self.tensor(self.graph.tensors[sources[0]].shape)
        make = {
            schema.BuiltinOperator.ADD: schema.AddOptionsT,
            schema.BuiltinOperator.MUL: schema.MulOptionsT,
            schema.BuiltinOperator.SUB: schema.SubOptionsT,
        }.get(code)
        return self.add(code, sources, [target], make() if make else None)

    def _opcode(self, code: int, version: int) -> int:
        for place, known in enumerate(self.model.operatorCodes):
            builtin = max(known.builtinCode, known.deprecatedBuiltinCode)
            if builtin == code and known.version == version and not known.customCode:
                return place
        self.model.operatorCodes.append(
            schema.OperatorCodeT(
                builtinCode=code,
                deprecatedBuiltinCode=min(code, _LAST_OLD_CODE),
                version=version,
            )
        )
        return len(self.model.operatorCodes) - 1
