"""Writes a TFLite model as a file that holds nothing twice."""

import hashlib
from collections.abc import Iterable, Sized
from typing import Protocol

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite.unused import drop_unused

_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT = 16
"""`force_align` of a buffer's data in the schema, which generated Python leaves out."""

_LENGTH_BYTES = 4
"""What stands before the elements of an array."""

_UNREAD = frozenset({b"keep_stablehlo_constant", b"min_runtime_version"})
"""Entries that a converter leaves for its own tools; whoever runs the file reads its operators."""


class _Flags(Protocol):
    """What flatbuffers knows of a type of numbers."""

    bytewidth: int


_Field = tuple[_Flags | None, int, float]
"""The type of a field, its place in the schema, and its value; no type for a reference."""


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]  # flatbuffers ships no types
    """Writes equal texts, arrays and records once; everything that holds one refers to it."""

    def __init__(self) -> None:
        super().__init__(1024)
        self._places: dict[tuple[object, ...], int] = {}
        self._fields: list[_Field] = []
        self._before = self._element_bytes = 0

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:  # noqa: N802  overrides
        """Write a text unless its like is there, and return its place."""
        key = ("text", s.encode(encoding, errors) if isinstance(s, str) else s)
        if key not in self._places:
            self._element_bytes = 0
            self._places[key] = super().CreateString(s, encoding, errors)
        return self._places[key]

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802, N803  overrides
        """Begin an array; one of bytes may be the data of a tensor."""
        self._before, self._element_bytes = self.Offset(), elemSize
        start: int = super().StartVector(
            elemSize, numElems, _BUFFER_ALIGNMENT if elemSize == 1 else alignment
        )
        return start

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802  overrides
        """Write a reference; it counts from where it stands, so that equal ones differ."""
        self._element_bytes = 0
        super().PrependUOffsetTRelative(off)

    def EndVector(self, numElems: int | None = None) -> int:  # noqa: N802, N803  overrides
        """End an array, take it back if its like is there, and return its place."""
        count = self.vectorNumElems
        place: int = super().EndVector(numElems)
        if not self._element_bytes:
            return place
        start = len(self.Bytes) - place
        end = start + _LENGTH_BYTES + count * self._element_bytes
        content = hashlib.sha256(self.Bytes[start:end]).digest()
        known = self._places.setdefault(("array", self._element_bytes, content), place)
        if known != place:
            self.head = len(self.Bytes) - self._before
        return known

    def StartObject(self, numfields: int) -> None:  # noqa: N802  overrides
        """Begin a record."""
        super().StartObject(numfields)
        self._fields = []

    def PrependSlot(  # noqa: N802  overrides
        self, flags: _Flags, o: int, x: float, d: float
    ) -> None:
        """Take a field of a record, unless it has the value that is taken for granted."""
        if x != d:
            self._fields.append((flags, o, x))

    def PrependUOffsetTRelativeSlot(self, o: int, x: int, d: int) -> None:  # noqa: N802  overrides
        """Take a field of a record that refers to something."""
        if x != d:
            self._fields.append((None, o, x))

    def EndObject(self) -> int:  # noqa: N802  overrides
        """Write a record unless its like is there, wide fields first; return its place.

        In that order no gaps are needed to align them.
        """
        key = ("record", *self._fields)
        if key in self._places:
            self.nested = False
            return self._places[key]
        for flags, slot, value in sorted(self._fields, key=_width, reverse=True):
            if flags is None:
                super().PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                super().PrependSlot(flags, slot, value, None)
        self._places[key] = super().EndObject()
        return self._places[key]


def _width(field: _Field) -> int:
    flags, _, _ = field
    return _LENGTH_BYTES if flags is None else flags.bytewidth


def to_bytes(model: schema.ModelT) -> bytes:
    """Return the file of `model`; it says the same as any other writer's, in fewer bytes.

    Per-channel weights carry a zero point of 8 bytes for every channel, all zero, and so do
    their biases; hundreds of operators have the same options, and tensors the same shape: what
    is equal is written once. What no runtime reads is dropped from `model`: minima and maxima of
    tensors, records of no quantization, all that nothing refers to, and what a converter notes
    about itself.
    """
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.quantization is not None:
                tensor.quantization = _slim(tensor.quantization)
    model.metadata = [entry for entry in model.metadata or [] if entry.name not in _UNREAD] or None
    drop_unused(model)
    for buffer in model.buffers:
        if buffer.data is not None:
            # The quantizer leaves bytes behind, which would be written one by one.
            buffer.data = np.frombuffer(bytes(buffer.data), np.uint8)
    builder = _SharingBuilder()
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _slim(
    quantization: schema.QuantizationParametersT,
) -> schema.QuantizationParametersT | None:
    if quantization.details is None and _is_empty(quantization.scale):
        return None
    quantization.min = quantization.max = None
    quantization.scale = _array(quantization.scale, np.float32)
    quantization.zeroPoint = _array(quantization.zeroPoint, np.int64)
    return quantization


def _is_empty(values: Sized | None) -> bool:
    return values is None or len(values) == 0


def _array(
    values: Iterable[float] | None, dtype: type[np.generic]
) -> npt.NDArray[np.generic] | None:
    # Numbers one by one take a call each; an array takes one.
    return None if values is None else np.array(values, dtype)
