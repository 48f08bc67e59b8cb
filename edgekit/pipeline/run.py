"""The whole way of one recipe: load, prune, export, quantize, verify, profile, judge."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edgekit import __version__
from edgekit.budget.judge import judge
from edgekit.config.recipe import Recipe
from edgekit.config.sections import FileModel
from edgekit.core.artifact import Artifact, Format, Precision
from edgekit.core.data import SplitName
from edgekit.core.model import SavedModel
from edgekit.core.progress import Progress
from edgekit.core.results import SCHEMA_VERSION, ArtifactResult, RunRecord, StepFailure
from edgekit.core.samples import Samples
from edgekit.core.target import Runtime
from edgekit.core.tensors import Array
from edgekit.core.workspace import Workspace
from edgekit.errors import EdgekitError, InputRefusedError, TargetUnavailableError, UnsupportedError
from edgekit.loading.artifact import open_artifact
from edgekit.pipeline import data_checks, findings, old_runtime, steps, tasks
from edgekit.pipeline.data_checks import Splits
from edgekit.pipeline.fingerprint import library_versions
from edgekit.pipeline.preflight import refuse_what_cannot_run
from edgekit.pipeline.record import Outputs, publish, results_of
from edgekit.pipeline.rows import FLOAT_ROW, INT8_ROW, Line, Row
from edgekit.pipeline.shortfall import with_shortfalls
from edgekit.pipeline.stages import (
    Stage,
    by_target,
    destination_of,
    is_as_it_came,
    on_tflite_runtime,
    plan,
)
from edgekit.pipeline.steps import File
from edgekit.pipeline.workbench import Workbench
from edgekit.profiling.drawbacks import with_drawbacks
from edgekit.profiling.machine import describe_machine
from edgekit.verification.metric import metric_name
from edgekit.verification.settings import VerifySettings


@dataclass(frozen=True)
class RunOptions:
    """How a recipe is run, whatever it says.

    `from_stage` makes that stage and all after it again, `download` allows the network for the
    packages that the recipe lists, and `output` is where the files go, if not the workspace.
    """

    workspace: Workspace
    from_stage: Stage | None = None
    download: bool = False
    output: Path | None = None


@dataclass
class Run:
    """One run while it goes on: its rows so far, and what failed on the way."""

    recipe: Recipe
    workbench: Workbench
    lines: list[Line] = field(default_factory=list)
    failures: list[StepFailure] = field(default_factory=list)

    @contextlib.contextmanager
    def going_on(self, step: str) -> Iterator[None]:
        """Note a failure of the body that leaves the other formats and targets their way."""
        try:
            yield
        except (InputRefusedError, UnsupportedError, TargetUnavailableError) as error:
            self.note(step, error)

    def note(self, step: str, error: EdgekitError) -> None:
        """Remember what failed; the rest of the run goes on."""
        self.failures.append(StepFailure(step, error.message, error.hint, error.exit_code))


def run_recipe(recipe: Recipe, options: RunOptions, progress: Progress) -> RunRecord:
    """Do all that a recipe asks for, and return what was found out.

    Finished steps are kept in the workspace, and found there by the next run. A format or a
    target that fails ends up in the record's `failures`; the others go on.

    Raises:
        MissingExtraError: Something that the recipe needs is not installed.
        EdgekitError: The data or the model itself failed.
    """
    refuse_what_cannot_run(recipe)
    started = dt.datetime.now(dt.UTC)
    planned = plan(recipe, options.workspace, options.from_stage)
    run = Run(recipe, Workbench(options.workspace, planned, progress))
    splits = steps.load_splits(run.workbench, recipe, download=options.download)
    refuse_wrong_data(recipe, splits)
    if recipe.needs_module:
        export_all(run, shrink(run, splits), splits)
    elif isinstance(recipe.model, FileModel):
        add_files(run, steps.take_in(run.workbench, recipe.model.file), None, splits)
    run.lines[0] = run.lines[0].noting(data_checks.scale_notes(splits))
    if SplitName.CALIBRATION in splits:
        same = data_checks.sameness_notes(splits[SplitName.CALIBRATION])
        run.lines[0] = run.lines[0].noting(same)
    rows = compare(run, splits)
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        edgekit_version=__version__,
        recipe=recipe.name,
        recipe_sha256=recipe.origin.sha256,
        data_sha256={name.value: samples.fingerprint for name, samples in splits.items()},
        started=started.isoformat(timespec="seconds"),
        host={"machine": describe_machine()},
        versions=library_versions(),
        seeds=seeds(recipe),
        artifacts=rows,
        verdict=judge(recipe.budget, rows, baseline=None) if recipe.budget else None,
        failures=tuple(run.failures),
    )
    publish(run.lines, record, options.output or options.workspace.run_directory(recipe.name))
    return record


def refuse_wrong_data(recipe: Recipe, splits: Splits) -> None:
    """Refuse data that a later step would fail on, before any work is done.

    Raises:
        InputRefusedError: The splits differ, one is missing, or they do not fit the model's
            file or the metric.
    """
    verify = recipe.verify or VerifySettings()
    data_checks.refuse_unlike_splits(splits)
    data_checks.refuse_missing_splits(splits, recipe)
    data_checks.refuse_other_labels(splits, verify)
    data_checks.refuse_blank_labels(splits, recipe)
    if isinstance(recipe.model, FileModel):
        signature = open_artifact(recipe.model.file).signature
        data_checks.refuse_misfits(splits, signature)
        data_checks.refuse_unfit_test_labels(splits, verify, signature)


def shrink(run: Run, splits: Splits) -> Line:
    """Build the model, prune and fine-tune it, and return the row of what is exported."""
    recipe, came_from = run.recipe, None
    if isinstance(recipe.model, FileModel):
        came_from = Row.SOURCE
        run.lines.append(Line(came_from, open_artifact(recipe.model.file), None))
    whole, source = steps.build(run.workbench, recipe, splits)
    verify = recipe.verify or VerifySettings()
    data_checks.refuse_unfit_test_labels(splits, verify, whole.signature)
    run.lines.append(Line(Row.PYTORCH, whole, came_from))
    if recipe.prune is None:
        return run.lines[-1]
    samples = steps.needed(splits, SplitName.CALIBRATION, "pruning")
    pruned = steps.prune(run.workbench, source, whole, samples, recipe.prune)
    if recipe.finetune is not None:
        train = steps.needed(splits, SplitName.TRAIN, "fine-tuning")
        request = tasks.FinetuneRequest(source, pruned, whole, train, recipe.finetune, Path())
        pruned = steps.finetune(run.workbench, request)
    run.lines.append(Line(Row.PRUNED, pruned, Row.PYTORCH))
    return run.lines[-1]


def export_all(run: Run, line: Line, splits: Splits) -> None:
    """Write a model in every format that the recipe names, float and int8."""
    settings = run.recipe.export
    if settings is None:
        return
    model, given = line.subject, run.recipe.model
    assert isinstance(model, SavedModel), "only a PyTorch model is exported"
    samples = splits.get(SplitName.CALIBRATION, next(iter(splits.values())))
    for file_format in settings.formats:
        with run.going_on(f"export {file_format.value}"):
            if isinstance(given, FileModel) and is_as_it_came(run.recipe, file_format):
                add_files(run, steps.take_in(run.workbench, given.file), Row.SOURCE, splits)
            else:
                file = steps.export(run.workbench, model, samples, file_format, settings)
                add_files(run, file, line.row, splits)


def add_files(run: Run, file: File, made_from: Row | None, splits: Splits) -> None:
    """Add the row of a file, and that of its int8 form where the recipe asks for it."""
    file_format = file.artifact.format
    if file.artifact.precision is Precision.INT8:
        notes = (*file.notes, "it came quantized, and is passed through as it is")
        run.lines.append(Line(INT8_ROW[file_format], file.artifact, made_from, notes))
        return
    run.lines.append(Line(FLOAT_ROW[file_format], file.artifact, made_from, file.notes))
    if run.recipe.quantize is None:
        return
    with run.going_on(f"quantize {file_format.value}"):
        runs_on = destination_of(run.recipe, file_format)
        small = steps.quantize(run.workbench, file.artifact, splits, run.recipe.quantize, runs_on)
        row = Line(INT8_ROW[file_format], small.artifact, FLOAT_ROW[file_format], small.notes)
        run.lines.append(row)


def compare(run: Run, splits: Splits) -> tuple[ArtifactResult, ...]:
    """Run every row on the test samples and profile it on every target of the recipe."""
    test = splits.get(SplitName.TEST)
    verify = run.recipe.verify or VerifySettings()
    outputs, scores = {}, {}
    if test is not None:
        for line in run.lines:
            with run.going_on(f"verify {line.row.value}"):
                outputs[line.row] = findings.outputs(run.workbench, line, test)
                if verify.function:
                    folder = run.recipe.folder
                    scores[line.row] = findings.score(
                        run.workbench, line, test, verify.function, folder
                    )
        if Runtime.TFLITE_RUNTIME in destination_of(run.recipe, Format.TFLITE).runtimes:
            check_there(run, outputs, test)
    samples = test or next(iter(splits.values()))
    profiles = []
    for settings in by_target(run.recipe.profile):
        with run.going_on(f"profile {settings.targets[0]}"):
            profiles.append(findings.profiles(run.workbench, run.lines, samples, settings))
    labels = None if verify.function else fitting_labels(run, outputs, test, verify)
    rows = results_of(run.lines, outputs, labels, profiles, verify, scores)
    if run.recipe.quantize is not None and run.recipe.quantize.min_sqnr_db:
        rows = with_shortfalls(rows, run.recipe.quantize.min_sqnr_db)
    return with_drawbacks(rows)


def check_there(run: Run, outputs: Outputs, test: Samples) -> None:
    """Run the TFLite files on tflite-runtime, which a target has, and note how right they are."""
    unchecked = old_runtime.why_unchecked()
    for place, line in enumerate(run.lines):
        if line.row in outputs and line.row in {FLOAT_ROW[Format.TFLITE], INT8_ROW[Format.TFLITE]}:
            assert isinstance(line.subject, Artifact), "only files are of a format"
            with run.going_on(f"verify {on_tflite_runtime(line.row)}"):
                note = unchecked
                if not unchecked:
                    given = findings.outputs_on_tflite_runtime(
                        run.workbench, line.row, line.subject, test
                    )
                    reference = outputs.get(FLOAT_ROW[Format.TFLITE], outputs[line.row])
                    note = old_runtime.compared(reference, outputs[line.row], given)
                run.lines[place] = line.noting([note])


def fitting_labels(
    run: Run, outputs: Outputs, test: Samples | None, settings: VerifySettings
) -> Array | None:
    """Return the test labels, `[samples, ...]`, if they fit the outputs; else note a failure."""
    if test is None or not test.has_labels or not outputs:
        return None
    first = next(iter(next(iter(outputs.values())).values()))
    labels = test.labels()
    try:
        settings.metric.value(first, labels)
    except InputRefusedError as error:
        run.note(f"verify {metric_name(settings.metric)}", error)
        return None
    return labels


def seeds(recipe: Recipe) -> dict[str, int]:
    """Return every seed that the recipe's steps used, by section."""
    sections = {"train": recipe.train, "prune": recipe.prune, "finetune": recipe.finetune}
    return {name: section.seed for name, section in sections.items() if section}
