"""Bring an ONNX model into the one form that the later steps expect."""

from dataclasses import dataclass
from pathlib import Path

from edgekit.core.process import Task, call
from edgekit.core.workspace import replacing
from edgekit.runtimes.limits import PARSE

LOWEST_OPSET = 17
"""From here on all operators that quantization needs take their axes the same way."""


@dataclass(frozen=True)
class NormalizeRequest:
    """Which file to read and which to write."""

    source: Path
    destination: Path
    raise_opset: bool = True


@dataclass(frozen=True)
class Normalized:
    """What was changed, a sentence each."""

    notes: tuple[str, ...]


_TASK = Task("edgekit.loading.onnx_normalize_child:run", NormalizeRequest, Normalized)


def normalize_onnx(source: Path, destination: Path, *, raise_opset: bool = True) -> tuple[str, ...]:
    """Write `source` to `destination` in normal form; return what was changed, for people.

    Weights in Constant nodes become initializers, the opset is raised to at least 17 (unless
    `raise_opset` is off), stale shapes are dropped and inferred anew, and external data is
    taken into the file. What computes in half or double precision does so in single. Bodies
    of If, Loop and Scan are treated like the main graph. The outputs stay what they were, and
    inputs and outputs keep their types.

    Raises:
        InputRefusedError: The file is damaged, or its external data is not fit to read.
        UnsupportedError: An operator cannot be raised, or the result is too large for one file.
        StorageError: The destination cannot be written.
    """
    with replacing(destination) as partial:
        request = NormalizeRequest(source.absolute(), partial.absolute(), raise_opset)
        return call(_TASK, request, limits=PARSE).notes
