"""Input arrays and their labels: kept on disk, read lazily, in batches."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgekit.core.tensors import Array, DType, IntArray, TensorSpec
from edgekit.core.workspace import storage
from edgekit.errors import InputRefusedError

LABELS = "labels"
"""The reserved name under which labels are stored beside the inputs."""

_MANIFEST = "samples.json"

_ELEMENTS = {dtype.value for dtype in DType}


@dataclass(frozen=True)
class Example:
    """What any sample looks like, by the names of its arrays.

    `shapes` has that of each array; `numbers` the values of those that are a single integer or
    truth value, the same one in all samples.
    """

    shapes: dict[str, tuple[int, ...]]
    numbers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """Named arrays of one length along axis 0, in a folder of `.npy` files.

    Nothing is in memory until it is asked for; a batch copies only its own rows. `files` has
    the file of each array: the name of a tensor may hold what the name of a file cannot.
    """

    directory: Path
    names: tuple[str, ...]
    files: tuple[str, ...]
    count: int
    has_labels: bool
    fingerprint: str

    def inputs(self, start: int = 0, stop: int | None = None) -> dict[str, Array]:
        """Return rows `start` to `stop` of every input, shape `[rows, ...]` each."""
        end = self.count if stop is None else min(stop, self.count)
        return {
            name: np.array(_open(self.directory, file)[start:end])
            for name, file in zip(self.names, self.files, strict=True)
        }

    @property
    def example(self) -> Example:
        """What any sample looks like."""
        files = zip(self.names, self.files, strict=True)
        arrays = {name: _open(self.directory, file)[: self.count] for name, file in files}
        return Example(
            {name: array.shape[1:] for name, array in arrays.items()},
            {name: int(array.flat[0]) for name, array in arrays.items() if _is_one_number(array)},
        )

    def labels(self, start: int = 0, stop: int | None = None) -> Array:
        """Return the labels of rows `start` to `stop`, shape `[rows, ...]`.

        Raises:
            InputRefusedError: These samples carry no labels.
        """
        if not self.has_labels:
            raise InputRefusedError(
                "the samples have no labels, and this step needs them",
                hint=f"add an array named '{LABELS}' with one row a sample",
            )
        end = self.count if stop is None else min(stop, self.count)
        return np.array(_open(self.directory, LABELS)[start:end])

    def batches(self, rows_per_batch: int) -> Iterator[dict[str, Array]]:
        """Yield the inputs in order, `rows_per_batch` rows at a time; the last may be short."""
        for start in range(0, self.count, rows_per_batch):
            yield self.inputs(start, start + rows_per_batch)

    def head(self, count: int) -> "Samples":
        """Return the first `count` samples (all of them when there are fewer)."""
        if count >= self.count:
            return self
        digest = hashlib.sha256(f"{self.fingerprint}:{count}".encode()).hexdigest()
        return replace(self, count=count, fingerprint=digest)

    def renamed(self, names: Mapping[str, str]) -> "Samples":
        """Return the same arrays under other names; `names` maps each new one to the present."""
        files = dict(zip(self.names, self.files, strict=True))
        return replace(
            self, names=tuple(names), files=tuple(files[name] for name in names.values())
        )

    def check_against(self, specs: tuple[TensorSpec, ...]) -> None:
        """Refuse samples that a model with these inputs cannot take; all problems at once.

        Raises:
            InputRefusedError: A name is missing or unknown, or a dtype, rank or size differs.
        """
        wanted = {spec.name: spec for spec in specs}
        problems = [f"input '{name}' is missing" for name in wanted if name not in self.names]
        problems += [
            f"'{name}' is no input of the model (inputs: {', '.join(wanted)})"
            for name in self.names
            if name not in wanted
        ]
        for name, array in self.inputs(0, 1).items():
            if name not in wanted:
                continue
            spec = wanted[name]
            # The first axis counts samples here and is the batch there, so only the rest must fit.
            row = TensorSpec(name, spec.dtype, spec.shape[1:])
            if array.ndim == 0 or not row.accepts(array[0]):
                problems.append(
                    f"'{name}' holds {array.dtype}{list(array.shape[1:])} per sample, "
                    f"the model takes {row.dtype.value}{list(row.shape)}"
                )
        if problems:
            raise InputRefusedError(
                "the samples do not fit the model: " + "; ".join(problems),
                hint="compare with 'edgekit inspect MODEL'",
            )


def save_samples(
    directory: Path, inputs: Mapping[str, Array], labels: Array | None = None
) -> Samples:
    """Write arrays (shape `[samples, ...]` each) into `directory` and return them as `Samples`.

    Raises:
        InputRefusedError: No input or no row, lengths differ, a name is reserved, an input is
            of no type that models take, or a float input holds NaN or infinity.
        StorageError: The folder cannot be written.
    """
    arrays = {name: _native(array) for name, array in inputs.items()}
    if LABELS in arrays:
        raise InputRefusedError(
            f"an input cannot be called '{LABELS}'", hint="pass labels on their own"
        )
    if labels is not None:
        arrays[LABELS] = _native(labels)
    _refuse_unusable(arrays, inputs)
    files = {name: str(index) for index, name in enumerate(inputs)} | {LABELS: LABELS}
    with storage(directory):
        digest = _write(directory, arrays, files)
    samples = Samples(
        directory=directory,
        names=tuple(inputs),
        files=tuple(files[name] for name in inputs),
        count=len(next(iter(arrays.values()))),
        has_labels=labels is not None,
        fingerprint=digest,
    )
    manifest = {
        "names": list(samples.names),
        "files": list(samples.files),
        "count": samples.count,
        "has_labels": samples.has_labels,
        "fingerprint": samples.fingerprint,
    }
    with storage(directory):
        (directory / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return samples


def _write(directory: Path, arrays: Mapping[str, Array], files: Mapping[str, str]) -> str:
    """Write every array into its file and return the digest of all of them."""
    directory.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        np.save(directory / f"{files[name]}.npy", array, allow_pickle=False)
        digest.update(f"{name}:{array.dtype}:{array.shape};".encode())
        # As bytes, for numpy does not lend out the memory of dates.
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def open_samples(directory: Path) -> Samples:
    """Return the samples that `save_samples` wrote into `directory`.

    Raises:
        InputRefusedError: There are none, or the manifest is damaged.
    """
    try:
        manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        return Samples(
            directory=directory,
            names=tuple(manifest["names"]),
            files=tuple(manifest["files"]),
            count=int(manifest["count"]),
            has_labels=bool(manifest["has_labels"]),
            fingerprint=str(manifest["fingerprint"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputRefusedError(f"{directory} holds no readable samples: {error}") from error


def save_arrays(directory: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays of any shape into `directory`, one `.npy` file each, numbered in order.

    Raises:
        StorageError: The folder cannot be written.
    """
    with storage(directory):
        directory.mkdir(parents=True, exist_ok=True)
        for index, array in enumerate(arrays.values()):
            np.save(directory / f"{index}.npy", np.asarray(array, order="C"), allow_pickle=False)
        # A tensor name may hold '/' and ':', so files carry numbers and the names stand beside.
        (directory / "names.json").write_text(json.dumps(list(arrays)), encoding="utf-8")


def open_arrays(directory: Path) -> dict[str, Array]:
    """Return what `save_arrays` wrote, memory-mapped: same names, order, shapes and dtypes."""
    names = json.loads((directory / "names.json").read_text(encoding="utf-8"))
    return {name: _open(directory, str(index)) for index, name in enumerate(names)}


def _open(directory: Path, name: str) -> Array:
    array: Array = np.load(directory / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array


def _native(array: Array) -> Array:
    """Return the array in this machine's byte order; files and other machines have the other."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _refuse_unusable(arrays: Mapping[str, Array], inputs: Mapping[str, Array]) -> None:
    if not inputs:
        raise InputRefusedError("there is no input array", hint="name one array per model input")
    lengths = {name: array.shape[0] if array.ndim else 0 for name, array in arrays.items()}
    problems = [f"'{name}' has no rows" for name, length in lengths.items() if length == 0]
    hint = "pass numeric arrays of one length, one row a sample; pad rows to one size"
    if len(set(lengths.values())) > 1:
        problems.append(f"lengths differ: {lengths}")
    for name, array in arrays.items():
        if array.dtype.hasobject:
            problems.append(f"'{name}' holds Python objects, as rows of different lengths do")
        elif name in inputs and array.dtype.name not in _ELEMENTS:
            problems.append(f"'{name}' is {array.dtype}, which no model takes")
    if not problems:
        hint = "fill in what is missing as in training, or leave such rows out"
    for name in inputs:
        blank = _rows_that_are_not_finite(arrays[name])
        if len(blank):
            problems.append(
                f"'{name}' holds NaN or infinity in {len(blank)} of {lengths[name]} rows, first "
                f"in row {blank[0]} (the first row is 0)"
            )
    if problems:
        raise InputRefusedError("the samples cannot be used: " + "; ".join(problems), hint=hint)


def _rows_that_are_not_finite(array: Array) -> IntArray:
    if array.dtype.kind != "f" or array.ndim == 0:
        return np.zeros(0, np.int64)
    broken = ~np.isfinite(array)
    return np.flatnonzero(broken.any(axis=tuple(range(1, array.ndim))))


def _is_one_number(array: Array) -> bool:
    is_whole = array.dtype.kind in "iub" and math.prod(array.shape[1:]) == 1
    return is_whole and bool((array == array.flat[0]).all())
