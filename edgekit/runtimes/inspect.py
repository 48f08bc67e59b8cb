"""Find out what a model file is, without running it: the format by content, then the rest."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgekit.core.artifact import Format, Precision
from edgekit.core.process import Limits, Task, call
from edgekit.core.tensors import Signature
from edgekit.core.workspace import storage
from edgekit.errors import InputRefusedError
from edgekit.runtimes.limits import PARSE
from edgekit.runtimes.session import require_runtime

_TFLITE_IDENTIFIER = b"TFL3"

# Top-level fields of onnx.ModelProto (onnx/onnx.proto) as first bytes: number << 3 | wire type.
_IR_VERSION = 1 << 3
_GRAPH = 7 << 3 | 2
_ONNX_TAGS = {
    _IR_VERSION,
    5 << 3,
    *((number << 3 | 2) for number in (2, 3, 4, 6, 7, 8, 14, 20, 25, 26)),
}
_MOST_FIELDS = 100_000
_VARINT_BYTES = 10


@dataclass(frozen=True)
class OperatorCount:
    """How often an operator occurs, bodies of If, Loop and WHILE included.

    The operator is named with its domain, unless that is the standard one.
    """

    op_type: str
    count: int


@dataclass(frozen=True)
class ExternalTensor:
    """Where an ONNX tensor's bytes are, outside the model file, as the file itself says it.

    `length` is 0 when the file names none; `size_bytes` is what the tensor's shape needs.
    """

    name: str
    location: str
    offset: int
    length: int
    size_bytes: int


@dataclass(frozen=True)
class Inspection:
    """What is in a model file.

    `parameters` counts the stored elements of float and 8-bit tensors and of 32-bit biases,
    not shapes and indices. `weights_bytes` covers every stored tensor, wherever it is:
    initializers, Constant nodes, subgraphs. `quantized` lists what shows that the model is
    quantized already; it is empty for a float model. `opset` is 0 for TFLite. `misread`
    says what tflite-runtime 2.14 would compute wrongly, and is empty where it would not.
    """

    format: Format
    precision: Precision
    signature: Signature
    opset: int
    operators: tuple[OperatorCount, ...]
    parameters: int
    weights_bytes: int
    quantized: tuple[str, ...]
    external: tuple[ExternalTensor, ...]
    notes: tuple[str, ...]
    misread: str = ""


@dataclass(frozen=True)
class InspectRequest:
    """Which file to look into."""

    path: Path


_TASKS = {
    Format.ONNX: Task(
        "edgekit.runtimes.onnx.inspect:inspect", InspectRequest, Inspection, kept=True
    ),
    Format.TFLITE: Task(
        "edgekit.runtimes.tflite.inspect:inspect", InspectRequest, Inspection, kept=True
    ),
}


def inspect_file(path: Path, *, limits: Limits = PARSE) -> Inspection:
    """Return what is in a model file, read in a child process. External data is not opened.

    Raises:
        InputRefusedError: The file is no model, is damaged, or crashes its parser.
        UnsupportedError: It holds what edgekit cannot name, such as inputs of text.
        MissingExtraError: The runtime of its format is not installed.
        StorageError: The file cannot be read.
    """
    file_format = recognise(path)
    if file_format is None:
        raise InputRefusedError(
            f"{path} is neither an ONNX nor a TFLite model",
            hint="edgekit reads .onnx and .tflite files",
        )
    require_runtime(file_format)
    return call(_TASKS[file_format], InspectRequest(path.absolute()), limits=limits)


def recognise(path: Path) -> Format | None:
    """Return the format of a file by its content, whatever its name; `None` if it is neither.

    A damaged file that begins as a model is still recognised, so that its parser can say
    what is wrong with it.

    Raises:
        StorageError: The file cannot be read.
    """
    with storage(path), path.open("rb") as file:
        head = file.read(16)
        if head[4:8] == _TFLITE_IDENTIFIER:
            return Format.TFLITE
        # Writers begin with the version of the format, a small number, and a field after it.
        begins_as_onnx = len(head) > 2 and head[0] == _IR_VERSION and 0 < head[1] < 0x40
        begins_as_onnx = begins_as_onnx and head[2] in _ONNX_TAGS
        return Format.ONNX if begins_as_onnx or _walks_as_onnx(file) else None


def _walks_as_onnx(file: BinaryIO) -> bool:
    """Whether the whole file is fields of an ONNX model, a graph among them; reads no payload."""
    end = file.seek(0, 2)
    file.seek(0)
    seen = set()
    for _ in range(_MOST_FIELDS):
        if file.tell() == end:
            return _GRAPH in seen
        tag = _varint(file)
        if tag not in _ONNX_TAGS:
            return False
        value = _varint(file)
        if value is None:
            return False
        if tag & 7 and file.seek(value, 1) > end:
            return False
        seen.add(tag)
    return False


def _varint(file: BinaryIO) -> int | None:
    value = 0
    for place in range(_VARINT_BYTES):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << (7 * place)
        if byte[0] < 0x80:
            # A length beyond any file would overflow the seek that follows.
            return min(value, 2**62)
    return None
