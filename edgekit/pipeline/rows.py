"""The rows of a run's table: which there are, and what is known of each while they come in."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from edgekit.core.artifact import Artifact, Format, Precision
from edgekit.core.model import Change, SavedModel


class Row(Enum):
    """Which row it is; the value is its label."""

    SOURCE = "ONNX source"
    PYTORCH = "PyTorch fp32"
    PRUNED = "PyTorch pruned"
    ONNX_FP32 = "ONNX fp32"
    ONNX_INT8 = "ONNX int8"
    TFLITE_FP32 = "TFLite fp32"
    TFLITE_INT8 = "TFLite int8"


FLOAT_ROW = {Format.ONNX: Row.ONNX_FP32, Format.TFLITE: Row.TFLITE_FP32}
"""The row of a format's float file."""

INT8_ROW = {Format.ONNX: Row.ONNX_INT8, Format.TFLITE: Row.TFLITE_INT8}
"""The row of a format's int8 file."""

Subject = SavedModel | Artifact
"""What a row is about: a model on its way, or a file."""


@dataclass(frozen=True)
class Line:
    """One row: its model or file, the row it was made from, and what was said about it."""

    row: Row
    subject: Subject
    made_from: Row | None
    notes: tuple[str, ...] = ()

    def noting(self, notes: Iterable[str]) -> "Line":
        """Return the same row with more said about it."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def precision(self) -> Precision:
        """Float for a PyTorch model, and what its file says for an artifact."""
        return self.subject.precision if isinstance(self.subject, Artifact) else Precision.FP32

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was done to a model; a file does not say."""
        return self.subject.history if isinstance(self.subject, SavedModel) else ()
