"""The old tflite-runtime lives apart, and only the child that runs a model sees it."""

from pathlib import Path

import numpy as np
import pytest
from support import tflite_models
from support.old_runtime import LIKE_LITERT, set_up_as

from edgekit.core.samples import Samples, save_samples
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.loading.artifact import open_artifact
from edgekit.runtimes.execute import execute
from edgekit.runtimes.tflite_runtime import execute_there, folder, remove

CRASHING = "import os, signal\n\ndef Interpreter(**_):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
TOO_OLD = """
def Interpreter(**_):
    raise ValueError("Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'")
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tflite_models.write(tflite_models.mlp(), tmp_path / "mlp.tflite")


@pytest.fixture
def samples(model: Path, tmp_path: Path) -> Samples:
    (spec,) = open_artifact(model).signature.inputs
    shape = (5, *(dim for dim in spec.shape[1:] if isinstance(dim, int)))
    rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return save_samples(tmp_path / "samples", {spec.name: rows})


def test_a_file_gives_there_what_it_gives_here(
    model: Path, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(LIKE_LITERT, monkeypatch)
    artifact = open_artifact(model)

    there = execute_there(artifact, samples, tmp_path / "there")

    here = execute(artifact, samples, tmp_path / "here")
    assert list(there) == list(here)
    for name, output in there.items():
        assert np.array_equal(output, here[name])


def test_a_crash_is_told_as_one(
    model: Path, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(CRASHING, monkeypatch)

    with pytest.raises(InputRefusedError, match=r"makes tflite-runtime 2\.14\.0 crash.*SIGSEGV"):
        execute_there(open_artifact(model), samples, tmp_path / "out")


def test_an_operator_that_is_too_new_is_named(
    model: Path, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(TOO_OLD, monkeypatch)

    with pytest.raises(UnsupportedError, match=r"tflite-runtime 2\.14\.0 has no kernel"):
        execute_there(open_artifact(model), samples, tmp_path / "out")


def test_what_is_not_set_up_says_the_line_that_does_it(
    model: Path, samples: Samples, tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedError, match="is not set up here") as caught:
        execute_there(open_artifact(model), samples, tmp_path / "out")

    assert "edgekit runtime setup tflite-runtime" in caught.value.hint


def test_it_is_removed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    place = set_up_as(LIKE_LITERT, monkeypatch)
    assert folder() == place

    assert remove() > 0

    assert not place.exists()
    assert remove() == 0
