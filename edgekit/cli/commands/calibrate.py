"""Fit a board's constants to latencies measured on it, and show what the fit misses."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import EXISTING_FILE, target_argument
from edgekit.cli.output import Output, columns, example, with_output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.core.target import Calibration
    from edgekit.emulation.calibration import Counts, Floats

_RANDOM_SAMPLES = 1
_LONGEST_RUN_S = 1800.0


@click.command(epilog=example("edgekit calibrate rpi4 --measurements board.csv"))
@target_argument
@click.option(
    "--measurements",
    type=EXISTING_FILE,
    required=True,
    help="CSV with the columns model, latency_ms and, for more than one, threads.",
)
@with_output
def command(out: Output, *, target: str, measurements: Path) -> None:
    """Fit a board's constants to latencies measured on it, and show what the fit misses.

    Each model is emulated once, and each is predicted with the constants that the others give.
    Models measured with one thread and with all cores fit what threads cost, too. The section
    that is printed goes into a copy of the target's file.
    """
    from edgekit.cli.samples import named_or_random
    from edgekit.config.measurements import read_measurements
    from edgekit.config.target import load_target
    from edgekit.core.scratch import scratch_folder
    from edgekit.emulation.board_machine import board_of, calibration_of
    from edgekit.emulation.calibration import Pair, calibrate, leave_one_out
    from edgekit.errors import UsageError
    from edgekit.loading.artifact import open_artifact
    from edgekit.profiling.board_counts import counts_on

    board = load_target(target)
    lines = read_measurements(measurements)
    cores = board_of(board).cores
    alone = [line for line in lines if line.threads == 1]
    shared = {line.model: line.latency_ns for line in lines if line.threads == cores > 1}
    if len(alone) + len(shared) < len(lines):
        error = UsageError(
            f"{measurements}: a model is measured once with 1 thread, and once with {cores}",
            hint=f"the threads of {target} are fitted to pairs of 1 and {cores}; drop the others",
        )
        raise error
    artifacts = [open_artifact(line.model) for line in alone]
    counts = []
    with out.progress() as progress, scratch_folder("command") as folder:
        for done, artifact in enumerate(artifacts):
            progress.update("emulate", done, len(artifacts), artifact.path.name)
            place = folder / str(done)
            samples = named_or_random(None, artifact.signature, _RANDOM_SAMPLES, place)
            counts.append(counts_on(artifact, board, samples, wall_s=_LONGEST_RUN_S))
        progress.update("emulate", len(artifacts), len(artifacts))
    times_ns = [line.latency_ns for line in alone]
    pairs = [
        Pair(count, line.latency_ns, shared[line.model])
        for count, line in zip(counts, alone, strict=True)
        if line.model in shared
    ]
    before = calibration_of(board)
    found = calibrate(counts, times_ns, pairs, board_of(board), before)
    predicted = None
    if len(counts) > 1:
        line_ns = before.memory_line_ns
        predicted = leave_one_out(counts, times_ns, board_of(board).clock, line_ns=line_ns)
    out.result(
        _text(counts, times_ns, predicted, found), _plain(counts, times_ns, predicted, found)
    )


def _text(
    counts: "Sequence[Counts]",
    times_ns: "Sequence[float]",
    predicted: "Floats | None",
    found: "Calibration",
) -> str:
    rows = [["model", "measured ms", "predicted ms", "off %"]]
    for at, (count, time_ns) in enumerate(zip(counts, times_ns, strict=True)):
        row = [count.name, f"{time_ns / 1e6:.2f}", "-", "-"]
        if predicted is not None:
            row[2:] = [f"{predicted[at] / 1e6:.2f}", f"{100 * (predicted[at] / time_ns - 1):+.1f}"]
        rows.append(row)
    section = "\n".join(f"  {name}: {_written(name, value)}" for name, value in _fields(found))
    return f"{columns(rows)}\n\ncalibration:\n{section}"


def _plain(
    counts: "Sequence[Counts]",
    times_ns: "Sequence[float]",
    predicted: "Floats | None",
    found: "Calibration",
) -> dict[str, object]:
    models = [
        {
            "model": count.name,
            "measured_ms": time_ns / 1e6,
            "predicted_ms": None if predicted is None else float(predicted[at]) / 1e6,
        }
        for at, (count, time_ns) in enumerate(zip(counts, times_ns, strict=True))
    ]
    return {"models": models, "calibration": asdict(found)}


def _fields(found: "Calibration") -> list[tuple[str, object]]:
    return list(asdict(found).items())


def _written(name: str, value: object) -> str:
    return f"{value} %" if name in {"band", "thread_band"} else str(value)
