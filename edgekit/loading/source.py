"""How to get a model and its data: what a recipe says, resolved, in plain values."""

from dataclasses import dataclass
from pathlib import Path

from edgekit.core.samples import Example

SOURCE_FILE = "source.onnx"
"""What an ONNX file is called beside the weights that were made from it."""

Option = str | int | float | bool
"""A value that a recipe can pass to a function of the user's."""


@dataclass(frozen=True)
class ModelSource:
    """A function that builds a module, and the weights to put into it.

    `factory` is `module:function`, looked up in `code_directory` and called with `options`.
    """

    factory: str
    code_directory: Path
    weights: Path | None
    options: dict[str, Option]


@dataclass(frozen=True)
class OnnxSource:
    """An ONNX file that is read as a module; `sha256` says which bytes exactly.

    A file that cannot be read with all that it leaves open is held to `example`.
    A training function of the recipe's own is looked up in `code_directory`.
    """

    file: Path
    sha256: str
    code_directory: Path
    example: Example


Source = ModelSource | OnnxSource
"""Where a module comes from: built by a function, or read from a file."""


@dataclass(frozen=True)
class DataSource:
    """A function that returns the splits, and the fetched packages that it reads.

    `function` is `module:function`, looked up in `code_directory` and called with a
    `edgekit.core.data.DataContext`.
    """

    function: str
    code_directory: Path
    packages: dict[str, Path]
