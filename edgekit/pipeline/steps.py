"""Each step of a run: what it takes, what it gives, and what of it is kept."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit.config.recipe import Recipe
from edgekit.config.sections import FactoryModel, FileData, FileModel, FunctionData
from edgekit.core.artifact import Artifact, Format, Precision, file_sha256
from edgekit.core.data import SplitName
from edgekit.core.model import SavedModel
from edgekit.core.samples import Samples, open_samples
from edgekit.core.target import Destination
from edgekit.core.workspace import storage
from edgekit.errors import InputRefusedError
from edgekit.exporting.settings import ExportSettings
from edgekit.fetching.packages import fetch
from edgekit.loading.artifact import open_artifact
from edgekit.loading.npz import read_npz
from edgekit.loading.onnx_normalize import normalize_onnx
from edgekit.loading.source import SOURCE_FILE, OnnxSource, Source
from edgekit.pipeline import tasks
from edgekit.pipeline.data_checks import Splits
from edgekit.pipeline.onnx_file import told_as
from edgekit.pipeline.stages import Stage
from edgekit.pipeline.workbench import Workbench
from edgekit.pruning.settings import PruneSettings
from edgekit.quantization.quantize import quantize as quantize_file
from edgekit.quantization.random_calibration import random_samples
from edgekit.quantization.report import QuantizationReport
from edgekit.quantization.settings import QuantizeSettings
from edgekit.training.settings import FitSettings
from edgekit.verification.settings import VerifySettings

STAYS_FLOAT = "stays float: "
"""What the notes on an int8 file begin with that name operators in float."""


@dataclass(frozen=True)
class Made:
    """What a step that leaves files has to say about them."""

    notes: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A model file that came out of a step."""

    artifact: Artifact
    notes: tuple[str, ...]


def load_splits(workbench: Workbench, recipe: Recipe, *, download: bool) -> Splits:
    """Return the recipe's samples by what they are for.

    Raises:
        UnsupportedError: A package is not at hand, and `download` is not set.
        UsageError: The data function fails.
        InputRefusedError: The arrays cannot be used.
    """

    def make(folder: Path) -> Made:
        if isinstance(recipe.data, FunctionData):
            _call_data_function(workbench, recipe, recipe.data, folder, download=download)
        else:
            for name, file in _files(recipe.data).items():
                read_npz(file, folder / name.value)
        return Made(())

    _, place = workbench.result(Stage.DATA, "", Made, make)
    folders = {name: place / name.value for name in SplitName}
    return {name: open_samples(folder) for name, folder in folders.items() if folder.is_dir()}


def needed(splits: Splits, name: SplitName, step: str) -> Samples:
    """Return a split that `step` cannot do without.

    Raises:
        InputRefusedError: The data has no such split.
    """
    if name not in splits:
        found = ", ".join(split.value for split in splits) or "none"
        raise InputRefusedError(
            f"{step} needs the split '{name.value}', and the data has: {found}",
            hint=f"let the data function return a split called '{name.value}'",
        )
    return splits[name]


def build(workbench: Workbench, recipe: Recipe, splits: Splits) -> tuple[SavedModel, Source]:
    """Return the model as it comes, its weights loaded or learnt, and what it comes from."""
    if recipe.train:
        samples = needed(splits, SplitName.TRAIN, "training")
    else:
        samples = next(iter(splits.values()))

    def make(folder: Path) -> SavedModel:
        given = copy = folder / SOURCE_FILE
        if isinstance(recipe.model, FileModel):
            given = recipe.model.file
            normalize_onnx(given, copy, raise_opset=False)
        source, labels = _source(recipe, folder, samples), _label_uses(recipe, splits)
        request = tasks.BuildRequest(source, samples, recipe.train, folder, labels)
        with told_as(given, copy):
            return workbench.call(tasks.BUILD, request, threads=_threads(recipe.train))

    made, place = workbench.result(Stage.MODEL, "", SavedModel, make)
    return _saved(made, place), _source(recipe, place, samples)


def prune(
    workbench: Workbench,
    source: Source,
    model: SavedModel,
    samples: Samples,
    settings: PruneSettings,
) -> SavedModel:
    """Return the model with fewer channels."""

    def make(folder: Path) -> SavedModel:
        return workbench.call(
            tasks.PRUNE, tasks.PruneRequest(source, model, samples, settings, folder)
        )

    return _saved(*workbench.result(Stage.PRUNE, "", SavedModel, make))


def finetune(workbench: Workbench, request: tasks.FinetuneRequest) -> SavedModel:
    """Return the pruned model, fitted again with the whole one as its teacher."""

    def make(folder: Path) -> SavedModel:
        return workbench.call(
            tasks.FINETUNE, replace(request, directory=folder), threads=request.fit.threads
        )

    return _saved(*workbench.result(Stage.FINETUNE, "", SavedModel, make))


def export(
    workbench: Workbench,
    model: SavedModel,
    samples: Samples,
    file_format: Format,
    settings: ExportSettings,
) -> File:
    """Return the model as a file of one format, checked against PyTorch."""
    name = f"model.{file_format.value}"

    def make(folder: Path) -> Made:
        request = tasks.ExportRequest(model, samples, file_format, settings, folder / name)
        return Made(workbench.call(tasks.EXPORT, request).notes)

    made, place = workbench.result(Stage.EXPORT, file_format.value, Made, make)
    return File(open_artifact(place / name), made.notes)


def take_in(workbench: Workbench, path: Path) -> File:
    """Return a finished model file, put into the form that the later steps count on.

    One that is quantized already stays as it is, except that it takes its external data in.
    """
    artifact = open_artifact(path)
    name = f"model.{artifact.format.value}"

    def make(folder: Path) -> Made:
        is_float = artifact.precision is not Precision.INT8
        if artifact.format is Format.ONNX and (is_float or artifact.size_bytes > _size(path)):
            return Made(normalize_onnx(path, folder / name, raise_opset=is_float))
        (folder / name).write_bytes(path.read_bytes())
        return Made(())

    made, place = workbench.result(Stage.EXPORT, artifact.format.value, Made, make)
    return File(open_artifact(place / name), made.notes)


def quantize(
    workbench: Workbench,
    file: Artifact,
    splits: Splits,
    settings: QuantizeSettings,
    destination: Destination,
) -> File:
    """Return the int8 form of a float file, calibrated on the calibration split."""
    name = f"model.int8.{file.format.value}"

    def make(folder: Path) -> QuantizationReport:
        if settings.random_calibration:
            rng = np.random.default_rng(0)
            count = settings.calibration_samples
            samples = random_samples(file.signature, count, rng, folder / "random")
        else:
            samples = needed(splits, SplitName.CALIBRATION, "quantization")
        return quantize_file(
            file,
            samples,
            settings,
            folder / name,
            destination=destination,
            progress=workbench.progress,
        )

    report, place = workbench.result(Stage.QUANTIZE, file.format.value, QuantizationReport, make)
    left = tuple(f"{STAYS_FLOAT}{why}" for why in report.float_reasons())
    share = (report.int8_share(),) if left else ()
    return File(open_artifact(place / name), (*report.notes, *share, *left))


def _call_data_function(
    workbench: Workbench, recipe: Recipe, data: FunctionData, folder: Path, *, download: bool
) -> None:
    called = recipe.name if recipe.origin.shipped else str(recipe.origin.path)
    packages = {
        name: fetch(name, download=download, progress=workbench.progress, recipe=called)
        for name in data.packages
    }
    source = data.source(recipe.folder, packages)
    workbench.call(tasks.LOAD_DATA, tasks.LoadDataRequest(source, folder))


def _files(data: FileData) -> dict[SplitName, Path]:
    named = {
        SplitName.TRAIN: data.train,
        SplitName.CALIBRATION: data.calibration,
        SplitName.TEST: data.test,
    }
    return {name: file for name, file in named.items() if file is not None}


def _source(recipe: Recipe, folder: Path, samples: Samples) -> Source:
    """Return where the module comes from; a model file lies in `folder`, in normal form."""
    if isinstance(recipe.model, FactoryModel):
        return recipe.model.source(recipe.folder)
    file = folder / SOURCE_FILE
    return OnnxSource(file, file_sha256(file), recipe.folder, samples.example)


def _label_uses(recipe: Recipe, splits: Splits) -> tasks.LabelUses:
    tuned = recipe.finetune
    # A teacher that has all of the loss leaves nothing to the labels.
    by_labels = None if tuned is not None and not tuned.distillation.reads_labels else tuned
    fits = tuple(fit for fit in (recipe.train, by_labels) if fit is not None)
    return tasks.LabelUses(splits, fits, recipe.verify or VerifySettings())


def _size(path: Path) -> int:
    with storage(path):
        return path.stat().st_size


def _saved(saved: SavedModel, place: Path) -> SavedModel:
    return replace(saved, directory=place)


def _threads(settings: FitSettings | None) -> int:
    return settings.threads if settings else 1
