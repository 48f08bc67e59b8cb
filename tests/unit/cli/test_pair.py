"""Both files timed after quantize: said in a line, and never a reason to fail."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import onnx_models
from support.results import latency, profile

from edgekit.cli import pair
from edgekit.cli.pair import TimedPair, time_pair
from edgekit.core.artifact import Artifact, Precision
from edgekit.core.progress import SILENT
from edgekit.core.results import Profile, Unavailable
from edgekit.core.samples import Samples, save_samples
from edgekit.errors import TargetUnavailableError
from edgekit.loading.artifact import open_artifact


@pytest.fixture
def file(tmp_path: Path) -> Artifact:
    return open_artifact(onnx_models.write(onnx_models.cnn(), tmp_path / "cnn.onnx"))


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    return save_samples(tmp_path / "samples", {"image": np.zeros((2, 1, 8, 8), np.float32)})


def test_the_line_has_the_time_and_its_ratio() -> None:
    both = TimedPair((profile(latency=latency(1, 1)), profile(latency=latency(2, 2))), ())

    assert both.line() == "2.00 ms on host, 2.00 of the float file"
    assert set(both.plain()) == {"float", "int8"}


def test_without_both_times_there_is_no_line() -> None:
    assert TimedPair((profile(), profile(latency=Unavailable("it crashed"))), ()).line() == ""


def test_a_slower_file_is_told_against_the_float_file(
    file: Artifact, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = (profile(latency=latency(1, 1.1)), profile(latency=latency(2, 2.1)))

    def profiled(_files: Sequence[Artifact], *_: object, **__: object) -> tuple[Profile, ...]:
        return taken

    monkeypatch.setattr(pair, "profile", profiled)

    small = replace(file, precision=Precision.INT8)
    (note,) = time_pair(file, small, samples, SILENT).notes

    assert note.startswith("slower than the float file on host, 2.05 ms against 1.05 ms (1.95")


def test_files_that_cannot_be_timed_are_a_note(
    file: Artifact, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def profiled(*_: object, **__: object) -> tuple[Profile, ...]:
        raise TargetUnavailableError("it did not finish within 60 s")

    monkeypatch.setattr(pair, "profile", profiled)

    timed = time_pair(file, file, samples, SILENT)

    assert timed.notes == ("the files were not timed: it did not finish within 60 s",)
    assert timed.line() == ""
