from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support import onnx_models, tflite_models

from edgekit.core.artifact import Artifact, Format, Precision, file_sha256
from edgekit.core.results import Latency, Profile, SizeBill, Unavailable
from edgekit.core.samples import save_samples
from edgekit.core.target import ConnectKind, Target
from edgekit.core.tensors import Array, DType, Signature, TensorSpec
from edgekit.errors import InputRefusedError, TargetUnavailableError
from edgekit.profiling.profile import profile
from edgekit.profiling.settings import ProfileSettings
from edgekit.profiling.size import size_report

HOST = Target("host", "this machine", ConnectKind.HOST, 1)
QUICK = ProfileSettings(runs=20, time_limit=0.5, timeout=60.0)


def artifact(path: Path, signature: Signature, model_format: Format = Format.ONNX) -> Artifact:
    size_bytes = path.stat().st_size
    return Artifact(path, model_format, Precision.FP32, file_sha256(path), size_bytes, signature)


def floats(name: str, *shape: int | str) -> TensorSpec:
    return TensorSpec(name, DType.FLOAT32, shape)


@pytest.fixture
def mlp(tmp_path: Path) -> Artifact:
    path = onnx_models.write(onnx_models.mlp(), tmp_path / "mlp.onnx")
    return artifact(path, Signature((floats("x", "batch", 8),), (floats("y", "batch", 3),)))


def profiled(
    artifacts: list[Artifact], arrays: Mapping[str, Array], tmp_path: Path,
    settings: ProfileSettings = QUICK,
) -> tuple[Profile, ...]:  # fmt: skip
    return profile(artifacts, HOST, save_samples(tmp_path / "samples", arrays), settings)


ROWS = {"x": np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)}


def test_both_formats_get_every_figure(mlp: Artifact, tmp_path: Path) -> None:
    path = tmp_path / "mlp.tflite"
    path.write_bytes(tflite_models.mlp())
    lite = artifact(path, Signature((floats("x", 1, 8),), (floats("y", 1, 3),)), Format.TFLITE)

    onnx_profile, lite_profile = profiled([mlp, lite], ROWS, tmp_path)

    assert (onnx_profile.runtime, lite_profile.runtime) == ("onnxruntime", "litert")
    for found in (onnx_profile, lite_profile):
        assert isinstance(found.latency, Latency)
        assert found.latency.low_ns <= found.latency.median_ns <= found.latency.high_ns
        assert isinstance(found.latency.operators, tuple)
        assert isinstance(found.size, SizeBill)
        assert isinstance(found.load_ns, float)
        assert isinstance(found.peak_memory_bytes, int)
        assert found.int8_macs_percent == 0
        assert found.runtime_version
        assert "core" in found.machine


def test_model_that_cannot_run_does_not_cost_the_others_their_figures(
    mlp: Artifact, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x09")

    good, bad = profiled([mlp, replace(mlp, path=broken, sha256="00")], ROWS, tmp_path)

    assert isinstance(good.latency, Latency)
    assert isinstance(bad.latency, Unavailable)
    assert "broken.onnx" in bad.latency.reason
    assert bad.peak_memory_bytes == bad.latency


def test_nothing_that_can_run_is_an_error(mlp: Artifact, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")

    with pytest.raises(InputRefusedError, match=r"broken\.onnx"):
        profiled([replace(mlp, path=broken, sha256="01")], ROWS, tmp_path)


def test_no_files_have_no_profiles(tmp_path: Path) -> None:
    assert profiled([], ROWS, tmp_path) == ()


def test_samples_that_do_not_fit_are_refused_before_anything_runs(
    mlp: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(InputRefusedError, match="do not fit"):
        profiled([mlp], {"x": np.zeros((4, 9), np.float32)}, tmp_path)


def test_target_that_takes_too_long_is_given_up(mlp: Artifact, tmp_path: Path) -> None:
    settings = replace(QUICK, timeout=0.05)

    with pytest.raises(TargetUnavailableError, match="did not finish"):
        profiled([mlp], ROWS, tmp_path, settings)


def test_threads_of_the_settings_go_before_those_of_the_target(
    mlp: Artifact, tmp_path: Path
) -> None:
    (found,) = profiled([mlp], ROWS, tmp_path, replace(QUICK, threads=2))

    assert isinstance(found.latency, Latency)
    assert found.latency.threads == 2


def test_size_bill_is_to_be_had_without_a_profile(mlp: Artifact) -> None:
    bill = size_report(mlp).bill

    assert bill.file_bytes == mlp.size_bytes
    assert bill.weights_bytes == 4 * (8 * 16 + 16 + 16 * 3 + 3)
