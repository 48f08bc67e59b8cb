"""TFLite files on tflite-runtime: int8 files that are right on LiteRT can be wrong on it."""

from collections.abc import Mapping
from pathlib import Path

from edgekit.core.artifact import Artifact
from edgekit.core.progress import Progress
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array
from edgekit.errors import UnsupportedError
from edgekit.runtimes.execute import execute
from edgekit.runtimes.tflite_runtime import VERSION, execute_there, folder
from edgekit.verification.settings import VerifySettings
from edgekit.verification.verify import verify

_NAME = f"tflite-runtime {VERSION}"

_OTHER_ROUNDING_DB = 6.0
"""Kernels round differently: of 18 nets none lost more than 3 dB to that."""

_RIGHT_DB = 15.0
"""Files that are computed wrongly have -1 to 8 dB; those that are right, 20 and more."""


def why_unchecked() -> str:
    """Say that tflite-runtime is not set up, and what does it; '' where it is."""
    try:
        folder()
    except UnsupportedError as error:
        return f"not checked on {_NAME}, which a target has: {error.message}; {error.hint}"
    return ""


def checked(
    pair: tuple[Artifact, Artifact], samples: Samples, folder: Path, progress: Progress
) -> str:
    """Run a TFLite file on both runtimes, and say how close it comes to its float form on each.

    Args:
        pair: The float file and the one in question.
        samples: What they are run on.
        folder: Takes the outputs.
        progress: Told how far it is.

    Raises:
        InputRefusedError: The file makes tflite-runtime fail or crash.
        UnsupportedError: It is wrong there, or needs a kernel that tflite-runtime lacks.
    """
    unchecked = why_unchecked()
    if unchecked:
        return unchecked
    plain, file = pair
    return compared(
        execute(plain, samples, folder / "float", progress=progress),
        execute(file, samples, folder / "here", progress=progress),
        execute_there(file, samples, folder / "there", progress=progress),
    )


def compared(
    reference: Mapping[str, Array], here: Mapping[str, Array], given: Mapping[str, Array]
) -> str:
    """Say how close a file comes to its float form on tflite-runtime, and on LiteRT.

    Args:
        reference: What the float file gives on LiteRT, `[samples, ...]` an output; its own
            outputs where there is no float file.
        here: What the file gives on LiteRT.
        given: What it gives on tflite-runtime.

    Raises:
        UnsupportedError: It is wrong there.
    """
    metric = VerifySettings().metric
    here_db, there_db = (
        verify(reference, outputs, None, metric).sqnr_db for outputs in (here, given)
    )
    found = f"{there_db:.1f} dB from the float outputs, and {here_db:.1f} dB on LiteRT"
    if there_db < min(here_db - _OTHER_ROUNDING_DB, _RIGHT_DB):
        raise UnsupportedError(
            f"the file gives wrong answers on {_NAME}, without an error: {found}",
            hint="quantize the float file with edgekit, or put LiteRT on the target; 'edgekit "
            "inspect' names operators that are known for it",
        )
    return f"right on {_NAME}: {found}"
