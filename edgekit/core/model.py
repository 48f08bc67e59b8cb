"""A PyTorch model on its way through the pipeline, in memory and on disk."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from edgekit.core.tensors import Signature

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Change:
    """What one step did to a model, in a sentence."""

    step: str
    summary: str


@dataclass(frozen=True)
class Model:
    """A module in eval mode, what it takes and returns, and what was done to it."""

    module: "nn.Module"
    signature: Signature
    history: tuple[Change, ...]


@dataclass(frozen=True)
class SavedModel:
    """A `Model` written to a folder: how to build it, its weights, and its digest.

    The folder holds `model.json` and `weights.safetensors`, never a pickle.
    """

    directory: Path
    sha256: str
    parameters: int
    size_bytes: int
    signature: Signature
    history: tuple[Change, ...]


def run_module(module: "nn.Module", inputs: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Call a module with named inputs and return its outputs by name, shape `[rows, ...]` each.

    Inputs are passed by keyword, or in order to a `forward` that takes `*args`. A single output
    is called `output`, those of a tuple `output_0`, `output_1` and so on; those of a
    dictionary or a dataclass keep their names. What lies inside of another is called after it:
    `output_1_0`. What is `None` is left out.
    """
    parameters = inspect.signature(module.forward).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        returned = module(*inputs.values())
    else:
        returned = module(**inputs)
    return dict(_named(returned, ""))


def _named(returned: object, name: str) -> "Iterator[tuple[str, Tensor]]":
    """Yield what a module returned, and what lies inside of it, with a name for each."""
    if isinstance(returned, Mapping):
        for key, value in returned.items():
            yield from _named(value, f"{name}_{key}" if name else str(key))
    elif is_dataclass(returned) and not isinstance(returned, type):
        yield from _named({one.name: getattr(returned, one.name) for one in fields(returned)}, name)
    elif isinstance(returned, tuple | list):
        for index, value in enumerate(returned):
            yield from _named(value, f"{name or 'output'}_{index}")
    elif returned is not None:
        # What is no tensor is refused where the signature is found.
        yield name or "output", cast("Tensor", returned)
