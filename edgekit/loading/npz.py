"""Read a user's .npz archive of samples; the archive may be damaged or hostile."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import IO

from numpy.lib import format as npy

from edgekit.core.registry import did_you_mean
from edgekit.core.samples import LABELS, Samples, save_samples
from edgekit.core.tensors import Array
from edgekit.core.workspace import storage
from edgekit.errors import InputRefusedError
from edgekit.units import format_bytes

LARGEST_BYTES = 4 * 2**30
"""What all arrays of an archive may hold together."""

_LARGEST_RATIO = 1100
"""Deflate cannot shrink anything by more than 1032 times; more is a forged header."""

_ZEROS_ALLOWED_BYTES = 256 * 2**20
"""Up to here any ratio is fine: an array of zeros is a strange sample, and no attack."""

_SUSPECT_RATIO = 200
_MOST_MEMBERS = 256
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_LABEL_NAMES = (LABELS, "y")
# RuntimeError: zipfile was asked for a password, or does not know the compression.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
_HINT = "write it with numpy.savez(path, input_name=array, labels=array), numeric arrays only"


def read_npz(path: Path, directory: Path, *, largest_bytes: int = LARGEST_BYTES) -> Samples:
    """Read the arrays of an archive into the folder `directory` and return them as samples.

    An array called `labels`, or else `y`, holds the labels; every other one is an input, named
    after it.

    Raises:
        InputRefusedError: The archive is missing, damaged, would unpack to too much, or holds
            Python objects.
        StorageError: The archive cannot be read, or the folder not be written.
    """
    if not path.is_file():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputRefusedError(
            f"{path} is no file{did_you_mean(path.name, beside)}", hint="pass an .npz archive"
        )
    try:
        with storage(path), zipfile.ZipFile(path) as archive:
            members = _members(path, archive, largest_bytes)
            arrays = {name: _array(path, archive, info) for name, info in members.items()}
    except _DAMAGE as error:
        what, hint = _told(path)
        raise InputRefusedError(
            f"{path} is no readable .npz archive: {what or error}", hint=hint
        ) from error
    label_name = next((name for name in _LABEL_NAMES if name in arrays), "")
    labels = arrays.pop(label_name) if label_name else None
    try:
        with storage(directory):
            return save_samples(directory, arrays, labels)
    except InputRefusedError as error:
        raise InputRefusedError(f"{path}: {error.message}", hint=error.hint) from error


def _told(path: Path) -> tuple[str, str]:
    """Return what a file is that is no archive, where that is known, and what to do."""
    with storage(path), path.open("rb") as file:
        start = file.read(len(npy.MAGIC_PREFIX))
    if start == npy.MAGIC_PREFIX:
        line = f"numpy.savez('samples.npz', input_name=numpy.load('{path.name}'))"
        return "it is a single array, as numpy.save writes it", f"name it after the input: {line}"
    return "", _HINT


def _members(
    path: Path, archive: zipfile.ZipFile, largest_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MOST_MEMBERS:
        raise InputRefusedError(
            f"{path} holds {len(infos)} arrays, more than {_MOST_MEMBERS}", hint=_HINT
        )
    total = sum(info.file_size for info in infos)
    if total > largest_bytes:
        raise InputRefusedError(
            f"{path} would unpack to {format_bytes(total)}, more than "
            f"{format_bytes(largest_bytes)}",
            hint="use fewer samples",
        )
    for info in infos:
        ratio = info.file_size / max(info.compress_size, 1)
        if ratio > _LARGEST_RATIO or (
            ratio > _SUSPECT_RATIO and info.file_size > _ZEROS_ALLOWED_BYTES
        ):
            raise InputRefusedError(
                f"{path}: '{info.filename}' would unpack to {ratio:.0f} times its size",
                hint="that is how a zip bomb looks; write the archive with numpy.savez",
            )
    members = {info.filename.removesuffix(".npy"): info for info in infos}
    if len(members) != len(infos):
        raise InputRefusedError(f"{path} holds two arrays of one name", hint=_HINT)
    return members


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Array:
    try:
        with archive.open(info) as file:
            _check_header(file, info.file_size)
        with archive.open(info) as file:
            array: Array = npy.read_array(file, allow_pickle=False)
    except ValueError as error:
        raise InputRefusedError(
            f"{path}: '{info.filename}' is no usable array: {error}", hint=_HINT
        ) from error
    return array


def _check_header(file: IO[bytes], member_bytes: int) -> None:
    # numpy makes room for what the header claims before it reads a byte of it.
    version = npy.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"numpy format {version[0]}.{version[1]} is not read")
    shape, _, dtype = _HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code when they are read")
    if math.prod(shape) * dtype.itemsize != member_bytes - file.tell():
        raise ValueError(f"it claims the shape {list(shape)}, and its data is of another size")
