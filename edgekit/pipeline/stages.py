"""What a run consists of, and what each part's result depends on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from edgekit.config.recipe import Recipe
from edgekit.config.sections import FileData, FileModel
from edgekit.config.target import load_target
from edgekit.core import wire
from edgekit.core.artifact import Format, Precision
from edgekit.core.registry import did_you_mean
from edgekit.core.target import Destination, Runtime
from edgekit.core.workspace import Workspace, digest
from edgekit.errors import UsageError
from edgekit.loading.artifact import open_artifact
from edgekit.pipeline.destination import destination
from edgekit.pipeline.fingerprint import (
    code_digest,
    file_digest,
    library_versions,
    package_digest,
)
from edgekit.pipeline.rows import FLOAT_ROW, INT8_ROW, Row
from edgekit.profiling.machine import describe_machine
from edgekit.profiling.settings import ProfileSettings
from edgekit.training.settings import FitSettings


class Stage(Enum):
    """A step of the pipeline, in order; the value is what a person calls it."""

    DATA = "data"
    MODEL = "model"
    PRUNE = "prune"
    FINETUNE = "finetune"
    EXPORT = "export"
    QUANTIZE = "quantize"
    VERIFY = "verify"
    PROFILE = "profile"

    @property
    def position(self) -> int:
        """Where in the order it stands, from 0."""
        return list(Stage).index(self)


def stage_called(name: str) -> Stage:
    """Return the stage of that name.

    Raises:
        UsageError: There is none; the message names the closest.
    """
    names = [stage.value for stage in Stage]
    if name not in names:
        raise UsageError(
            f"unknown stage '{name}'{did_you_mean(name, names)}", hint=f"known: {', '.join(names)}"
        )
    return Stage(name)


@dataclass(frozen=True)
class PlannedStep:
    """One result of a run: its stage, and the subject where a stage has several results.

    `key` is a digest of all it depends on; `cached` says that it is there already, `afresh`
    that it is made again all the same.
    """

    stage: Stage
    subject: str
    key: str
    cached: bool
    afresh: bool

    @property
    def label(self) -> str:
        """The step in words, such as `export tflite`."""
        return f"{self.stage.value} {self.subject}".strip()

    @property
    def has_work(self) -> bool:
        """Whether this step has to run."""
        return self.afresh or not self.cached


Plan = Mapping[tuple[Stage, str], PlannedStep]
"""The steps of a run in order, by stage and subject."""


def plan(recipe: Recipe, workspace: Workspace, from_stage: Stage | None = None) -> Plan:
    """Return every step that a recipe asks for; nothing runs.

    A step's key is made of its settings, the code and libraries it uses and the keys before
    it, so a changed setting reruns what depends on it and nothing else.

    Raises:
        UsageError: The recipe names a target that does not exist.
        ConfigError: A target's file is wrong.
    """
    steps: dict[tuple[Stage, str], PlannedStep] = {}
    for stage, subject, key in _Keys(recipe).all():
        afresh = from_stage is not None and stage.position >= from_stage.position
        cached = workspace.has(stage.value, key)
        steps[stage, subject] = PlannedStep(stage, subject, key, cached, afresh)
    return steps


Keyed = tuple[Stage, str, str]
"""Stage, subject and key of one result."""


def score_of(row: Row) -> str:
    """Return the subject of the step in which the recipe's own function scores a row."""
    return f"{row.value} score"


def is_as_it_came(recipe: Recipe, file_format: Format) -> bool:
    """Whether a format's float file is the recipe's own file, which needs no export."""
    is_file = isinstance(recipe.model, FileModel) and not recipe.changes_model
    return is_file and file_format is Format.ONNX


def by_target(settings: ProfileSettings | None) -> tuple[ProfileSettings, ...]:
    """Return the settings for one target each."""
    if settings is None:
        return ()
    return tuple(replace(settings, targets=(name,)) for name in settings.targets)


def destination_of(recipe: Recipe, file_format: Format) -> Destination:
    """Return what files of a format are to run on, by the targets of a recipe.

    Raises:
        UsageError: The recipe names a target that does not exist.
        ConfigError: A target's file is wrong.
    """
    return destination(recipe.profile.targets if recipe.profile else (), file_format)


def on_tflite_runtime(row: Row) -> str:
    """Return the subject of the step in which a row runs on tflite-runtime."""
    return f"{row.value} on {Runtime.TFLITE_RUNTIME.value}"


class _Keys:
    """Works the keys of one recipe out, each from those before it."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._base = digest(package_digest(), sorted(library_versions().items()))
        self._rows: dict[Row, str] = {}
        model = recipe.model
        self._given = open_artifact(model.file) if isinstance(model, FileModel) else None

    def all(self) -> Iterator[Keyed]:
        """Yield stage, subject and key of every result, in order."""
        data = self._data()
        yield Stage.DATA, "", data
        if self._recipe.needs_module:
            yield from self._module(data)
        elif self._given is not None and self._given.precision is Precision.INT8:
            yield Stage.EXPORT, self._given.format.value, self._origin()
            self._rows[INT8_ROW[self._given.format]] = self._origin()
        elif self._given is not None:
            yield from self._file(self._given.format, self._origin(), data)
        for row, key in self._rows.items():
            yield Stage.VERIFY, row.value, digest(key, data)
        if Runtime.TFLITE_RUNTIME in destination_of(self._recipe, Format.TFLITE).runtimes:
            for row in (FLOAT_ROW[Format.TFLITE], INT8_ROW[Format.TFLITE]):
                if row in self._rows:
                    where = on_tflite_runtime(row)
                    yield Stage.VERIFY, where, digest(self._rows[row], data, where)
        if self._recipe.verify and self._recipe.verify.function:
            function = self._recipe.verify.function
            code = code_digest(function, self._recipe.folder)
            for row, key in self._rows.items():
                yield Stage.VERIFY, score_of(row), digest(key, data, code)
        yield from self._profiles(data)

    def _data(self) -> str:
        data = self._recipe.data
        if isinstance(data, FileData):
            files = (data.train, data.calibration, data.test)
            return digest(self._base, *(file_digest(file) for file in files))
        return digest(
            self._base, code_digest(data.function, self._recipe.folder), wire.encode(data)
        )

    def _origin(self) -> str:
        """Return a digest of what the recipe's model is before anything is done to it."""
        model = self._recipe.model
        if isinstance(model, FileModel):
            assert self._given is not None, "a file was looked at first"
            return digest(self._base, self._given.sha256)
        code = code_digest(model.factory, self._recipe.folder)
        return digest(code, sorted(model.options.items()), file_digest(model.weights))

    def _module(self, data: str) -> Iterator[Keyed]:
        recipe = self._recipe
        if self._given is not None:
            self._rows[Row.SOURCE] = self._origin()
        key = digest(data, self._origin(), self._fit(recipe.train))
        yield Stage.MODEL, "", key
        self._rows[Row.PYTORCH] = key
        if recipe.prune:
            key = digest(key, wire.encode(recipe.prune))
            yield Stage.PRUNE, "", key
        if recipe.finetune:
            key = digest(key, self._fit(recipe.finetune))
            yield Stage.FINETUNE, "", key
        if recipe.prune:
            self._rows[Row.PRUNED] = key
        if recipe.export:
            for file_format in recipe.export.formats:
                settings = replace(recipe.export, formats=(file_format,))
                made = digest(key, wire.encode(settings))
                if is_as_it_came(recipe, file_format):
                    made = self._origin()
                yield from self._file(file_format, made, data)

    def _file(self, file_format: Format, key: str, data: str) -> Iterator[Keyed]:
        yield Stage.EXPORT, file_format.value, key
        self._rows[FLOAT_ROW[file_format]] = key
        if self._recipe.quantize:
            runs_on = wire.encode(destination_of(self._recipe, file_format))
            key = digest(key, data, wire.encode(self._recipe.quantize), runs_on)
            yield Stage.QUANTIZE, file_format.value, key
            self._rows[INT8_ROW[file_format]] = key

    def _profiles(self, data: str) -> Iterator[Keyed]:
        for settings in by_target(self._recipe.profile):
            name = settings.targets[0]
            what = (wire.encode(settings), wire.encode(load_target(name)), describe_machine())
            yield Stage.PROFILE, name, digest(*self._rows.values(), data, *what)

    def _fit(self, settings: FitSettings | None) -> str:
        if settings is None:
            return ""
        own = code_digest(settings.function, self._recipe.folder) if settings.function else ""
        return digest(wire.encode(settings), own)
