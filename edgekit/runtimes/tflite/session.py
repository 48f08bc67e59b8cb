"""A loaded TFLite model, in LiteRT or in the tflite-runtime that came before it."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from edgekit.core.tensors import Array, Signature
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.runtimes.feed import batch_of, run_in_batches, single_call

_NO_KERNEL = (
    "unresolved custom op",
    "Didn't find op for builtin opcode",
    "Select TensorFlow op",
    "not supported by this interpreter",
)


class Interpreter(Protocol):
    """What the interpreters of both runtimes offer; indices are those of tensors."""

    def get_input_details(self) -> Sequence[Mapping[str, Any]]:
        """Return a description of every input."""
        ...

    def get_output_details(self) -> Sequence[Mapping[str, Any]]:
        """Return a description of every output."""
        ...

    def resize_tensor_input(self, index: int, shape: Sequence[int], *, strict: bool) -> None:
        """Give an input another shape."""
        ...

    def allocate_tensors(self) -> None:
        """Make room for all tensors."""
        ...

    def set_tensor(self, index: int, value: Array) -> None:
        """Copy an array in, of the tensor's own shape."""
        ...

    def invoke(self) -> None:
        """Do one inference."""
        ...

    def get_tensor(self, index: int) -> Array:
        """Return a copy of a tensor, shape and all."""
        ...


@contextlib.contextmanager
def refusing_by(runtime: str, what: str) -> Iterator[None]:
    """Turn what a runtime raises in the body into an error about `what`.

    Raises:
        InputRefusedError: The model, or what it was fed, is at fault.
        UnsupportedError: The runtime lacks a kernel.
    """
    try:
        yield
    except (RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:600]
        if any(sign in reason for sign in _NO_KERNEL):
            raise UnsupportedError(
                f"{what}: {runtime} has no kernel for an operator of it: {reason}",
                hint="convert the model with TFLite's built-in operators only",
            ) from error
        raise InputRefusedError(f"{what}: {runtime} refuses it: {reason}") from error


def refusing(what: str) -> contextlib.AbstractContextManager[None]:
    """Turn what LiteRT raises in the body into an error about `what`; see `refusing_by`."""
    return refusing_by("LiteRT", what)


class TfliteSession:
    """A model in an interpreter; `runtime` is the interpreter's name and version."""

    def __init__(
        self, interpreter: Interpreter, signature: Signature, runtime: tuple[str, str], name: str
    ) -> None:
        """Take an interpreter whose tensors are allocated."""
        self._interpreter = interpreter
        self._runtime, self.version = runtime
        self._name = name
        self.signature = signature
        # A file that allows any batch is called a row at a time: resizing to a batch fails for
        # most graphs, because the converter has written 1 into their reshapes.
        self._batch = batch_of(signature) or 1
        self._inputs = {
            spec.name: details["index"]
            for spec, details in zip(signature.inputs, interpreter.get_input_details(), strict=True)
        }
        self._outputs = [details["index"] for details in interpreter.get_output_details()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs of a batch, shape `[rows, ...]` each; see `Session.run`."""
        return run_in_batches(inputs, self.signature, self._batch, self._call)

    def prepare(self, inputs: Mapping[str, Array]) -> Callable[[], object]:
        """See `Preparable.prepare`."""
        fed = single_call(inputs, self.signature, self._batch)
        self._call(fed)
        interpreter = self._interpreter
        places = [(self._inputs[name], array) for name, array in fed.items()]

        def infer() -> list[Array]:
            for index, array in places:
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in self._outputs]

        return infer

    def _call(self, inputs: dict[str, Array]) -> list[Array]:
        with refusing_by(self._runtime, self._name):
            self._fit_shapes(inputs)
            for name, array in inputs.items():
                self._interpreter.set_tensor(self._inputs[name], array)
            self._interpreter.invoke()
            return [np.array(self._interpreter.get_tensor(index)) for index in self._outputs]

    def _fit_shapes(self, inputs: dict[str, Array]) -> None:
        shapes = {
            details["index"]: tuple(details["shape"])
            for details in self._interpreter.get_input_details()
        }
        resized = {
            index: inputs[name].shape
            for name, index in self._inputs.items()
            if inputs[name].shape != shapes[index]
        }
        for index, shape in resized.items():
            self._interpreter.resize_tensor_input(index, shape, strict=True)
        if resized:
            self._interpreter.allocate_tensors()
