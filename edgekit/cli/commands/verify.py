"""Check that a file does what another does, or the same on another runtime."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import EXISTING_FILE, metric_option
from edgekit.cli.output import Output, asking, columns, example
from edgekit.errors import EXIT_OVER_BUDGET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.core.artifact import Artifact
    from edgekit.core.progress import Progress
    from edgekit.core.results import Fidelity
    from edgekit.core.samples import Samples
    from edgekit.core.tensors import Array

_DEFAULT, _OLD = "default", "tflite-runtime"


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options for their meaning."""

    reference: Path
    candidate: Path | None
    runtime: str
    test: Path
    metric: str
    max_loss: str


@click.command(
    epilog=example(
        "edgekit verify model.onnx model.int8.tflite --test test.npz --max-loss 1pp",
        "edgekit verify model.int8.tflite --runtime tflite-runtime --test test.npz",
    )
)
@click.argument("reference", type=EXISTING_FILE)
@click.argument("candidate", type=EXISTING_FILE, required=False)
@click.option(
    "--test",
    "--data",
    "test",
    type=EXISTING_FILE,
    required=True,
    help="Samples to compare on, as .npz.",
)
@click.option(
    "--runtime",
    type=click.Choice([_DEFAULT, _OLD]),
    default=_DEFAULT,
    show_default=True,
    help="What CANDIDATE runs on; onnxruntime and LiteRT by default.",
)
@metric_option
@click.option("--max-loss", default="", help="Exit with 1 when the metric loses more: 1pp.")
@asking(Asked)
def command(out: Output, asked: Asked) -> None:
    """Check that a file does what another does, or the same on another runtime.

    With --max-loss it exits with 1 when CANDIDATE loses more. For figures side by side, also
    from emulated boards, use 'edgekit compare'.

    REFERENCE and CANDIDATE may be of different formats. With --runtime tflite-runtime the
    candidate (REFERENCE itself, where no other is named) runs on the last release of
    tflite-runtime, which 'edgekit runtime setup tflite-runtime' gets once.
    """
    from edgekit.cli.comparison import judge
    from edgekit.cli.progress import step
    from edgekit.core.scratch import scratch_folder
    from edgekit.loading.artifact import open_artifact
    from edgekit.loading.npz import read_npz
    from edgekit.runtimes.tflite_runtime import misread

    _refuse_nothing_to_compare(asked)
    by = judge(asked.metric, asked.max_loss, asked.test)
    reference = open_artifact(asked.reference)
    candidate = open_artifact(asked.candidate) if asked.candidate else reference
    with scratch_folder("command") as folder, out.progress() as progress:
        test = read_npz(asked.test, folder / "test")
        by.refuse_unfit(test, asked.test, reference)
        with step(progress, "compare"):
            found = _run(asked.runtime, candidate, test, folder / "found", progress)
            wanted = _run(_DEFAULT, reference, test, folder / "wanted", progress)
            fidelity = by.compare(wanted, found, test)
    over = by.over(fidelity)
    _tell(out, asked, fidelity, over, misread(candidate) if asked.runtime == _OLD else "")
    if over:
        click.get_current_context().exit(EXIT_OVER_BUDGET)


def _refuse_nothing_to_compare(asked: Asked) -> None:
    if asked.candidate is None and asked.runtime == _DEFAULT:
        raise click.UsageError("name a CANDIDATE to compare with, or another --runtime")


def _run(
    runtime: str, artifact: "Artifact", test: "Samples", out: Path, progress: "Progress"
) -> "Mapping[str, Array]":
    from edgekit.runtimes.execute import execute
    from edgekit.runtimes.tflite_runtime import execute_there

    run = execute_there if runtime == _OLD else execute
    return run(artifact, test, out, progress=progress)


def _tell(out: Output, asked: Asked, fidelity: "Fidelity", over: str, wrong: str) -> None:
    from edgekit.cli.comparison import fidelity_rows
    from edgekit.core import wire

    candidate = asked.candidate or asked.reference
    runtime = "" if asked.runtime == _DEFAULT else f" on {asked.runtime}"
    diverged = fidelity.first_divergence
    rows = [
        ["reference", str(asked.reference)],
        ["candidate", f"{candidate}{runtime}"],
        *fidelity_rows(fidelity),
        *([["diverges", f"output '{diverged}'"]] if diverged else []),
        *([["note", wrong]] if wrong else []),
        *([["over", over]] if over else []),
    ]
    plain = {
        "reference": str(asked.reference),
        "candidate": str(candidate),
        "runtime": asked.runtime,
        "fidelity": wire.plain(fidelity),
        "misread": wrong,
        "over": over,
    }
    out.result(columns(rows), plain)
