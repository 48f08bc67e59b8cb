"""Run a model file on samples, in a limited child process."""

from dataclasses import dataclass
from pathlib import Path

from edgekit.core.artifact import Artifact, Format
from edgekit.core.process import Limits, Task, call
from edgekit.core.progress import SILENT, Progress
from edgekit.core.samples import Samples, open_arrays
from edgekit.core.tensors import Array
from edgekit.runtimes.feed import match_names
from edgekit.runtimes.limits import RUN
from edgekit.runtimes.session import require_runtime

ROWS_PER_BATCH = 16
"""Few enough that calibration and verification stay small in memory."""


@dataclass(frozen=True)
class ExecuteRequest:
    """What to run, on what, and where the outputs go; `names` pairs inputs with arrays."""

    path: Path
    format: Format
    samples: Samples
    names: dict[str, str]
    out: Path
    threads: int


@dataclass(frozen=True)
class Executed:
    """What ran the model."""

    version: str


_TASK = Task("edgekit.runtimes.execute_child:run", ExecuteRequest, Executed, kept=True)


def execute(
    artifact: Artifact,
    samples: Samples,
    out: Path,
    *,
    limits: Limits = RUN,
    progress: Progress = SILENT,
    threads: int = 1,
) -> dict[str, Array]:
    """Run a model on every sample and return its outputs, memory-mapped from the folder `out`.

    Samples go by the names of the inputs, or by their order where no name agrees.

    Returns:
        One array `[samples, ...]` an output, in signature order.

    Raises:
        InputRefusedError: The samples do not fit, the model is damaged, or it crashes.
        UnsupportedError: The runtime lacks an operator, or an output is not one row a sample.
        MissingExtraError: The runtime is not installed.
        TargetUnavailableError: It did not finish in time.
    """
    require_runtime(artifact.format)
    names = match_names(samples, artifact.signature.inputs)
    request = ExecuteRequest(
        path=artifact.path.absolute(),
        format=artifact.format,
        samples=samples,
        names=names,
        out=out.absolute(),
        threads=threads,
    )
    call(_TASK, request, limits=limits, progress=progress, threads=threads)
    return open_arrays(out)
