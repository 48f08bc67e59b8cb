"""Bare model files: profiled on a target, and reported on without a run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgekit import __version__
from edgekit.budget.files import file_result
from edgekit.cli.progress import step
from edgekit.cli.samples import named_or_random
from edgekit.config.target import load_target
from edgekit.core.artifact import Artifact
from edgekit.core.progress import Progress
from edgekit.core.results import ArtifactResult, Profile
from edgekit.core.scratch import scratch_folder
from edgekit.core.target import ConnectKind, Runtime
from edgekit.profiling.drawbacks import float_counterpart, larger_notes, slower_notes
from edgekit.profiling.profile import profile
from edgekit.profiling.settings import ProfileSettings
from edgekit.reporting.report import REPORT_VERSION, FilesReport
from edgekit.runtimes.tflite_runtime import misread

_RANDOM_SAMPLES = 16


def profile_all(
    artifacts: Sequence[Artifact],
    target: str,
    settings: ProfileSettings,
    data: Path | None,
    progress: Progress,
    *,
    estimated: bool = False,
) -> tuple[Profile, ...]:
    """Return one profile an artifact, on the inputs in `data` or on random ones.

    `estimated` asks for a quick figure from arithmetic alone; nothing is run then.

    Raises:
        EdgekitError: The target is unknown or cannot be reached, or the inputs do not fit.
    """
    board = load_target(target)
    if estimated:
        board = replace(board, connect=ConnectKind.ROOFLINE)
    with scratch_folder("command") as folder, step(progress, f"profile on {board.name}"):
        samples = named_or_random(data, artifacts[0].signature, _RANDOM_SAMPLES, folder / "data")
        return profile(artifacts, board, samples, settings, progress=progress)


def files_report(
    artifacts: Sequence[Artifact], profiles: Sequence[Sequence[Profile]]
) -> FilesReport:
    """Return a report on files; `profiles` holds one row of profiles a target.

    An int8 file beside the float one that it was made from is told where it is no better, and a
    file that gives wrong answers on the runtime of a target is told that.
    """
    rows = tuple(
        file_result(artifact, *_of_file(artifact, [row[at] for row in profiles]))
        for at, artifact in enumerate(artifacts)
    )

    def noted(row: ArtifactResult) -> ArtifactResult:
        before = float_counterpart(row, rows)
        notes = (*larger_notes(row, before), *slower_notes(row, before, rows)) if before else ()
        return replace(row, notes=(*row.notes, *notes))

    return FilesReport(REPORT_VERSION, __version__, tuple(noted(row) for row in rows), None)


def _of_file(
    artifact: Artifact, profiles: Sequence[Profile]
) -> tuple[tuple[Profile, ...], tuple[str, ...]]:
    runs_there = any(profile.runtime == Runtime.TFLITE_RUNTIME.value for profile in profiles)
    wrong = misread(artifact) if runs_there else ""
    return tuple(profiles), ((wrong,) if wrong else ())
