"""Targets that still have tflite-runtime: what is written for them, and what is said of others."""

from pathlib import Path

import numpy as np
import pytest
from support.commands import Shell
from support.old_runtime import LIKE_LITERT, WRONG, set_up_as
from support.results import profile
from support.tflite_graphs import hybrid, loop

from edgekit.cli.files import files_report
from edgekit.loading.artifact import open_artifact

THERE = "rpi3b+-tflite-runtime"
RECIPE = f"""
name: old
model: {{file: loop.tflite}}
data: {{calibration: x.npz, test: x.npz}}
quantize: {{calibration_samples: 16}}
profile: {{targets: [{THERE}]}}
"""


@pytest.fixture(autouse=True)
def files(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    x = np.random.default_rng(0).normal(size=(16, 32)).astype(np.float32)
    np.savez("x.npz", x=x)
    Path("loop.tflite").write_bytes(loop())
    Path("old.yaml").write_text(RECIPE, encoding="utf-8")


def quantize(shell: Shell) -> tuple[int, str, str]:
    ran = shell("quantize", "loop.tflite", "--calib", "x.npz", "--target", THERE, "-q")
    return ran.code, ran.out, ran.err


def test_a_file_for_the_old_runtime_is_checked_on_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(LIKE_LITERT, monkeypatch)

    code, out, err = quantize(shell)

    assert code == 0, err
    assert "right on tflite-runtime 2.14.0" in out
    assert "int8 takes longer than float on tflite-runtime" in out


def test_a_file_that_is_wrong_there_is_refused(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(WRONG, monkeypatch)

    code, _, err = quantize(shell)

    assert code == 4
    assert "gives wrong answers on tflite-runtime 2.14.0, without an error" in err


def test_a_file_that_cannot_be_checked_says_what_would(shell: Shell) -> None:
    code, out, _ = quantize(shell)

    assert code == 0
    assert "not checked on tflite-runtime 2.14.0" in out
    assert "edgekit runtime setup tflite-runtime" in out


def test_a_run_checks_the_files_of_a_target_with_the_old_runtime(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(LIKE_LITERT, monkeypatch)

    ran = shell("run", "old.yaml", "--json", "-q")

    assert ran.code == 0, ran.err
    for row in ran.json["artifacts"]:
        assert any(note.startswith("right on tflite-runtime 2.14.0") for note in row["notes"])
        # The emulator is not set up, which costs the figures of the board and nothing else.
        assert "edgekit emulator setup" in row["profiles"][0]["latency"]["reason"]
        assert row["profiles"][0]["size"]["file_bytes"] == row["size_bytes"]


def test_a_run_whose_files_are_wrong_there_fails_and_goes_on(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(WRONG, monkeypatch)

    ran = shell("run", "old.yaml", "--json", "-q")

    assert ran.code == 4
    assert [one["step"] for one in ran.json["failures"]] == [
        "verify TFLite fp32 on tflite-runtime",
        "verify TFLite int8 on tflite-runtime",
    ]
    assert len(ran.json["artifacts"]) == 2


def test_a_run_that_cannot_check_says_what_would(shell: Shell) -> None:
    ran = shell("run", "old.yaml", "-q")

    assert ran.code == 0, ran.err
    _, _, int8_notes = ran.out.partition("\n  TFLite int8\n")
    assert "not checked on tflite-runtime 2.14.0" in int8_notes


def test_weights_with_many_scales_beside_floats_are_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up_as(LIKE_LITERT, monkeypatch)
    Path("bad.tflite").write_bytes(hybrid(64))
    told = "gives wrong answers on tflite-runtime 2.14, without an error: 1 FULLY_CONNECTED"

    there = ("--runtime", "tflite-runtime", "--test", "x.npz", "-q")

    assert told in shell("inspect", "bad.tflite").out
    assert told in shell("verify", "bad.tflite", *there).out


def test_one_scale_is_right_everywhere(shell: Shell) -> None:
    Path("good.tflite").write_bytes(hybrid(1))

    assert "tflite-runtime" not in shell("inspect", "good.tflite").out


@pytest.mark.parametrize(("runtime", "notes"), [("tflite-runtime", 1), ("litert", 0)])
def test_a_profile_where_a_file_is_wrong_says_so(runtime: str, notes: int) -> None:
    Path("bad.tflite").write_bytes(hybrid(64))

    report = files_report([open_artifact(Path("bad.tflite"))], [[profile(runtime=runtime)]])

    assert len(report.artifacts[0].notes) == notes
