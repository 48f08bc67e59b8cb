"""Turn a float .onnx or .tflite file into an int8 one, and say what that costs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import (
    EXISTING_FILE,
    NEW_FILE,
    complete_targets,
    force_option,
    metric_option,
    plugin_option,
)
from edgekit.cli.output import Output, asking, columns, example
from edgekit.core.artifact import Format, Precision
from edgekit.errors import EXIT_OVER_BUDGET

if TYPE_CHECKING:
    from edgekit.cli.pair import TimedPair
    from edgekit.core.artifact import Artifact
    from edgekit.core.progress import Progress
    from edgekit.core.results import Fidelity
    from edgekit.core.samples import Samples
    from edgekit.core.target import Destination
    from edgekit.quantization.report import QuantizationReport
    from edgekit.quantization.settings import QuantizeSettings


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options for their meaning."""

    model: Path
    out: Path | None
    calib: Path | None
    ranges: str
    activation: str
    scales: str
    samples: int
    keep_float: tuple[str, ...]
    random_calibration: bool
    test: Path | None
    metric: str
    max_loss: str
    file_format: str | None
    target: tuple[str, ...]
    allow_quantized: bool
    force: bool

    @property
    def destination(self) -> Path:
        """Where the int8 file goes."""
        suffix = f".{self.file_format}" if self.file_format else self.model.suffix
        return self.out or self.model.with_suffix(f".int8{suffix}")


@click.command(
    epilog=example(
        "edgekit quantize model.onnx --calib calib.npz",
        "edgekit quantize model.onnx -o small.onnx --calib calib.npz --ranges mse \\",
        "    --test test.npz --metric top1 --max-loss 1pp",
        "edgekit quantize model.onnx --format tflite --calib calib.npz",
    )
)
@click.argument("model", type=EXISTING_FILE)
@click.option("-o", "--out", type=NEW_FILE, help="The int8 file; beside MODEL by default.")
@click.option("--calib", type=EXISTING_FILE, help="Samples to calibrate on: one array an input.")
@plugin_option("--ranges", "quantization/ranges", default="min_max", text="How ranges are chosen")
@click.option("--activation", default="auto", show_default=True, help="auto, uint8 or int8.")
@click.option(
    "--scales",
    default="auto",
    show_default=True,
    help="static: from calibration; dynamic: for each row as the model runs; or auto.",
)
@click.option(
    "--samples",
    "--calibration-samples",
    "samples",
    default=256,
    show_default=True,
    help="Samples to calibrate on, at most.",
)
@click.option(
    "--keep-float",
    multiple=True,
    help="Operators that stay float: a name or type; may be given again.",
)
@click.option("--test", type=EXISTING_FILE, help="Samples to compare on, with labels.")
@metric_option
@click.option("--max-loss", default="", help="Exit with 1 when the metric loses more: 1pp.")
@click.option(
    "--random-calibration",
    is_flag=True,
    help="Calibrate on random data, to try things out; its ranges mean nothing.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice([one.value for one in Format]),
    help="Format of the int8 file; an .onnx file can become a .tflite file.",
)
@click.option(
    "--target",
    multiple=True,
    shell_complete=complete_targets,
    help="What the int8 file is for, where its runtime or core asks for another form.",
)
@click.option(
    "--allow-quantized",
    is_flag=True,
    help="Copy a MODEL that is quantized already as it is, not refuse it.",
)
@force_option
@asking(Asked)
def command(out: Output, asked: Asked) -> None:
    """Turn a float .onnx or .tflite file into an int8 one, and say what that costs.

    Samples are .npz files with one array per model input. The int8 file is compared with
    MODEL on the test samples, or on the calibration samples where there are none, and both are
    timed on this machine. With --format tflite an .onnx file is converted first, and the int8
    file compared with it. For a --target that runs TFLite files on tflite-runtime, the
    form is the one that is right and fast there, and checked on it; for one whose core has
    no int8 dot products, it is one that is no slower there than float, where there is a choice.
    """
    from edgekit.cli.comparison import compare_files, judge
    from edgekit.cli.pair import time_pair
    from edgekit.cli.progress import step
    from edgekit.core.scratch import scratch_folder
    from edgekit.core.target import Runtime
    from edgekit.core.workspace import refuse_overwrite
    from edgekit.loading.artifact import open_artifact
    from edgekit.pipeline import old_runtime
    from edgekit.quantization.quantize import quantize, refuse_quantized

    settings, by = _settings(asked), judge(asked.metric, asked.max_loss, asked.test)
    _refuse_contradictions(asked)
    refuse_overwrite(asked.destination, force=asked.force, source=asked.model)
    artifact = open_artifact(asked.model)
    if asked.allow_quantized and artifact.precision is Precision.INT8:
        _pass_through(out, asked, artifact)
        return
    refuse_quantized(artifact)
    runs_on = _destination(asked, artifact.format)
    with scratch_folder("command") as folder, out.progress() as progress:
        calibration, test = _samples(asked, artifact, folder)
        by.refuse_unfit(test, asked.test, artifact)
        source, read = _in_format(asked, artifact, calibration, folder, progress)
        report = quantize(
            source, calibration, settings, asked.destination, destination=runs_on, progress=progress
        )
        made = open_artifact(report.path)
        if Runtime.TFLITE_RUNTIME in runs_on.runtimes:
            with step(progress, f"check on {Runtime.TFLITE_RUNTIME.value}"):
                note = old_runtime.checked((source, made), test, folder / "checked", progress)
            report = replace(report, notes=(*report.notes, note))
        fidelity = compare_files((artifact, made), test, by, folder, progress)
        # Of the same format, it is MODEL that the user compares with, not its normal form.
        plain = artifact if artifact.format is made.format else source
        timed = time_pair(source, made, calibration, progress)
        seen = (*read, *(_noticed(calibration, test) if asked.calib else ()))
    over = by.over(fidelity)
    _tell(out, _Quantized(report, plain.size_bytes, timed, seen), fidelity, over)
    if over:
        click.get_current_context().exit(EXIT_OVER_BUDGET)


def _settings(asked: Asked) -> "QuantizeSettings":
    from edgekit.config.source import typed_options
    from edgekit.quantization.settings import QuantizeSettings

    return typed_options(
        QuantizeSettings,
        {
            "ranges": asked.ranges,
            "activation": asked.activation,
            "scales": asked.scales,
            "calibration_samples": asked.samples,
            "keep_float": asked.keep_float,
            "random_calibration": asked.random_calibration,
        },
    )


def _destination(asked: Asked, given: Format) -> "Destination":
    from edgekit.pipeline.destination import destination

    return destination(asked.target, Format(asked.file_format) if asked.file_format else given)


def _refuse_contradictions(asked: Asked) -> None:
    from edgekit.runtimes.inspect import recognise

    if (asked.calib is None) == (not asked.random_calibration):
        raise click.UsageError("pass --calib samples.npz, or else --random-calibration")
    if asked.file_format == Format.ONNX.value and recognise(asked.model) is Format.TFLITE:
        raise click.UsageError(f"{asked.model} is a TFLite file; it cannot become an ONNX file")


def _samples(asked: Asked, artifact: "Artifact", folder: Path) -> "tuple[Samples, Samples]":
    from edgekit.cli.samples import named_or_random

    calibration = named_or_random(
        asked.calib, artifact.signature, asked.samples, folder / "calibration"
    )
    if asked.test is None:
        return calibration, calibration.head(asked.samples)
    return calibration, named_or_random(asked.test, artifact.signature, 0, folder / "test")


def _in_format(
    asked: Asked,
    artifact: "Artifact",
    samples: "Samples",
    folder: Path,
    progress: "Progress",
) -> "tuple[Artifact, tuple[str, ...]]":
    """Return the float file to quantize and notes on how it was made.

    It is of the format asked for, in the form that takes int8.
    """
    from edgekit.loading.artifact import open_artifact
    from edgekit.loading.onnx_normalize import normalize_onnx
    from edgekit.pipeline.onnx_file import to_tflite

    converted = folder / "converted"
    if asked.file_format not in {None, artifact.format.value}:
        made = to_tflite(artifact, samples, converted / "model.tflite", converted, progress)
        return made.artifact, tuple(change.summary for change in made.history)
    if artifact.format is Format.TFLITE:
        return artifact, ()
    # Old opsets know no scale per channel, and weights in Constant nodes are found by nobody.
    normalize_onnx(artifact.path, converted / "model.onnx")
    return open_artifact(converted / "model.onnx"), ()


def _noticed(calibration: "Samples", test: "Samples") -> tuple[str, ...]:
    from edgekit.core.data import SplitName
    from edgekit.pipeline.data_checks import sameness_notes, scale_notes

    both = {SplitName.CALIBRATION: calibration, SplitName.TEST: test}
    return (*sameness_notes(calibration), *scale_notes(both))


def _pass_through(out: Output, asked: Asked, artifact: "Artifact") -> None:
    import shutil

    from edgekit.core.workspace import replacing

    with replacing(asked.destination) as partial:
        shutil.copyfile(artifact.path, partial)
    text = f"{artifact.path} is quantized already; {asked.destination} is a copy of it"
    out.result(text, {"passed_through": True, "path": str(asked.destination)})


@dataclass(frozen=True)
class _Quantized:
    """What was made, and how long it takes."""

    report: "QuantizationReport"
    float_bytes: int
    timed: "TimedPair"
    noticed: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing beside the figures."""
        return (*self.noticed, *self.report.notes, *self.timed.notes)


def _tell(out: Output, quantized: _Quantized, fidelity: "Fidelity", over: str) -> None:
    from edgekit.cli.comparison import fidelity_rows
    from edgekit.core import wire
    from edgekit.units import format_bytes

    report, timed = quantized.report, quantized.timed
    ratio = report.size_bytes / quantized.float_bytes
    sizes = f"{format_bytes(report.size_bytes)}, {ratio:.2f} of the float file"
    rows = [
        ["file", str(report.path)],
        ["size", sizes],
        *([["time", timed.line()]] if timed.line() else []),
        ["int8", f"{report.int8_macs_percent:.1f} % of the multiplications"],
        *(["float", why] for why in report.float_reasons()),
        *fidelity_rows(fidelity),
        *(["note", note] for note in quantized.notes),
        *([["over", f"{over}; the file is kept"]] if over else []),
    ]
    plain = {
        "report": wire.plain(report),
        "fidelity": wire.plain(fidelity),
        "profiles": timed.plain(),
        "notes": list(quantized.notes),
        "over": over,
    }
    out.result(columns(rows), plain)
