"""The sections of a recipe: its model, its data, and what every step is asked to do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Discriminator, Tag

from edgekit.budget.rules import Budget
from edgekit.core.artifact import Format
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.source import DataSource, ModelSource, Option
from edgekit.profiling.settings import ProfileSettings
from edgekit.pruning.settings import PruneSettings
from edgekit.quantization.settings import QuantizeSettings
from edgekit.training.settings import FitSettings
from edgekit.verification.settings import VerifySettings


def _function_name(text: str) -> str:
    module, _, function = text.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), function]):
        raise ValueError(f"write it like 'module:function', found '{text}'")
    return text


def _run_name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", text):
        raise ValueError(f"use up to 64 of a-z, 0-9, '-', '_' and '.', found '{text}'")
    return text


FunctionName = Annotated[str, AfterValidator(_function_name)]
"""`module:function`, such as `my_model:build`."""


@dataclass(frozen=True)
class FactoryModel:
    """A PyTorch model: the function that builds it, and the weights to put into it.

    Attributes:
        factory: The function, as `module:function`; modules lie beside the recipe.
        weights: A `.safetensors` or `.pt` file of plain weights.
        options: The arguments of the function.
    """

    factory: FunctionName
    weights: Path | None = None
    options: dict[str, Option] = field(default_factory=dict)

    def source(self, folder: Path) -> ModelSource:
        """Return it as `loading` takes it; `folder` is the recipe's."""
        return ModelSource(self.factory, folder, self.weights, self.options)


@dataclass(frozen=True)
class FileModel:
    """A model file. What asks for a PyTorch module (pruning, TFLite) reads an `.onnx` as one.

    Attributes:
        file: An `.onnx` or `.tflite` file.
    """

    file: Path


@dataclass(frozen=True)
class FunctionData:
    """Data from a function, as `edgekit.core.data` describes it.

    Attributes:
        function: The function, as `module:function`; modules lie beside the recipe.
        packages: Data packages of edgekit's that it reads; `edgekit doctor` lists them.
    """

    function: FunctionName
    packages: tuple[str, ...] = ()

    def source(self, folder: Path, packages: Mapping[str, Path]) -> DataSource:
        """Return it as `loading` takes it; `packages` are those of the recipe, fetched."""
        return DataSource(self.function, folder, dict(packages))


@dataclass(frozen=True)
class FileData:
    """Data from .npz files: one array per model input, and `labels` where there are any.

    Attributes:
        train: The samples that training and fine-tuning learn from.
        calibration: The samples that quantization observes.
        test: The samples that models are compared on.
    """

    train: Path | None = None
    calibration: Path | None = None
    test: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a section that names no data.

        Raises:
            ValueError: Neither file is given.
        """
        if not any((self.train, self.calibration, self.test)):
            raise ValueError("needs `function`, or `calibration` and `test` files")


def _model_kind(said: object) -> str:
    return "|file" if isinstance(said, Mapping) and "file" in said else "|factory"


def _data_kind(said: object) -> str:
    is_files = isinstance(said, Mapping) and not {"train", "calibration", "test"}.isdisjoint(said)
    return "|files" if is_files else "|function"


ModelSection = Annotated[
    Annotated[FactoryModel, Tag("|factory")] | Annotated[FileModel, Tag("|file")],
    Discriminator(_model_kind),
]
DataSection = Annotated[
    Annotated[FunctionData, Tag("|function")] | Annotated[FileData, Tag("|files")],
    Discriminator(_data_kind),
]


@dataclass(frozen=True, kw_only=True)
class Sections:
    """What a recipe's file says; only three of its sections have to be there.

    Attributes:
        name: What the run is called; its files go to `.edgekit/runs/NAME`.
        title: A sentence for `edgekit recipe list`.
        model: A PyTorch model (`factory`), or a finished file (`file`).
        data: A function that returns samples (`function`), or .npz files.
        train: For a model that comes without weights.
        prune: Channels leave.
        finetune: Gets back what pruning cost, with the whole model as the teacher.
        export: From PyTorch to files.
        quantize: From float files to int8 files.
        verify: How every row is compared with the model that came in.
        profile: What every file costs, and where.
        budget: What the results have to keep to.
    """

    name: Annotated[str, AfterValidator(_run_name)]
    title: str = ""
    model: ModelSection
    data: DataSection
    train: FitSettings | None = None
    prune: PruneSettings | None = None
    finetune: FitSettings | None = None
    export: ExportSettings | None = None
    quantize: QuantizeSettings | None = None
    verify: VerifySettings | None = None
    profile: ProfileSettings | None = None
    budget: Budget | None = None

    @property
    def changes_model(self) -> bool:
        """Whether the weights do not stay what they came as."""
        return any((self.train, self.prune, self.finetune))

    @property
    def needs_module(self) -> bool:
        """Whether a PyTorch module has to be made; a file that is only quantized needs none."""
        if isinstance(self.model, FactoryModel) or self.changes_model:
            return True
        return self.export is not None and Format.TFLITE in self.export.formats

    @property
    def functions(self) -> dict[str, str]:
        """The code that the recipe names and a run executes, by the place that names it."""
        found = {
            "model.factory": self.model.factory if isinstance(self.model, FactoryModel) else "",
            "data.function": self.data.function if isinstance(self.data, FunctionData) else "",
            "train.function": self.train.function if self.train else "",
            "finetune.function": self.finetune.function if self.finetune else "",
            "verify.function": self.verify.function if self.verify else "",
        }
        return {place: function for place, function in found.items() if function}
