"""Write an .onnx file as .tflite, or the model of a recipe as float files of both."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import (
    EXISTING_FILE,
    complete_recipes,
    download_option,
    force_option,
    trust_option,
    workspace_option,
)
from edgekit.cli.output import Output, asking, columns, example
from edgekit.core.artifact import Format

if TYPE_CHECKING:
    from edgekit.config.recipe import Recipe
    from edgekit.core.artifact import Artifact
    from edgekit.pipeline.onnx_file import Converted

SUFFIXES = frozenset(f".{one.value}" for one in Format)
"""What a model file ends with; anything else that is not there is looked up as a recipe."""

_TRACED = 16


@dataclass(frozen=True)
class Asked:
    """What the command line asks for; see the options for their meaning."""

    model: str
    formats: tuple[str, ...]
    data: Path | None
    trust_code: bool
    download: bool
    out: Path | None
    force: bool
    workspace: Path


@click.command(
    epilog=example(
        "edgekit export model.onnx --format tflite --data samples.npz",
        "edgekit export my-model/recipe.yaml --format onnx -o build --trust-code",
    )
)
@click.argument("model", metavar="MODEL|RECIPE", shell_complete=complete_recipes)
@click.option(
    "--format",
    "--formats",
    "formats",
    multiple=True,
    help="onnx or tflite, may be given twice; what the recipe says by default.",
)
@click.option(
    "--data",
    "--samples",
    "--calib",
    "data",
    type=EXISTING_FILE,
    help="Samples that a MODEL is traced and checked on, as .npz; random ones by default.",
)
@trust_option
@download_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The file made from a MODEL, beside it by default; the folder of a RECIPE's files.",
)
@force_option
@workspace_option
@asking(Asked)
def command(out: Output, asked: Asked) -> None:
    """Write an .onnx file as .tflite, or the model of a recipe as float files of both.

    A MODEL file is read as a PyTorch module, and what comes out is held against the file: its
    outputs agree within one part in ten thousand, or there is no file. The model of a RECIPE
    is trained and pruned as it says, and every file is checked against PyTorch.
    """
    if _is_model_file(asked.model):
        _export_file(out, asked)
    else:
        _export_recipe(out, asked)


def _is_model_file(reference: str) -> bool:
    path = Path(reference)
    return path.suffix not in {".yaml", ".yml"} and (path.is_file() or path.suffix in SUFFIXES)


def _export_file(out: Output, asked: Asked) -> None:
    from edgekit.cli.samples import named_or_random
    from edgekit.core.scratch import scratch_folder
    from edgekit.core.workspace import refuse_overwrite
    from edgekit.loading.artifact import open_artifact
    from edgekit.pipeline.onnx_file import to_tflite

    path = Path(asked.model)
    if set(asked.formats) - {Format.TFLITE.value}:
        raise click.UsageError(f"{path} is a model file, and --format can be tflite alone")
    destination = asked.out or path.with_suffix(".tflite")
    refuse_overwrite(destination, force=asked.force, source=path)
    artifact = open_artifact(path)
    with scratch_folder("command") as folder, out.progress() as progress:
        samples = named_or_random(asked.data, artifact.signature, _TRACED, folder / "samples")
        made = to_tflite(artifact, samples, destination, folder, progress)
    _tell(out, made, artifact, is_random=asked.data is None)


def _tell(out: Output, made: "Converted", source: "Artifact", *, is_random: bool) -> None:
    from edgekit.core import wire
    from edgekit.units import format_bytes

    kind = "random samples" if is_random else "samples"
    size_bytes = made.artifact.size_bytes
    ratio = size_bytes / source.size_bytes
    checked = (
        f"within {made.relative_error:.1e} of {source.path.name}, on {made.samples} {kind} "
        f"('{made.output}', of its largest value)"
    )
    rows = [
        ["file", str(made.artifact.path)],
        ["size", f"{format_bytes(size_bytes)}, {ratio:.2f} of {source.path.name}"],
        *([change.step, change.summary] for change in made.history),
        ["check", checked],
        *(["note", note] for note in made.notes),
    ]
    plain = {
        "path": str(made.artifact.path),
        "sha256": made.artifact.sha256,
        "size_bytes": size_bytes,
        "relative_error": made.relative_error,
        "output": made.output,
        "samples": made.samples,
        "random_samples": is_random,
        "changes": [wire.plain(change) for change in made.history],
        "notes": made.notes,
    }
    out.result(columns(rows), plain)


def _export_recipe(out: Output, asked: Asked) -> None:
    from edgekit.cli.running import run_and_show
    from edgekit.config.recipe import load_recipe
    from edgekit.core.workspace import Workspace
    from edgekit.pipeline.run import RunOptions

    if asked.data is not None:
        raise click.UsageError("--data is for model files; a recipe names its data itself")
    recipe = _exporting_only(load_recipe(asked.model, trust_code=asked.trust_code), asked.formats)
    options = RunOptions(Workspace(asked.workspace), None, asked.download, asked.out)
    run_and_show(out, recipe, options, force=asked.force)


def _exporting_only(recipe: "Recipe", formats: tuple[str, ...]) -> "Recipe":
    from dataclasses import replace

    from edgekit.config.sections import FileModel
    from edgekit.config.source import typed_options
    from edgekit.exporting.settings import ExportSettings

    settings = recipe.export or ExportSettings()
    if formats:
        chosen = typed_options(ExportSettings, {"formats": formats}).formats
        settings = replace(settings, formats=chosen)
    recipe = replace(recipe, export=settings)
    if isinstance(recipe.model, FileModel) and not recipe.needs_module:
        raise click.UsageError(f"{recipe.model.file} is an exported file already")
    return replace(
        recipe,
        name=f"{recipe.name}-export",
        quantize=None,
        profile=None,
        budget=None,
    )
