"""Samples for commands that work on bare model files: a user's archive, or random ones."""

from pathlib import Path

import numpy as np

from edgekit.core.samples import Samples
from edgekit.core.tensors import Signature
from edgekit.errors import InputRefusedError
from edgekit.loading.npz import read_npz
from edgekit.quantization.random_calibration import random_samples
from edgekit.runtimes.feed import match_names

_SEED = 0


def named_or_random(
    archive: Path | None, signature: Signature, count: int, folder: Path
) -> Samples:
    """Return the samples of `archive`, or `count` random ones where there is no archive.

    Raises:
        InputRefusedError: The archive is damaged or unsafe, or does not fit the model.
        UnsupportedError: Random samples cannot be made for this signature.
        StorageError: The archive cannot be read, or `folder` not be written.
    """
    if archive is not None:
        samples = read_npz(archive, folder)
        try:
            match_names(samples, signature.inputs)
        except InputRefusedError as error:
            raise InputRefusedError(f"{archive}: {error.message}", hint=error.hint) from error
        return samples
    return random_samples(signature, count, np.random.default_rng(_SEED), folder)
