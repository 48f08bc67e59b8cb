"""What is found out about the rows of a run: their outputs, and what they cost on a target."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgekit.config.target import load_target
from edgekit.core.artifact import Artifact
from edgekit.core.model import SavedModel
from edgekit.core.results import Profile, Unavailable
from edgekit.core.samples import Samples, open_arrays
from edgekit.core.target import ConnectKind, Target
from edgekit.core.tensors import Array
from edgekit.emulation.setup import emulator
from edgekit.errors import TargetUnavailableError
from edgekit.pipeline import tasks
from edgekit.pipeline.rows import Line, Row
from edgekit.pipeline.stages import Stage, on_tflite_runtime, score_of
from edgekit.pipeline.workbench import Workbench
from edgekit.profiling.machine import describe_machine
from edgekit.profiling.profile import profile, unreached
from edgekit.profiling.settings import ProfileSettings
from edgekit.runtimes.execute import execute
from edgekit.runtimes.tflite_runtime import execute_there
from edgekit.verification.scoring import Score

_OUTPUTS = "outputs"


@dataclass(frozen=True)
class Executed:
    """Says that the outputs are there."""

    samples: int


@dataclass(frozen=True)
class Profiles:
    """What rows cost on one target, by the row's label; a row that cannot run there is absent."""

    by_row: dict[str, Profile]


def outputs(workbench: Workbench, line: Line, samples: Samples) -> dict[str, Array]:
    """Return what a row's model gives on `samples`: arrays `[samples, ...]`, memory-mapped."""
    subject = line.subject

    def make(folder: Path) -> Executed:
        if isinstance(subject, SavedModel):
            workbench.call(tasks.EXECUTE, tasks.ExecuteRequest(subject, samples, folder / _OUTPUTS))
        else:
            execute(subject, samples, folder / _OUTPUTS, progress=workbench.progress)
        return Executed(samples.count)

    _, place = workbench.result(Stage.VERIFY, line.row.value, Executed, make)
    return open_arrays(place / _OUTPUTS)


def outputs_on_tflite_runtime(
    workbench: Workbench, row: Row, artifact: Artifact, samples: Samples
) -> dict[str, Array]:
    """Return what a row's file gives on tflite-runtime: arrays `[samples, ...]`, memory-mapped.

    Raises:
        InputRefusedError: The file makes the runtime fail or crash.
        UnsupportedError: The runtime is not set up, or lacks a kernel.
    """

    def make(folder: Path) -> Executed:
        execute_there(artifact, samples, folder / _OUTPUTS, progress=workbench.progress)
        return Executed(samples.count)

    _, place = workbench.result(Stage.VERIFY, on_tflite_runtime(row), Executed, make)
    return open_arrays(place / _OUTPUTS)


def score(
    workbench: Workbench, line: Line, samples: Samples, function: str, code_directory: Path
) -> Score:
    """Return what the recipe's scoring function makes of a row's model."""
    subject = line.subject

    def make(_: Path) -> Score:
        task = tasks.SCORE_MODULE if isinstance(subject, SavedModel) else tasks.SCORE_FILE
        return workbench.call(task, tasks.ScoreRequest(subject, samples, function, code_directory))

    found, _ = workbench.result(Stage.VERIFY, score_of(line.row), Score, make)
    return found


def profiles(
    workbench: Workbench,
    lines: Sequence[Line],
    samples: Samples,
    settings: ProfileSettings,
) -> Profiles:
    """Return what every row costs on the one target of `settings`; files are timed in turns.

    Where the emulator is not set up, a board's profiles say so, and nothing of it is kept.
    """
    (name,) = settings.targets
    target = load_target(name)
    step = workbench.plan[Stage.PROFILE, name]
    why = _not_set_up(target) if step.has_work else None
    if why is not None:
        workbench.progress.update(step.label, 1, 1, "not set up")
        rows = {line.row.value: line.subject for line in lines}
        files = {name: one for name, one in rows.items() if isinstance(one, Artifact)}
        return Profiles(dict(zip(files, unreached([*files.values()], target, why), strict=True)))

    def make(_: Path) -> Profiles:
        files = [(line, line.subject) for line in lines if isinstance(line.subject, Artifact)]
        of_files = profile(
            [file for _, file in files], target, samples, settings, progress=workbench.progress
        )
        found = {line.row.value: one for (line, _), one in zip(files, of_files, strict=True)}
        # PyTorch runs here and nowhere else; on a board its rows have no figures at all.
        for line in lines if target.connect is ConnectKind.HOST else ():
            if isinstance(line.subject, SavedModel):
                model = line.subject
                found[line.row.value] = _module(workbench, model, target, samples, settings)
        return Profiles(found)

    found, _ = workbench.result(Stage.PROFILE, name, Profiles, make)
    return found


def _not_set_up(target: Target) -> Unavailable | None:
    """Say why a target is out of reach of this machine, whatever is to run on it."""
    if target.connect is not ConnectKind.EMULATOR:
        return None
    try:
        emulator()
    except TargetUnavailableError as error:
        return Unavailable(f"{error.message}; {error.hint}")
    return None


def _module(
    workbench: Workbench,
    model: SavedModel,
    target: Target,
    samples: Samples,
    settings: ProfileSettings,
) -> Profile:
    threads = settings.threads_on(target)
    request = tasks.TimeRequest(model, samples, settings, threads)
    timed = workbench.call(tasks.TIME, request, threads=threads)
    return Profile(
        target=target.name,
        machine=describe_machine(),
        runtime="torch",
        runtime_version=timed.version,
        artifact_sha256=model.sha256,
        latency=timed.latency,
        load_ns=timed.load_ns,
        peak_memory_bytes=timed.peak_memory_bytes,
        size=Unavailable("a PyTorch model is no file that a device runs"),
        int8_macs_percent=Unavailable("a PyTorch model is no file that a device runs"),
    )
