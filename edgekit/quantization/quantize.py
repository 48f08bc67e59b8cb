"""Float files to int8 files, in a child process; both formats, one way to say what is wanted."""

import importlib.util
from dataclasses import replace
from pathlib import Path

from edgekit.core.artifact import Artifact, Format, Precision
from edgekit.core.process import Task, call
from edgekit.core.progress import SILENT, Progress
from edgekit.core.samples import Samples
from edgekit.core.target import ANYWHERE, Destination
from edgekit.core.workspace import replacing
from edgekit.errors import MissingExtraError, UnsupportedError
from edgekit.quantization.report import QuantizationReport, QuantizeRequest
from edgekit.quantization.settings import QuantizeSettings
from edgekit.runtimes.feed import match_names
from edgekit.runtimes.limits import RUN
from edgekit.units import format_bytes

_TASKS = {
    Format.ONNX: Task("edgekit.quantization.onnx.static:run", QuantizeRequest, QuantizationReport),
    Format.TFLITE: Task(
        "edgekit.quantization.tflite.static:run", QuantizeRequest, QuantizationReport
    ),
}


def quantize(
    artifact: Artifact,
    samples: Samples,
    settings: QuantizeSettings,
    out: Path,
    *,
    destination: Destination = ANYWHERE,
    progress: Progress = SILENT,
) -> QuantizationReport:
    """Write the int8 form of `artifact`, calibrated on `samples`, to `out`.

    Inputs and outputs keep their names, shapes and float types. Memory does not grow with the
    number of samples. `destination` is what the file is to run on, where that is known: the form
    that is fast on one can be slow on another.

    Raises:
        InputRefusedError: The samples do not fit, or the model is damaged or fails on them.
        UnsupportedError: The model is quantized already, or has nothing to quantize.
        MissingExtraError: TFLite files are quantized by a package that is not installed.
        StorageError: `out` cannot be written.
    """
    refuse_quantized(artifact)
    if artifact.format is Format.TFLITE and importlib.util.find_spec("ai_edge_quantizer") is None:
        missing = MissingExtraError.for_extra("tflite", needed_for="quantizing a .tflite file")
        raise missing
    names = match_names(samples, artifact.signature.inputs)
    used = samples.head(settings.calibration_samples)
    with replacing(out) as partial:
        report = call(
            _TASKS[artifact.format],
            QuantizeRequest(
                artifact=replace(artifact, path=artifact.path.absolute()),
                samples=used,
                names=names,
                settings=settings,
                out=partial.absolute(),
                destination=destination,
            ),
            limits=RUN,
            progress=progress,
        )
    notes = (*_notes(settings, used), *report.notes, *_size_notes(report))
    return replace(report, path=out, notes=notes)


def refuse_quantized(artifact: Artifact) -> None:
    """Refuse to quantize a file a second time.

    Raises:
        UnsupportedError: It is quantized already.
    """
    if artifact.precision is Precision.INT8:
        raise UnsupportedError(
            f"{artifact.path} is quantized already",
            hint="quantize the float file that it was made from, or pass this one through with "
            "allow_quantized (--allow-quantized)",
        )


def _notes(settings: QuantizeSettings, used: Samples) -> tuple[str, ...]:
    notes = []
    if settings.random_calibration:
        notes.append(
            "calibrated on random data, as asked: ranges, and so accuracy, mean nothing for "
            "real inputs"
        )
    if used.count < settings.calibration_samples:
        notes.append(
            f"calibrated on {used.count} sample{'s' * (used.count > 1)}; "
            f"{settings.calibration_samples} were asked for, and there are no more"
        )
    return tuple(notes)


def _size_notes(report: QuantizationReport) -> tuple[str, ...]:
    if report.size_bytes < report.float_size_bytes:
        return ()
    note = (
        f"the int8 file ({format_bytes(report.size_bytes)}) is not smaller than the float file "
        f"({format_bytes(report.float_size_bytes)}): scales and conversions take more bytes than "
        "int8 weights save"
    )
    return (note,)
