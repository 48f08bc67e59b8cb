"""Runs a float ONNX model with its inner tensors laid open."""

from collections.abc import Iterator, Mapping, Sequence

import onnx
import onnxruntime

from edgekit.core.progress import SILENT, Progress
from edgekit.core.tensors import Array
from edgekit.errors import InputRefusedError
from edgekit.quantization.calibration import Stream
from edgekit.quantization.onnx.graph import float_tensors, onnxruntime_errors
from edgekit.quantization.report import QuantizeRequest
from edgekit.quantization.sensitivity import SAMPLES

_ROWS_AT_ONCE = 4
"""Few enough that the inner tensors of one run stay small beside the model itself."""


def onnx_stream(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    request: QuantizeRequest,
    progress: Progress = SILENT,
    *,
    rows: int = _ROWS_AT_ONCE,
) -> Stream:
    """Return a stream of the float `tensors` of `model` over the samples of `request`.

    A model with a free batch gets `rows` samples a run.

    Raises:
        InputRefusedError: onnxruntime cannot load the model.
    """
    # The model was folded before; what was laid open must stay as it is named.
    session = _session(
        _laid_open(model, tensors), onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    fed = {spec.name for spec in request.artifact.signature.inputs}
    computed = [name for name in tensors if name not in fed]

    def run() -> Iterator[Mapping[str, Array]]:
        for done, inputs in request.batches(rows):
            try:
                values = session.run(computed, inputs) if computed else []
            except onnxruntime_errors() as error:
                raise InputRefusedError(f"onnxruntime cannot run the model: {error}") from error
            yield _inputs_among(tensors, inputs) | dict(zip(computed, values, strict=True))
            progress.update("calibrate", done, request.samples.count)

    return run


def onnx_sizes(
    model: onnx.ModelProto, tensors: Sequence[str], request: QuantizeRequest
) -> dict[str, int]:
    """Return how many values each of the float `tensors` has for the first sample.

    Raises:
        InputRefusedError: onnxruntime cannot load or run the model.
    """
    first = next(iter(onnx_stream(model, tensors, request, rows=1)()))
    return {name: values.size for name, values in first.items()}


def onnx_outputs(model: onnx.ModelProto, request: QuantizeRequest) -> list[list[Array]]:
    """Return the float outputs of `model` on the first samples, a list a batch.

    Raises:
        InputRefusedError: onnxruntime cannot load or run the model.
    """
    session = _session(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    names = [o.name for o in session.get_outputs() if o.type == "tensor(float)"]
    outputs: list[list[Array]] = []
    for done, inputs in request.batches(_ROWS_AT_ONCE):
        try:
            outputs.append(session.run(names, inputs) if names else [])
        except onnxruntime_errors() as error:
            raise InputRefusedError(f"onnxruntime cannot run the model: {error}") from error
        if done >= SAMPLES:
            break
    return outputs


def _inputs_among(tensors: Sequence[str], inputs: Mapping[str, Array]) -> dict[str, Array]:
    return {name: inputs[name] for name in tensors if name in inputs}


def _laid_open(model: onnx.ModelProto, tensors: Sequence[str]) -> onnx.ModelProto:
    """Return a copy of `model` whose outputs are also `tensors`."""
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    known = float_tensors(model.graph)
    outside = {info.name for info in (*model.graph.output, *model.graph.input)}
    open_model.graph.output.extend(known[name] for name in tensors if name not in outside)
    return open_model


def _session(
    model: onnx.ModelProto, level: onnxruntime.GraphOptimizationLevel
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except onnxruntime_errors() as error:
        raise InputRefusedError(f"onnxruntime cannot load the model: {error}") from error
