"""Take channels out of an .onnx file, tune what is left, and say what that costs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import EXISTING_FILE, NEW_FILE, force_option, metric_option, plugin_option
from edgekit.cli.output import Output, asking, columns, example
from edgekit.errors import EXIT_OVER_BUDGET

if TYPE_CHECKING:
    from edgekit.core.artifact import Artifact
    from edgekit.core.model import Change
    from edgekit.core.results import Fidelity
    from edgekit.core.samples import Samples
    from edgekit.pruning.settings import PruneSettings
    from edgekit.training.settings import FitSettings

_TRACED, _COMPARED = 16, 256
"""Random samples where none are named, and those compared where none are for testing."""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options for their meaning."""

    model: Path
    out: Path | None
    ratio: str
    criterion: str
    keep: tuple[str, ...]
    round_to: int
    train: Path | None
    epochs: int
    batch_size: int
    learning_rate: float
    loss: str
    test: Path | None
    metric: str
    max_loss: str
    force: bool

    @property
    def destination(self) -> Path:
        """Where the pruned file goes."""
        return self.out or self.model.with_suffix(".pruned.onnx")


@click.command(
    epilog=example(
        "edgekit prune model.onnx --ratio 50% --train train.npz --test test.npz",
        "edgekit prune model.onnx -o small.onnx --ratio 30% --train train.npz --epochs 5 \\",
        "    --test test.npz --metric top1 --max-loss 1pp",
    )
)
@click.argument("model", type=EXISTING_FILE)
@click.option("-o", "--out", type=NEW_FILE, help="The pruned file; beside MODEL by default.")
@click.option("--ratio", default="50 %", show_default=True, help="Channels that leave a layer.")
@plugin_option("--criterion", "pruning/criteria", default="lp_norm", text="How they are ranked")
@click.option(
    "--keep",
    multiple=True,
    help="Modules that stay as wide as they are: a pattern; may be given again, and a wrong "
    "one lists all names.",
)
@click.option("--round-to", default=1, show_default=True, help="Widths are multiples of it.")
@click.option("--train", type=EXISTING_FILE, help="Samples to tune on; without, nothing is tuned.")
@click.option("--epochs", default=5, show_default=True, help="How often each of them is seen.")
@click.option("--batch-size", default=64, show_default=True, help="Samples a step.")
@click.option("--learning-rate", default=1e-3, show_default=True, help="The highest one.")
@plugin_option("--loss", "training/losses", default="by_labels", text="What tuning makes small")
@click.option("--test", type=EXISTING_FILE, help="Samples to compare on, with labels.")
@metric_option
@click.option("--max-loss", default="", help="Exit with 1 when the metric loses more: 1pp.")
@force_option
@asking(Asked)
def command(out: Output, asked: Asked) -> None:
    """Take channels out of an .onnx file, tune what is left, and say what that costs.

    Samples are .npz files with one array per model input, and labels where there are any.
    MODEL teaches what is left of it, alone where there are no labels. Without --train nothing
    is tuned, and most of the accuracy is lost. The pruned file is compared with MODEL on the
    test samples, else on those it was tuned on.
    """
    from edgekit.cli.comparison import compare_files, judge
    from edgekit.core.artifact import Format
    from edgekit.core.scratch import scratch_folder
    from edgekit.core.workspace import refuse_overwrite
    from edgekit.loading.artifact import open_artifact
    from edgekit.pipeline import onnx_file

    settings, by = _settings(asked), judge(asked.metric, asked.max_loss, asked.test)
    refuse_overwrite(asked.destination, force=asked.force, source=asked.model)
    artifact = open_artifact(asked.model)
    with scratch_folder("command") as folder, out.progress() as progress:
        train, test = _samples(asked, artifact, folder)
        by.refuse_unfit(test, asked.test, artifact)
        whole = onnx_file.read(artifact, train, folder / "whole", progress)
        narrow = onnx_file.prune(whole, train, settings.prune, folder / "narrow", progress)
        if asked.train:
            fit = settings.fit if train.has_labels else _taught_alone(settings.fit)
            narrow = onnx_file.finetune(narrow, whole, train, fit, progress)
        onnx_file.write(narrow, train, Format.ONNX, asked.destination, progress)
        made = open_artifact(asked.destination)
        fidelity = compare_files((artifact, made), test, by, folder, progress)
    over = by.over(fidelity)
    history = narrow.model.history
    _tell(out, _Pruned(artifact, made, history, is_tuned=asked.train is not None), fidelity, over)
    if over:
        click.get_current_context().exit(EXIT_OVER_BUDGET)


@dataclass(frozen=True)
class _Settings:
    prune: "PruneSettings"
    fit: "FitSettings"


def _settings(asked: Asked) -> _Settings:
    from edgekit.config.source import typed_options
    from edgekit.pruning.settings import PruneSettings
    from edgekit.training.settings import FitSettings

    what = ("ratio", "criterion", "keep", "round_to")
    how = ("epochs", "batch_size", "learning_rate", "loss")
    return _Settings(
        typed_options(PruneSettings, {name: getattr(asked, name) for name in what}),
        typed_options(FitSettings, {name: getattr(asked, name) for name in how}),
    )


def _taught_alone(fit: "FitSettings") -> "FitSettings":
    """Return the settings for samples without labels: MODEL alone says what is right."""
    from dataclasses import replace

    return replace(fit, distillation=replace(fit.distillation, weight=100.0))


def _samples(asked: Asked, artifact: "Artifact", folder: Path) -> "tuple[Samples, Samples]":
    """Return what is tuned and traced on, and what is compared on."""
    from edgekit.cli.samples import named_or_random

    train = named_or_random(
        asked.train or asked.test, artifact.signature, _TRACED, folder / "train"
    )
    if asked.test is None:
        return train, train.head(_COMPARED)
    if asked.train is None:
        return train, train
    return train, named_or_random(asked.test, artifact.signature, 0, folder / "test")


@dataclass(frozen=True)
class _Pruned:
    """A pruned file, the file it was made from, and what was done."""

    source: "Artifact"
    made: "Artifact"
    history: "tuple[Change, ...]"
    is_tuned: bool


def _tell(out: Output, pruned: _Pruned, fidelity: "Fidelity", over: str) -> None:
    from edgekit.cli.comparison import fidelity_rows
    from edgekit.core import wire
    from edgekit.units import format_bytes

    made, ratio = pruned.made, pruned.made.size_bytes / pruned.source.size_bytes
    notes = [] if pruned.is_tuned else ["not tuned: pass --train to get back what pruning cost"]
    rows = [
        ["file", str(made.path)],
        ["size", f"{format_bytes(made.size_bytes)}, {ratio:.2f} of {pruned.source.path.name}"],
        *([change.step, change.summary] for change in pruned.history),
        *fidelity_rows(fidelity),
        *(["note", note] for note in notes),
        *([["over", f"{over}; the file is kept"]] if over else []),
    ]
    plain = {
        "path": str(made.path),
        "sha256": made.sha256,
        "size_bytes": made.size_bytes,
        "size_ratio": ratio,
        "changes": [wire.plain(change) for change in pruned.history],
        "fidelity": wire.plain(fidelity),
        "notes": notes,
        "over": over,
    }
    out.result(columns(rows), plain)
