"""What a run leaves behind: its rows, its record, and the files in their place."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.core import wire
from edgekit.core.artifact import Artifact
from edgekit.core.results import ArtifactResult, Fidelity, RunRecord, Unavailable
from edgekit.core.tensors import Array
from edgekit.core.workspace import replacing, write_atomic
from edgekit.pipeline.findings import Profiles
from edgekit.pipeline.rows import Line, Row
from edgekit.verification.scoring import Score, scored
from edgekit.verification.settings import VerifySettings
from edgekit.verification.verify import verify

RECORD_FILE = "record.json"
"""The name of a run's record, in the folder of its files."""

Outputs = Mapping[Row, Mapping[str, Array]]
"""What every row's model gave on the test samples."""


def results_of(
    lines: Sequence[Line],
    outputs: Outputs,
    labels: Array | None,
    profiles: Sequence[Profiles],
    settings: VerifySettings,
    scores: Mapping[Row, Score],
) -> tuple[ArtifactResult, ...]:
    """Return one result a row: compared with the first one and with the one it was made from.

    `labels` has shape `[samples, ...]`; `outputs` holds arrays of as many rows. `scores` are of
    the recipe's own function, where it has one.
    """
    first = lines[0]

    def compared(reference: Line | None, line: Line) -> Fidelity | Unavailable:
        if reference is None:
            return Unavailable("this row was not made from another")
        if line.row not in outputs or reference.row not in outputs:
            return Unavailable("there are no test samples")
        fidelity = verify(
            outputs[reference.row],
            outputs[line.row],
            labels,
            settings.metric,
            tolerance=settings.tolerance,
        )
        if line.row not in scores or reference.row not in scores:
            return fidelity
        name = settings.function.partition(":")[2]
        return scored(fidelity, name, scores[reference.row], scores[line.row])

    by_row = {line.row: line for line in lines}
    return tuple(
        ArtifactResult(
            label=line.row.value,
            format=line.subject.format if isinstance(line.subject, Artifact) else None,
            precision=line.precision,
            file=file_name(line),
            sha256=line.subject.sha256,
            size_bytes=line.subject.size_bytes,
            size_ratio=line.subject.size_bytes / first.subject.size_bytes,
            fidelity=compared(first, line),
            profiles=tuple(
                found.by_row[line.row.value] for found in profiles if line.row.value in found.by_row
            ),
            changes=line.changes,
            notes=line.notes,
            made_from=line.made_from.value if line.made_from else "",
            step_fidelity=compared(by_row[line.made_from] if line.made_from else None, line),
        )
        for line in lines
    )


def file_name(line: Line) -> str:
    """Return what a row's file is called among a run's results, if the run made one."""
    if not isinstance(line.subject, Artifact) or line.row is Row.SOURCE:
        return ""
    return f"model.{line.precision.value}.{line.subject.format.value}"


def publish(lines: Sequence[Line], record: RunRecord, folder: Path) -> None:
    """Put a run's files and its record into `folder`, each whole or not at all.

    Raises:
        StorageError: The folder cannot be written to.
    """
    for line in lines:
        name = file_name(line)
        if isinstance(line.subject, Artifact) and name:
            with replacing(folder / name) as partial:
                shutil.copyfile(line.subject.path, partial)
    write_atomic(folder / RECORD_FILE, wire.encode(record))
