"""What the commands do to one ONNX file: read it as a module, narrow it, write it anew."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.core.artifact import Artifact, Format, file_sha256
from edgekit.core.model import Change, SavedModel
from edgekit.core.process import call
from edgekit.core.progress import Progress
from edgekit.core.samples import Samples
from edgekit.core.workspace import replacing
from edgekit.errors import EdgekitError, UnsupportedError
from edgekit.exporting.parity import relative_errors
from edgekit.exporting.report import ExportReport
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.artifact import open_artifact
from edgekit.loading.onnx_normalize import normalize_onnx
from edgekit.loading.source import SOURCE_FILE, OnnxSource
from edgekit.pipeline import tasks
from edgekit.pipeline.preflight import refuse_no_float, require_extras
from edgekit.pipeline.workbench import USER_CODE
from edgekit.pruning.settings import PruneSettings
from edgekit.runtimes.execute import execute
from edgekit.runtimes.limits import RUN
from edgekit.training.settings import FitSettings


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file as a PyTorch model, and what it is built from again."""

    model: SavedModel
    source: OnnxSource


def read(artifact: Artifact, samples: Samples, folder: Path, progress: Progress) -> OnnxModel:
    """Read an ONNX file as a PyTorch model that is kept in `folder`.

    Raises:
        UnsupportedError: It is no ONNX file, quantized already, or has operators that cannot be
            read; or the module computes something else than the file.
        InputRefusedError: The file is damaged, or the samples do not fit it.
        MissingExtraError: PyTorch is not installed.
    """
    if artifact.format is not Format.ONNX:
        raise UnsupportedError(
            f"{artifact.path} is a TFLite file, and those cannot be turned back into a module",
            hint="start from the ONNX or PyTorch model that it was made from",
        )
    refuse_no_float(artifact)
    require_extras("reading an ONNX file as a module", ("torch",))
    file = folder / SOURCE_FILE
    normalize_onnx(artifact.path, file, raise_opset=False)
    source = OnnxSource(file, file_sha256(file), folder, samples.example)
    request = tasks.BuildRequest(source, samples, None, folder)
    with told_as(artifact.path, file):
        return OnnxModel(call(tasks.BUILD, request, limits=RUN, progress=progress), source)


@contextlib.contextmanager
def told_as(given: Path, copy: Path) -> Iterator[None]:
    """Let errors of the body name the file that a user gave, not edgekit's copy of it.

    Raises:
        EdgekitError: The body raised it.
    """
    try:
        yield
    except EdgekitError as error:
        # In full, or by its name alone, as runtimes tell it.
        in_full = str(copy) in error.message
        told, name = (copy, given) if in_full else (f"{copy.name}:", f"{given.name}:")
        error.message = error.message.replace(str(told), str(name))
        raise


def prune(
    whole: OnnxModel, samples: Samples, settings: PruneSettings, folder: Path, progress: Progress
) -> OnnxModel:
    """Return the model with fewer channels, kept in `folder`.

    Raises:
        UsageError: Nothing would be removed.
        UnsupportedError: The model has parts that cannot be pruned.
    """
    request = tasks.PruneRequest(whole.source, whole.model, samples, settings, folder)
    model = call(tasks.PRUNE, request, limits=RUN, progress=progress)
    return replace(whole, model=model)


def finetune(
    narrow: OnnxModel, whole: OnnxModel, train: Samples, settings: FitSettings, progress: Progress
) -> OnnxModel:
    """Return the pruned model, fitted to `train` with the whole one as its teacher.

    Raises:
        UsageError: The loss stopped being a number.
        InputRefusedError: The samples or their labels do not fit.
        UnsupportedError: The file fixes its batch, and the module insists on it.
    """
    folder = narrow.model.directory / "tuned"
    request = tasks.FinetuneRequest(
        narrow.source, narrow.model, whole.model, train, settings, folder
    )
    model = call(
        tasks.FINETUNE, request, limits=USER_CODE, progress=progress, threads=settings.threads
    )
    return replace(narrow, model=model)


def write(
    one: OnnxModel, samples: Samples, file_format: Format, out: Path, progress: Progress
) -> ExportReport:
    """Write the model as a file, checked against PyTorch on `samples`.

    Raises:
        UnsupportedError: The format cannot hold the model, or what came out computes something
            else.
        MissingExtraError: The converter is not installed.
        StorageError: `out` cannot be written.
    """
    if file_format is Format.TFLITE:
        require_extras("writing TFLite files", ("torch", "tflite", "all"))
    settings = ExportSettings(formats=(file_format,))
    with replacing(out) as partial:
        request = tasks.ExportRequest(one.model, samples, file_format, settings, partial.absolute())
        report = call(tasks.EXPORT, request, limits=RUN, progress=progress)
    return replace(report, path=out)


@dataclass(frozen=True)
class Converted:
    """A file of another format, and how close it is to the ONNX file on the same samples.

    `history` says how the ONNX file was read.
    """

    artifact: Artifact
    relative_error: float
    output: str
    samples: int
    history: tuple[Change, ...]
    notes: tuple[str, ...]


def to_tflite(
    artifact: Artifact, samples: Samples, out: Path, folder: Path, progress: Progress
) -> Converted:
    """Write an ONNX file as a TFLite file and hold the two against each other.

    Raises:
        UnsupportedError: The file has operators that cannot be read or converted, or what came
            out computes something else.
        InputRefusedError: The file is damaged, or the samples do not fit it.
        MissingExtraError: PyTorch or the converter is not installed.
        StorageError: `out` cannot be written.
    """
    some = samples.head(ExportSettings().check_samples)
    one = read(artifact, samples, folder, progress)
    report = write(one, some, Format.TFLITE, out, progress)
    made = open_artifact(out)
    found = execute(made, some, folder / "found", progress=progress)
    wanted = execute(artifact, some, folder / "wanted", progress=progress)
    # The names of outputs agree, or else their order does.
    errors = relative_errors(wanted, dict(zip(wanted, found.values(), strict=True)))
    worst = max(errors, key=lambda name: errors[name])
    return Converted(made, errors[worst], worst, some.count, one.model.history, report.notes)
