"""Names, dtypes and shapes of what goes into a model and comes out of it."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

Dim = int | str
"""A fixed size, or the name of a dynamic axis."""


_NO_NAMES = frozenset({"", "?", "-1", "None", "none", "unknown"})
"""What exporters call an axis that they know no name for; two of them are not one axis."""


def axis_name(told: str, otherwise: str) -> str:
    """Name a dynamic axis as its file does, or `otherwise` where the file has no name."""
    return otherwise if told in _NO_NAMES else told


class DType(Enum):
    """An element type that ONNX, TFLite and PyTorch can all name."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    FLOAT64 = "float64"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy dtype of the same name."""
        return np.dtype(self.value)

    @property
    def is_float(self) -> bool:
        """Whether values are floating point."""
        return self in {DType.FLOAT16, DType.FLOAT32, DType.FLOAT64}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output: its name, element type and shape."""

    name: str
    dtype: DType
    shape: tuple[Dim, ...]

    @property
    def is_dynamic(self) -> bool:
        """Whether any axis has a name instead of a size."""
        return any(isinstance(dim, str) for dim in self.shape)

    def accepts(self, array: Array) -> bool:
        """Whether `array` (any shape) has this dtype, rank and the fixed sizes."""
        return (
            array.dtype == self.dtype.numpy
            and array.ndim == len(self.shape)
            and all(
                isinstance(dim, str) or dim == size
                for dim, size in zip(self.shape, array.shape, strict=True)
            )
        )

    def __str__(self) -> str:
        shape = ", ".join(str(dim) for dim in self.shape)
        return f"{self.name}: {self.dtype.value}[{shape}]"


@dataclass(frozen=True)
class Signature:
    """What a model takes and returns, in order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
