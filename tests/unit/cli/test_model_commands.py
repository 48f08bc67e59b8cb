"""The commands that work on bare model files: inspect, quantize, profile, check, baseline."""

import re
from pathlib import Path

import numpy as np
import pytest
from support import onnx_models
from support.commands import Shell

from edgekit.core.tensors import Array


@pytest.fixture
def model(shell: Shell) -> Path:
    """A small CNN in the shell's folder, with samples it can be calibrated and tested on."""
    images = np.random.default_rng(0).normal(size=(32, 1, 8, 8)).astype(np.float32)
    np.savez("calib.npz", image=images)
    np.savez("test.npz", image=images, labels=np.zeros(32, np.int64))
    return onnx_models.write(onnx_models.cnn(), Path("cnn.onnx"))


def test_inspect_says_what_a_model_is(shell: Shell, model: Path) -> None:
    ran = shell("inspect", model, "--json")

    assert ran.json["format"] == "onnx"
    assert ran.json["signature"]["inputs"][0]["name"] == "image"
    assert "image: float32[batch, 1, 8, 8]" in shell("inspect", model).out


def test_inspect_refuses_what_is_no_model(shell: Shell) -> None:
    Path("words.onnx").write_text("these are words")

    assert shell("inspect", "words.onnx").code == 3


def test_quantize_writes_an_int8_file_and_says_what_it_costs(shell: Shell, model: Path) -> None:
    ran = shell("quantize", model, "--calib", "calib.npz", "--test", "test.npz", "--json", "-q")

    assert ran.code == 0
    assert Path("cnn.int8.onnx").is_file()
    assert ran.json["fidelity"]["sqnr_db"] > 20
    assert ran.json["over"] == ""
    assert {key: one["target"] for key, one in ran.json["profiles"].items()} == {
        "float": "host",
        "int8": "host",
    }
    assert shell("inspect", "cnn.int8.onnx", "--json").json["quantized"]


def test_a_loss_over_the_limit_exits_1_and_keeps_the_file(shell: Shell, model: Path) -> None:
    options = ["--calib", "calib.npz", "--test", "test.npz", "--max-loss", "-100pp"]

    ran = shell("quantize", model, *options)

    assert ran.code == 1
    assert "the file is kept" in ran.out
    assert Path("cnn.int8.onnx").is_file()


def test_test_samples_on_another_scale_are_pointed_out(shell: Shell, model: Path) -> None:
    with np.load("test.npz") as arrays:
        inputs = {name: 255 * arrays[name] for name in arrays.files if name != "labels"}
    np.savez("pixels.npz", **inputs)

    options = ["--calib", "calib.npz", "--test", "pixels.npz"]
    ran = shell("quantize", model, *options, "--json", "-q")

    assert any("in 'calibration'; are both scaled alike?" in note for note in ran.json["notes"])


def test_quantize_takes_a_file_of_an_old_opset_with_weights_in_constants(shell: Shell) -> None:
    old = onnx_models.write(onnx_models.constant_weights(opset=9), Path("old.onnx"))

    ran = shell("quantize", old, "--random-calibration", "--json", "-q")

    assert ran.code == 0
    assert ran.json["report"]["int8_macs_percent"] == 100
    assert shell("inspect", "old.int8.onnx", "--json").json["opset"] >= 17


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": np.zeros((4, 1, 8, 8), np.int64)}, "bad.npz: the samples do not fit the model"),
        ({"image": np.zeros((4, 3, 8, 8), np.float32)}, "bad.npz: the samples do not fit"),
        ({"image": np.zeros((0, 1, 8, 8), np.float32)}, "bad.npz: the samples cannot be used"),
        (
            {"image": np.zeros((4, 1, 8, 8), np.float32), "labels": np.full(4, 99)},
            "there is a label 99",
        ),
    ],
)
def test_samples_that_do_not_fit_are_told_by_their_file_before_the_work(
    arrays: dict[str, Array], message: str, shell: Shell, model: Path
) -> None:
    np.savez("bad.npz", **arrays)  # type: ignore[arg-type]  # numpy types its options first

    ran = shell("quantize", model, "--calib", "bad.npz", "--json", "-q")

    assert ran.code == 3
    assert message in ran.error["message"]
    assert not Path("cnn.int8.onnx").exists()


def test_a_folder_in_place_of_samples_is_told_to_become_an_archive(
    shell: Shell, model: Path
) -> None:
    Path("pictures").mkdir()

    ran = shell("quantize", model, "--calib", "pictures")

    assert ran.code == 2
    assert "numpy.savez" in ran.err


def test_quantize_replaces_nothing_unasked(shell: Shell, model: Path) -> None:
    Path("out.onnx").write_text("mine")

    ran = shell("quantize", model, "-o", "out.onnx", "--calib", "calib.npz")

    assert ran.code == 2
    assert "--force" in ran.err
    assert Path("out.onnx").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--random-calibration"),
        (["--calib", "calib.npz", "--random-calibration"], "or else"),
        (["--calib", "calib.npz", "--max-loss", "1pp"], "--max-loss needs --test"),
        (["--calib", "calib.npz", "--test", "test.npz", "--max-loss", "1"], "no unit"),
        (["--calib", "calib.npz", "--ranges", "mnmax"], "did you mean 'min_max'?"),
        (["--calib", "calib.npz", "--metric", "top2"], "--metric: unknown metric 'top2'"),
        (["--calib", "calib.npz", "--samples", "0"], "--calibration-samples: must be"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    shell: Shell, model: Path, options: list[str], message: str
) -> None:
    ran = shell("quantize", model, *options)

    assert ran.code == 2
    assert message in ran.err
    assert not Path("cnn.int8.onnx").exists()


def test_a_limit_on_the_loss_needs_labels(shell: Shell, model: Path) -> None:
    options = ["--calib", "calib.npz", "--test", "calib.npz", "--max-loss", "1pp"]

    ran = shell("quantize", model, *options)

    assert ran.code == 3
    assert "has no labels" in ran.err


def test_random_calibration_is_said_aloud(shell: Shell, model: Path) -> None:
    ran = shell("quantize", model, "--random-calibration", "--samples", "8")

    assert ran.code == 0
    assert "calibrated on random data, as asked" in ran.out


def test_profile_measures_on_the_host(shell: Shell, model: Path) -> None:
    ran = shell("profile", model, "--runs", "10", "--json", "-q")

    (artifact,) = ran.json["artifacts"]
    assert artifact["profiles"][0]["latency"]["kind"] == "measured"
    assert artifact["profiles"][0]["latency"]["median_ns"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "hots"], "did you mean 'host'?"),
        (["--runs", "1"], "--runs: must be greater than or equal to 10"),
        (["--threads", "0"], "--threads"),
    ],
)
def test_profile_refuses_what_cannot_be_meant(
    shell: Shell, model: Path, options: list[str], message: str
) -> None:
    ran = shell("profile", model, *options)

    assert ran.code == 2
    assert message in ran.err


@pytest.mark.parametrize(("limit", "code"), [("1 MiB", 0), ("1 B", 1)])
def test_check_is_a_gate_for_model_files(shell: Shell, model: Path, limit: str, code: int) -> None:
    Path("budget.yaml").write_text(f"rules: [{{metric: size, max: {limit}}}]\n")

    ran = shell("check", model, "--budget", "budget.yaml", "--json")

    assert ran.code == code
    assert len(ran.json["verdict"]["rules"]) == 1


def test_check_prints_its_rules_and_how_to_see_the_rest(shell: Shell, model: Path) -> None:
    Path("budget.yaml").write_text("rules: [{metric: size, max: 1 B}, {metric: loss, max: 1 pp}]\n")

    ran = shell("check", model, "--budget", "budget.yaml")

    assert re.search(r"fail +size of .*at most 1 B", ran.out)
    assert "slowest operators" not in ran.out
    assert ran.out.splitlines()[-1].startswith("budget not kept: 2 checks")
    assert "--format markdown" in ran.err


def test_growth_is_judged_against_the_baseline_that_was_accepted(shell: Shell, model: Path) -> None:
    Path("budget.yaml").write_text("rules: [{metric: size, growth: {percent: 1 %}}]\n")
    assert shell("check", model, "--budget", "budget.yaml").code == 1
    assert shell("baseline", "update", model).code == 0

    assert shell("check", model, "--budget", "budget.yaml", "--format", "markdown").code == 0

    onnx_models.write(onnx_models.mlp(), model)
    assert shell("check", model, "--budget", "budget.yaml").code == 1


def test_check_without_anything_to_judge_says_what_is_needed(shell: Shell, model: Path) -> None:
    assert "there is no record of a run" in shell("check").err
    assert "no budget was given" in shell("check", model).err


def test_a_record_stands_alone(shell: Shell, model: Path) -> None:
    Path("record.json").write_text("{}")

    assert "pass one record" in shell("check", "record.json", model).err
    assert shell("check", "record.json").code == 3


def test_a_baseline_without_a_budget_is_refused(shell: Shell) -> None:
    Path("baseline.json").write_text("{}")

    ran = shell("check", "--baseline", "baseline.json")

    assert ran.code == 2
    assert "--baseline needs --budget" in ran.err
