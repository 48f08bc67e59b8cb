"""Calibration data made up from a model's inputs: for trying things out, by name only."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgekit.core.samples import Samples, save_samples
from edgekit.core.tensors import Array, DType, Signature
from edgekit.errors import UnsupportedError
from edgekit.runtimes.feed import sample_shape


def random_samples(
    signature: Signature, count: int, rng: np.random.Generator, directory: Path
) -> Samples:
    """Write `count` random samples for the inputs of `signature` into `directory`.

    Floats are normal, integers 0 or 1 (the only values that any vocabulary holds), and booleans
    even. What is learnt from them says nothing about real inputs.

    Raises:
        UnsupportedError: An input has a dynamic axis besides the batch, whose size would be a
            guess.
    """
    shapes = {spec.name: sample_shape(spec, signature.inputs) for spec in signature.inputs}
    dynamic = [s for s in signature.inputs if any(isinstance(dim, str) for dim in shapes[s.name])]
    if dynamic:
        wanted = ", ".join(f"{s.name}=array" for s in signature.inputs)
        shown = ", ".join(("samples", *map(str, shapes[dynamic[0].name])))
        raise UnsupportedError(
            "random samples need fixed sizes, and these inputs have none: "
            + "; ".join(str(spec) for spec in dynamic),
            hint=f"pass real samples, written with numpy.savez('samples.npz', {wanted}), where "
            f"'{dynamic[0].name}' is [{shown}]; a TFLite file keeps the sizes they have",
        )
    arrays = {
        s.name: _random(s.dtype, (count, *(int(dim) for dim in shapes[s.name])), rng)
        for s in signature.inputs
    }
    return save_samples(directory, arrays)


def _random(dtype: DType, shape: Sequence[int], rng: np.random.Generator) -> Array:
    if dtype.is_float:
        return rng.standard_normal(shape).astype(dtype.numpy)
    return rng.integers(0, 2, shape).astype(dtype.numpy)
