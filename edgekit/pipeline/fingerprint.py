"""What a cached result depends on besides its settings: code, libraries, machine."""

import ast
import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import edgekit.core
from edgekit.core.artifact import file_sha256

_LIBRARIES = (
    "ai-edge-litert",
    "ai-edge-quantizer",
    "litert-torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "torch",
)


@cache
def library_versions() -> dict[str, str]:
    """Return the installed version of every library that can change a result."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": platform.python_version(), **found}


@cache
def package_digest() -> str:
    """Return a digest of edgekit's own source, so that a new version never finds old results."""
    package = Path(next(iter(edgekit.core.__path__))).parent
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(str(file.relative_to(package)).encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def code_digest(function: str, folder: Path) -> str:
    """Return a digest of the module that `module:function` names and of the siblings it imports.

    A module that is not beside the recipe belongs to an installed package, and counts by name.
    """
    digest = hashlib.sha256(function.encode())
    pending = [function.partition(":")[0]]
    seen: set[str] = set()
    while pending:
        name = pending.pop(0)
        file = folder / (name.replace(".", "/") + ".py")
        if name in seen or not file.is_file():
            continue
        seen.add(name)
        content = file.read_bytes()
        digest.update(name.encode() + b"\0" + content)
        pending += sorted(_imported(content))
    return digest.hexdigest()


def file_digest(path: Path | None) -> str:
    """Return the digest of a file's bytes, or nothing when there is no such file to depend on."""
    return file_sha256(path) if path is not None and path.is_file() else ""


def _imported(content: bytes) -> set[str]:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names
