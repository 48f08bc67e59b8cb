"""Says which int8 files have less signal on the test samples than the recipe asks for."""

from collections.abc import Iterable
from dataclasses import replace

from edgekit.core.artifact import Precision
from edgekit.core.results import ArtifactResult, Fidelity
from edgekit.quantization.sensitivity import SAMPLES


def with_shortfalls(rows: Iterable[ArtifactResult], goal_db: float) -> tuple[ArtifactResult, ...]:
    """Return `rows`, with a note on each int8 one that is less like its float file than asked.

    What quantization tries runs on few samples, and models that go on from what they chose
    themselves may leave the float model's way on others.
    """
    return tuple(
        replace(row, notes=(*row.notes, _note(row.step_fidelity, goal_db)))
        if row.precision is Precision.INT8
        and isinstance(row.step_fidelity, Fidelity)
        and row.step_fidelity.sqnr_db < goal_db
        else row
        for row in rows
    )


def _note(fidelity: Fidelity, goal_db: float) -> str:
    return (
        f"outputs have {fidelity.sqnr_db:.1f} dB of signal over noise on {fidelity.samples} test "
        f"samples, less than the {goal_db:g} dB that quantization aims at on the first "
        f"{SAMPLES} of calibration"
    )
