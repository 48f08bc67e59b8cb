"""Find out what artifacts cost on a target: time, memory, bytes."""

from collections.abc import Sequence

from edgekit.core.artifact import Artifact
from edgekit.core.progress import SILENT, Progress
from edgekit.core.registry import Registry
from edgekit.core.results import Profile, SizeBill, Unavailable
from edgekit.core.samples import Samples
from edgekit.core.target import Target
from edgekit.errors import EdgekitError
from edgekit.profiling.measurement import Measurement, Profiler
from edgekit.profiling.settings import ProfileSettings
from edgekit.profiling.size import size_report
from edgekit.runtimes.feed import match_names

PROFILERS: Registry[Profiler] = Registry("edgekit.profiling.profilers", "profiler")


def profile(
    artifacts: Sequence[Artifact],
    target: Target,
    samples: Samples,
    settings: ProfileSettings,
    *,
    progress: Progress = SILENT,
) -> tuple[Profile, ...]:
    """Return one profile an artifact, in their order, taken together so that they compare.

    Figures that cannot be had of one artifact are `Unavailable` with the reason.

    Raises:
        InputRefusedError: The samples do not fit a model.
        EdgekitError: The target could not be reached, or no artifact could be profiled on it.
    """
    if not artifacts:
        return ()
    for artifact in artifacts:
        match_names(samples, artifact.signature.inputs)
    profiler = PROFILERS.get(target.connect.value)()
    measurements = profiler.profile(artifacts, target, samples, settings, progress)
    return tuple(
        _profile(artifact, target, found)
        for artifact, found in zip(artifacts, measurements, strict=True)
    )


def unreached(
    artifacts: Sequence[Artifact], target: Target, why: Unavailable
) -> tuple[Profile, ...]:
    """Return one profile an artifact of a target that cannot be reached: what holds anywhere."""
    return tuple(
        _profile(
            artifact,
            target,
            Measurement(target.title, target.runtime_of(artifact.format).value, "", why, why, why),
        )
        for artifact in artifacts
    )


def _profile(artifact: Artifact, target: Target, found: Measurement) -> Profile:
    size: SizeBill | Unavailable
    int8_macs_percent: float | Unavailable
    try:
        report = size_report(artifact)
        size, int8_macs_percent = report.bill, report.int8_macs_percent
    except EdgekitError as error:
        size = int8_macs_percent = Unavailable(error.message)
    return Profile(
        target=target.name,
        machine=found.machine,
        runtime=found.runtime,
        runtime_version=found.runtime_version,
        artifact_sha256=artifact.sha256,
        latency=found.latency,
        load_ns=found.load_ns,
        peak_memory_bytes=found.peak_memory_bytes,
        size=size,
        int8_macs_percent=int8_macs_percent,
        emulation=found.emulation,
    )
