"""Show how far CANDIDATE is from REFERENCE, here and on emulated boards; judges nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import EXISTING_FILE, complete_targets, metric_option
from edgekit.cli.output import Output, asking, columns, example

if TYPE_CHECKING:
    from edgekit.core.results import Fidelity
    from edgekit.pipeline.compare import Comparison


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options for their meaning."""

    reference: Path
    candidate: Path
    data: Path
    on: tuple[str, ...]
    samples: int
    metric: str
    timeout: str


@click.command(
    epilog=example(
        "edgekit compare model.onnx model.int8.onnx --data test.npz",
        "edgekit compare model.onnx model.int8.onnx --data test.npz --on rpi4 --samples 64",
    )
)
@click.argument("reference", type=EXISTING_FILE)
@click.argument("candidate", type=EXISTING_FILE)
@click.option(
    "--data",
    "--test",
    "data",
    type=EXISTING_FILE,
    required=True,
    help="Inputs, and labels, as .npz.",
)
@click.option(
    "--on",
    multiple=True,
    shell_complete=complete_targets,
    help="Also run CANDIDATE on this emulated board; may be given several times.",
)
@click.option("--samples", type=click.IntRange(min=1), default=64, show_default=True, help="Rows.")
@metric_option
@click.option("--timeout", default="600 s", show_default=True, help="When to give a board up.")
@asking(Asked)
def command(out: Output, asked: Asked) -> None:
    """Show how far CANDIDATE is from REFERENCE, here and on emulated boards; judges nothing.

    Metric, agreement and signal to noise, side by side. To fail on a loss that is too large, or to
    try an older runtime, use 'edgekit verify'.

    With --on, the real samples run through the board's own runtime and kernels, emulated: int8
    results there are close to, not equal to, those of this machine.
    """
    from edgekit.config.source import typed_options
    from edgekit.config.target import load_target
    from edgekit.core import wire
    from edgekit.core.scratch import scratch_folder
    from edgekit.loading.artifact import open_artifact
    from edgekit.loading.npz import read_npz
    from edgekit.pipeline.compare import Question, compare
    from edgekit.profiling.settings import ProfileSettings
    from edgekit.verification.metric import METRICS

    settings = typed_options(ProfileSettings, {"timeout": asked.timeout})
    targets = tuple(load_target(name) for name in asked.on)
    metric = METRICS.get(asked.metric)()
    with scratch_folder("command") as folder, out.progress() as progress:
        question = Question(
            reference=open_artifact(asked.reference),
            candidate=open_artifact(asked.candidate),
            samples=read_npz(asked.data, folder / "data").head(asked.samples),
            metric=metric,
            targets=targets,
            wall_s=settings.timeout,
        )
        found = compare(question, folder, progress)
    out.result(_table(found), wire.plain(found))


def _table(found: "Comparison") -> str:
    from edgekit.core.results import Unavailable
    from edgekit.reporting.words import loss_text, percent_text, value_text

    metric, unit = found.here.metric, found.here.unit
    fidelities = [found.here, *(board.fidelity for board in found.boards)]
    differences = ["", *(f"{b.largest_difference:.4g} ({b.output})" for b in found.boards)]
    judged = [
        [f"{metric} of the reference", *(value_text(f.reference, unit) for f in fidelities)],
        [f"{metric} of the candidate", *(value_text(f.candidate, unit) for f in fidelities)],
        ["loss", *(loss_text(f) for f in fidelities)],
    ]
    rows = [
        ["", "this machine", *(board.target for board in found.boards)],
        *([] if isinstance(found.here.reference, Unavailable) else judged),
        ["agreement", *(percent_text(f.agreement_percent) for f in fidelities)],
        ["signal to noise", *(f"{f.sqnr_db:.1f} dB" for f in fidelities)],
        ["cosine", *(f"{f.cosine:.6f}" for f in fidelities)],
    ]
    if found.boards:
        rows.append(["largest difference from here", *differences])
    return f"{columns(rows)}\n\n{found.here.samples} samples{_why_not(found.here)}"


def _why_not(fidelity: "Fidelity") -> str:
    from edgekit.core.results import Unavailable

    wanted = fidelity.reference
    return f"; no {fidelity.metric}: {wanted.reason}" if isinstance(wanted, Unavailable) else ""
