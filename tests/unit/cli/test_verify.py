"""verify and runtime: two files, or two runtimes, on the same samples."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support import onnx_models, tflite_models
from support.commands import Shell

from edgekit.cli.main import main


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a float file and the int8 file made from it, and samples of theirs."""
    folder = tmp_path_factory.mktemp("made")
    images = np.random.default_rng(0).normal(size=(32, 1, 8, 8)).astype(np.float32)
    np.savez(folder / "test.npz", image=images, labels=np.zeros(32, np.int64))
    onnx_models.write(onnx_models.cnn(), folder / "cnn.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["quantize", "cnn.onnx", "--calib", "test.npz", "-q"]) == 0
    return folder


@pytest.fixture
def files(shell: Shell, made: Path) -> tuple[Path, Path]:
    """The two models, copied to where the shell is."""
    shutil.copytree(made, Path(), dirs_exist_ok=True)
    return Path("cnn.onnx"), Path("cnn.int8.onnx")


def test_two_files_are_compared_and_judged(shell: Shell, files: tuple[Path, Path]) -> None:
    ran = shell("verify", *files, "--test", "test.npz", "--json", "-q")
    over = shell("verify", *files, "--test", "test.npz", "--max-loss=-101pp", "-q")

    assert ran.code == 0
    assert 20 < ran.json["fidelity"]["sqnr_db"] < 100
    assert over.code == 1
    assert "more than -101pp" in over.out


def test_files_of_different_tasks_do_not_compare(shell: Shell, files: tuple[Path, Path]) -> None:
    other = onnx_models.write(onnx_models.mlp(), Path("mlp.onnx"))

    ran = shell("verify", files[0], other, "--test", "test.npz", "-q")

    assert ran.code == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cnn.onnx"], "name a CANDIDATE"),
        (["cnn.onnx", "cnn.int8.onnx", "--metric", "top2"], "unknown metric 'top2'"),
        (["cnn.onnx", "cnn.int8.onnx", "--max-loss", "1"], "no unit"),
        (["cnn.onnx", "--runtime", "tflite"], "tflite-runtime"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    shell: Shell, files: tuple[Path, Path], words: list[str], message: str
) -> None:
    ran = shell("verify", *words, "--test", "test.npz")

    assert ran.code == 2
    assert message in ran.err


def test_the_old_runtime_is_for_tflite_files_and_has_to_be_set_up(
    shell: Shell,
    files: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "empty"))
    mlp = tflite_models.write(tflite_models.mlp(), Path("mlp.tflite"))
    there = ("--runtime", "tflite-runtime", "--test", "test.npz")

    wrong = shell("verify", files[0], *there)
    absent = [shell("verify", mlp, *there), shell("runtime", "status", "tflite-runtime")]

    assert wrong.code == 4
    assert "runs .tflite files" in wrong.err
    for ran in absent:
        assert ran.code == 4
        assert "edgekit runtime setup tflite-runtime" in ran.err
    assert shell("runtime", "remove", "tflite-runtime").out == "tflite-runtime is not set up\n"


@pytest.mark.realdata
def test_the_old_runtime_computes_what_litert_does(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    mlp = tflite_models.write(tflite_models.mlp(), Path("mlp.tflite"))
    width = shell("inspect", mlp, "--json").json["signature"]["inputs"][0]["shape"][1]
    np.savez("x.npz", x=np.random.default_rng(0).normal(size=(8, width)).astype(np.float32))
    assert shell("runtime", "setup", "tflite-runtime", "-q").code == 0

    ran = shell("verify", mlp, "--runtime", "tflite-runtime", "--test", "x.npz", "--json", "-q")

    assert ran.code == 0, ran.err
    assert ran.json["fidelity"]["sqnr_db"] > 100  # float32, in kernels of another age
