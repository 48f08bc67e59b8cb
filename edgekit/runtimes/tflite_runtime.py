"""The last tflite-runtime, which many boards still run: set up apart, and run in a child.

It needs a numpy older than everybody else's, so its packages lie in a folder of their own in
edgekit's cache, and only the child that runs a model sees them.
"""

import os
import platform
import shutil
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edgekit.core.artifact import Artifact, Format
from edgekit.core.process import Limits, Task, call
from edgekit.core.progress import SILENT, Progress
from edgekit.core.samples import Samples, open_arrays
from edgekit.core.tensors import Array, Signature
from edgekit.core.workspace import Workspace, digest, storage
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.fetching.packages import cache_directory
from edgekit.fetching.python_package import Wheel, fetch_wheel
from edgekit.runtimes.execute import Executed
from edgekit.runtimes.feed import match_names
from edgekit.runtimes.inspect import inspect_file
from edgekit.runtimes.limits import RUN

NAME = "tflite-runtime"
VERSION = "2.14.0"

_STAGE = NAME
_PLATFORM = "manylinux2014_x86_64"
_WHEELS = (
    Wheel(
        name=NAME,
        version=VERSION,
        file_name=f"tflite_runtime-{VERSION}-cp311-cp311-{_PLATFORM}.whl",
        sha256="195ab752e7e57329a68e54dd3dd5439fad888b9bff1be0f0dc042a3237a90e4d",
        size_bytes=2_414_486,
    ),
    Wheel(
        name="numpy",
        version="1.26.4",
        file_name=f"numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.{_PLATFORM}.whl",
        sha256="666dbfb6ec68962c033a450943ded891bed2d54e6755e35e5835d63f4f6931d5",
        size_bytes=18_252_005,
    ),
)


@dataclass(frozen=True)
class RunRequest:
    """What to run, on what, and where the outputs go; `names` pairs inputs with arrays."""

    path: Path
    signature: Signature
    samples: Samples
    names: dict[str, str]
    out: Path
    threads: int


_TASK = Task("edgekit.runtimes.tflite_runtime_child:run", RunRequest, Executed)


def set_up(progress: Progress) -> Path:
    """Fetch tflite-runtime and its numpy through this machine's pip; return where they lie.

    Raises:
        UnsupportedError: There is no such runtime for this machine, no pip, or no network.
        StorageError: The cache cannot be written to.
    """
    _refuse_other_machines()

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            for done, wheel in enumerate(_WHEELS):
                progress.update("fetch", done, len(_WHEELS), f"{wheel.name} {wheel.version}")
                with storage(folder), zipfile.ZipFile(fetch_wheel(wheel, Path(scratch))) as file:
                    file.extractall(folder)
        progress.update("fetch", len(_WHEELS), len(_WHEELS))

    return Workspace(cache_directory()).produce(_STAGE, _key(), make)


def folder() -> Path:
    """Return where the runtime lies.

    Raises:
        UnsupportedError: It is not set up; the hint is the line that does it.
    """
    place = Workspace(cache_directory()).cache / _STAGE / _key()
    if not place.is_dir():
        raise UnsupportedError(
            f"{NAME} {VERSION} is not set up here", hint=f"run 'edgekit runtime setup {NAME}' once"
        )
    return place


def remove() -> int:
    """Delete the runtime; return how many bytes that freed.

    Raises:
        StorageError: It cannot be deleted.
    """
    place = Workspace(cache_directory()).cache / _STAGE
    freed_bytes = sum(file.lstat().st_size for file in place.rglob("*"))
    if place.is_dir():
        with storage(place):
            shutil.rmtree(place)
    return freed_bytes


def misread(artifact: Artifact) -> str:
    """Say what in a TFLite file the runtime would compute wrongly, without running it; or ''.

    Raises:
        InputRefusedError: The file is damaged.
    """
    return inspect_file(artifact.path).misread if artifact.format is Format.TFLITE else ""


def execute_there(
    artifact: Artifact,
    samples: Samples,
    out: Path,
    *,
    limits: Limits = RUN,
    progress: Progress = SILENT,
) -> dict[str, Array]:
    """Run a TFLite file on every sample in tflite-runtime; the outputs are those of `execute`.

    Returns:
        One array `[samples, ...]` an output, memory-mapped from the folder `out`.

    Raises:
        InputRefusedError: The samples do not fit, or the file makes the runtime fail or crash.
        UnsupportedError: The runtime is not set up, is too old for an operator of the file, or
            the file is no TFLite file.
    """
    if artifact.format is not Format.TFLITE:
        raise UnsupportedError(
            f"{NAME} runs .tflite files, and {artifact.path} is none", hint="leave --runtime out"
        )
    place = folder()
    request = RunRequest(
        path=artifact.path.absolute(),
        signature=artifact.signature,
        samples=samples,
        names=match_names(samples, artifact.signature.inputs),
        out=out.absolute(),
        threads=1,
    )
    others = os.environ.get("PYTHONPATH", "")
    path = f"{place}{os.pathsep}{others}" if others else str(place)
    try:
        call(_TASK, request, limits=limits, progress=progress, environment={"PYTHONPATH": path})
    except InputRefusedError as error:
        if "crashed with" in error.message:
            raise InputRefusedError(
                f"{artifact.path} makes {NAME} {VERSION} crash: {error.message}",
                hint="do not use this file where that runtime is",
            ) from error
        raise
    return open_arrays(out)


def _refuse_other_machines() -> None:
    here = (sys.platform, platform.machine(), sys.version_info[:2])
    if here != ("linux", "x86_64", (3, 11)):
        python = ".".join(str(part) for part in here[2])
        raise UnsupportedError(
            f"{NAME} {VERSION} is pinned for Python 3.11 on x86-64 Linux, and this is Python "
            f"{python} on {here[1]} {here[0]}",
            hint="run edgekit in Python 3.11 on an x86-64 machine for this check",
        )


def _key() -> str:
    return digest(*(wheel.sha256 for wheel in _WHEELS))
