"""Quantizes a model that a test made, and compares what it answers with the float one."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx

from edgekit.core.artifact import Artifact, Format
from edgekit.core.process import Task
from edgekit.core.progress import SILENT
from edgekit.core.samples import Samples, save_samples
from edgekit.core.target import ANYWHERE, Destination
from edgekit.core.tensors import Array
from edgekit.loading.artifact import open_artifact
from edgekit.quantization.quantize import quantize
from edgekit.quantization.report import QuantizationReport
from edgekit.quantization.settings import QuantizeSettings
from edgekit.runtimes.session import open_session

Request = TypeVar("Request")
Response = TypeVar("Response")


def call_here(task: Task[Request, Response], request: Request, **_: object) -> Response:
    """Run a child's task in this process: the same work without the start of a Python."""
    module, name = task.entry.split(":")
    response: Response = getattr(importlib.import_module(module), name)(request, SILENT)
    return response


@dataclass(frozen=True)
class Quantized:
    """A float file, the int8 file made from it, and what was said about it."""

    artifact: Artifact
    samples: Samples
    path: Path
    report: QuantizationReport

    @property
    def float_path(self) -> Path:
        return self.artifact.path


def quantized(
    folder: Path,
    file_format: Format,
    model: onnx.ModelProto | bytes,
    settings: QuantizeSettings | None = None,
    destination: Destination = ANYWHERE,
    **inputs: Array,
) -> Quantized:
    """Write `model`, quantize it calibrated on `inputs`, and return both."""
    source = folder / f"float.{file_format.value}"
    source.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    artifact = open_artifact(source)
    assert artifact.format is file_format
    samples = save_samples(folder / "samples", inputs)
    out = folder / "int8"
    report = quantize(
        artifact, samples, settings or QuantizeSettings(), out, destination=destination
    )
    return Quantized(artifact, samples, out, report)


def sqnr_db(made: Quantized) -> float:
    """Return how far the int8 model is from the float one on its calibration samples, in dB."""
    inputs = made.samples.inputs()
    wanted, found = (
        open_session(path, made.artifact.format).run(inputs)
        for path in (made.float_path, made.path)
    )
    signal = np.concatenate([value.ravel() for value in wanted.values()]).astype(np.float64)
    noise = signal - np.concatenate([value.ravel() for value in found.values()])
    return float(10 * np.log10((signal**2).sum() / (noise**2).sum()))
