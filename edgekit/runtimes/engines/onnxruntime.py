"""Run ONNX models in onnxruntime on the CPU."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edgekit.core.artifact import Format
from edgekit.core.tensors import Array, DType, Signature, TensorSpec, axis_name
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.runtimes.feed import batch_of, run_in_batches, single_call

_SEVERITY_ERROR = 3

# All derive straight from Exception; the wheel offers no common base.
_FAILURES = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoModel,
    ort_errors.NoSuchFile,
    ort_errors.RuntimeException,
    RuntimeError,
    ValueError,
)
_NO_KERNEL = ("No Op registered for", "is not a registered function/op", "No opset import")

_DTYPES = {
    "tensor(float)": DType.FLOAT32,
    "tensor(float16)": DType.FLOAT16,
    "tensor(double)": DType.FLOAT64,
    **{f"tensor({kind.value})": kind for kind in DType if not kind.is_float},
}


def session_options(threads: int) -> ort.SessionOptions:
    """Return the options every session of edgekit has: sequential, quiet, `threads` threads."""
    options = ort.SessionOptions()
    options.log_severity_level = _SEVERITY_ERROR
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    return options


@contextlib.contextmanager
def refusing(what: str) -> Iterator[None]:
    """Turn what onnxruntime raises in the body into an error about `what`.

    Raises:
        InputRefusedError: The model, or what it was fed, is at fault.
        UnsupportedError: onnxruntime lacks an operator or a kernel.
    """
    try:
        yield
    except ort_errors.NotImplemented as error:
        raise UnsupportedError(
            f"{what}: onnxruntime has no kernel for it: {_reason(error)}",
            hint="export the model with a standard operator in its place",
        ) from error
    except _FAILURES as error:
        reason = _reason(error)
        if any(sign in reason for sign in _NO_KERNEL):
            raise UnsupportedError(
                f"{what}: onnxruntime does not know an operator of it: {reason}",
                hint="export the model with standard operators, or with a lower opset",
            ) from error
        raise InputRefusedError(f"{what}: onnxruntime refuses it: {reason}") from error


def _reason(error: Exception) -> str:
    # "[ONNXRuntimeError] : 1 : FAIL : text" keeps its text; the numbers say nothing to a person.
    return " ".join(str(error).rsplit(" : ", maxsplit=1)[-1].split())[:600]


class _Loaded:
    version: str = ort.__version__

    def __init__(self, session: ort.InferenceSession, name: str) -> None:
        self._session = session
        self._name = name
        self.signature = Signature(
            tuple(_spec(value) for value in session.get_inputs()),
            tuple(_spec(value) for value in session.get_outputs()),
        )
        self._batch = batch_of(self.signature)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        return run_in_batches(inputs, self.signature, self._batch, self._call)

    def prepare(self, inputs: Mapping[str, Array]) -> Callable[[], object]:
        """See `Preparable.prepare`."""
        fed = single_call(inputs, self.signature, self._batch)
        self._call(fed)
        return functools.partial(self._session.run, None, fed)

    def _call(self, inputs: dict[str, Array]) -> list[Array]:
        names = [spec.name for spec in self.signature.outputs]
        with refusing(self._name):
            return [np.asarray(output) for output in self._session.run(names, inputs)]


@dataclass(frozen=True)
class OnnxRuntime:
    """onnxruntime, CPU only."""

    format: ClassVar[Format] = Format.ONNX

    def open(self, path: Path, threads: int) -> _Loaded:
        """Load a model file; see `Engine.open`.

        Raises:
            InputRefusedError: The file is damaged or breaks the rules of its format.
            UnsupportedError: onnxruntime has no kernel for one of its operators.
        """
        with refusing(path.name):
            session = ort.InferenceSession(
                path, session_options(threads), providers=["CPUExecutionProvider"]
            )
        return _Loaded(session, path.name)


def _spec(value: ort.NodeArg) -> TensorSpec:
    if value.type not in _DTYPES:
        raise UnsupportedError(f"'{value.name}' is {value.type}; edgekit handles numeric tensors")
    return TensorSpec(
        value.name,
        _DTYPES[value.type],
        tuple(
            dim
            if isinstance(dim, int) and dim > 0
            else axis_name(dim if isinstance(dim, str) else "", f"{value.name}_{axis}")
            for axis, dim in enumerate(value.shape)
        ),
    )
