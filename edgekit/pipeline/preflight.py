"""What a recipe needs to be installed, found out before any work starts."""

import importlib.util
from collections.abc import Sequence

from edgekit.config.recipe import Recipe
from edgekit.config.sections import FactoryModel, FileModel
from edgekit.core.artifact import Artifact, Format, Precision
from edgekit.errors import MissingExtraError, UnsupportedError
from edgekit.loading.artifact import open_artifact
from edgekit.quantization.quantize import refuse_quantized
from edgekit.runtimes.inspect import recognise

_MODULES = {
    "torch": ("torch", "safetensors", "onnxscript"),
    "tflite": ("ai_edge_litert", "ai_edge_quantizer"),
    "all": ("litert_torch",),
}
"""The modules that an extra brings."""


def refuse_what_cannot_run(recipe: Recipe) -> None:
    """Refuse a recipe whose steps need what is not installed, or a float file it does not have.

    Raises:
        MissingExtraError: An extra is missing; the hint is the line that installs all of them.
        UnsupportedError: The recipe's file is quantized already.
    """
    missing = {extra: what for extra, what in _needs(recipe).items() if not _installed(extra)}
    if missing:
        whats = "; ".join(f"{what} needs the '{extra}' extra" for extra, what in missing.items())
        raise MissingExtraError(
            f"{recipe.name} cannot run here: {whats}",
            hint=f"pip install 'edgekit[{','.join(missing)}]'",
        )
    if isinstance(recipe.model, FileModel):
        if recipe.needs_module:
            refuse_no_float(open_artifact(recipe.model.file))
        elif recipe.quantize is not None and not recipe.quantize.allow_quantized:
            refuse_quantized(open_artifact(recipe.model.file))


def refuse_no_float(artifact: Artifact) -> None:
    """Refuse to read a file as a module that only a float file can be read as.

    Raises:
        UnsupportedError: The file is quantized already.
    """
    if artifact.precision is Precision.INT8:
        raise UnsupportedError(
            f"{artifact.path} is quantized already, and this needs a float model",
            hint="start from the float file that it was made from",
        )


def require_extras(what: str, extras: Sequence[str]) -> None:
    """Refuse work that needs what is not installed.

    Raises:
        MissingExtraError: An extra is missing; the hint is the line that installs all of them.
    """
    missing = [extra for extra in extras if not _installed(extra)]
    if missing:
        raise MissingExtraError(
            f"{what} needs what is not installed here",
            hint=f"pip install 'edgekit[{','.join(missing)}]'",
        )


def _needs(recipe: Recipe) -> dict[str, str]:
    """Return the extras that a recipe needs, and what for."""
    needs: dict[str, str] = {}
    if recipe.needs_module:
        is_built = isinstance(recipe.model, FactoryModel)
        needs["torch"] = "a PyTorch model" if is_built else "reading an ONNX file as a module"
        if recipe.export and Format.TFLITE in recipe.export.formats:
            needs["all"] = "writing TFLite files"
            needs["tflite"] = "running and quantizing them"
    elif isinstance(recipe.model, FileModel) and recognise(recipe.model.file) is Format.TFLITE:
        needs["tflite"] = "running and quantizing a TFLite file"
    return needs


def _installed(extra: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in _MODULES[extra])
