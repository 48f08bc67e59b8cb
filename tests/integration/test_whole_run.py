"""The recipe that `edgekit init` writes, run as a user would, and disturbed in every way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

STAGES = ("data", "model", "prune", "finetune", "export", "quantize", "verify", "profile")
PATIENCE_S = 240


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edgekit", *(str(argument) for argument in arguments)]


def edgekit(*arguments: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    finished = subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert finished.returncode == code, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    edgekit("init", folder / "mine")
    recipe = folder / "mine" / "recipe.yaml"
    # Fewer runs: what is tested here is the way, not the figures.
    text = recipe.read_text(encoding="utf-8").replace("runs: 100", "runs: 20, time_limit: 1 s")
    text = text.replace("runs: 20, time_limit: 1 s", "runs: 20\n  time_limit: 1 s")
    recipe.write_text(text, encoding="utf-8")
    return recipe


def run(recipe: Path, workspace: Path, *more: object, code: int = 0) -> dict[str, object]:
    finished = edgekit(
        "run", recipe, "--trust-code", "--workspace", workspace, "--json", *more, code=code
    )
    result: dict[str, object] = json.loads(finished.stdout)
    return result


@pytest.fixture(scope="module")
def undisturbed(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, object]:
    workspace = tmp_path_factory.mktemp("undisturbed")
    return workspace, run(project, workspace)


def digests(record: object) -> dict[str, str]:
    assert isinstance(record, dict)
    return {row["label"]: row["sha256"] for row in record["artifacts"]}


def steps(recipe: Path, workspace: Path, *more: object) -> dict[str, bool]:
    """Return which steps a run would do, by label."""
    finished = edgekit(
        "run", recipe, "--trust-code", "--workspace", workspace, "--dry-run", "--json", *more
    )
    return {step["step"]: step["to_do"] for step in json.loads(finished.stdout)}


def test_every_row_is_compared_profiled_and_kept(undisturbed: tuple[Path, object]) -> None:
    workspace, record = undisturbed

    assert isinstance(record, dict)
    labels = [row["label"] for row in record["artifacts"]]
    assert labels == ["PyTorch fp32", "PyTorch pruned", "ONNX fp32", "ONNX int8"]
    for row in record["artifacts"]:
        assert row["fidelity"]["samples"] > 0
        assert row["profiles"][0]["latency"]["kind"] == "measured"
        if row["file"]:
            file = workspace / "runs" / "my-model" / row["file"]
            assert file.stat().st_size == row["size_bytes"]


def test_second_run_does_nothing_again_and_says_the_same(
    project: Path, undisturbed: tuple[Path, object]
) -> None:
    workspace, first = undisturbed

    second = run(project, workspace)

    assert isinstance(first, dict)
    assert second["artifacts"] == first["artifacts"]
    kept = json.loads((workspace / "runs" / "my-model" / "record.json").read_text("utf-8"))
    assert kept == second
    assert not any(steps(project, workspace).values())


def test_changed_setting_reruns_what_depends_on_it(
    project: Path, undisturbed: tuple[Path, object]
) -> None:
    workspace, _ = undisturbed
    other = project.with_name("other.yaml")
    text = project.read_text(encoding="utf-8")
    other.write_text(text.replace("ranges: min_max", "ranges: mse"), encoding="utf-8")

    work = steps(other, workspace)

    assert [label for label, has_work in work.items() if has_work] == [
        "quantize onnx",
        "verify ONNX int8",
        "profile host",
    ]


SCORING = """
from edgekit.verification.scoring import Score

def classes(model, samples):
    (outputs,) = model(samples.inputs(0, 8)).values()
    return Score(float(outputs.shape[1]), "dB", higher_is_better=False)
"""


def test_a_function_of_the_recipe_scores_every_row(
    project: Path, undisturbed: tuple[Path, object]
) -> None:
    workspace, _ = undisturbed
    (project.parent / "scoring.py").write_text(SCORING, encoding="utf-8")
    text, _, _ = project.read_text(encoding="utf-8").partition("budget:")
    recipe = project.with_name("scored.yaml")
    recipe.write_text(f"{text}verify: {{function: scoring:classes}}\n", encoding="utf-8")

    record = run(recipe, workspace)

    assert isinstance(record["artifacts"], list)
    for row in record["artifacts"]:
        found = row["fidelity"]
        assert (found["metric"], found["unit"], found["loss"]) == ("classes", "dB", 0)
        assert found["candidate"] == 2
        assert found["agreement_percent"] > 0


def test_from_stage_makes_it_and_what_follows_again(
    project: Path, undisturbed: tuple[Path, object]
) -> None:
    workspace, _ = undisturbed

    work = steps(project, workspace, "--from", "verify")

    assert {label for label, has_work in work.items() if has_work} == {
        "verify PyTorch fp32",
        "verify PyTorch pruned",
        "verify ONNX fp32",
        "verify ONNX int8",
        "profile host",
    }


def test_unknown_stage_is_refused_with_the_closest(project: Path, tmp_path: Path) -> None:
    finished = edgekit(
        "run", project, "--trust-code", "--workspace", tmp_path, "--from", "exprot", code=2
    )

    assert "did you mean 'export'" in finished.stderr


def test_code_of_a_strange_recipe_does_not_run_untold(project: Path, tmp_path: Path) -> None:
    finished = edgekit("run", project, "--workspace", tmp_path, code=2)

    assert "--trust-code" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_run_killed_in_every_stage_ends_as_an_undisturbed_one(
    project: Path, undisturbed: tuple[Path, object], tmp_path: Path
) -> None:
    for stage in STAGES:
        kill_in(stage, project, tmp_path)

    record = run(project, tmp_path)

    assert digests(record) == digests(undisturbed[1])
    assert not list((tmp_path / "cache").glob("*/*.part-*"))


def test_two_runs_at_once_both_end_well(
    project: Path, undisturbed: tuple[Path, object], tmp_path: Path
) -> None:
    arguments = ("run", project, "--trust-code", "--workspace", tmp_path, "--json")

    both = [
        subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    outputs = [one.communicate(timeout=2 * PATIENCE_S)[0] for one in both]

    assert [one.returncode for one in both] == [0, 0]
    first, second = (json.loads(output) for output in outputs)
    assert first["artifacts"] == second["artifacts"]
    assert digests(first) == digests(undisturbed[1])


@pytest.fixture
def _interrupts_are_heard() -> Iterator[None]:
    """A shell that starts the tests in the background has children ignore Ctrl-C: undo that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interrupts_are_heard")
def test_interrupt_ends_the_run_with_130_and_says_what_is_kept(
    project: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command("run", project, "--trust-code", "--workspace", tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_in("model", tmp_path, process)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "run the same command again" in errors
    assert finished_results("data", tmp_path)
    assert not list((tmp_path / "cache").glob("*/*.part-*"))


def test_full_disk_ends_the_run_with_the_reason(project: Path, tmp_path: Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        if os.environ.get("CI"):
            pytest.fail("CI must be able to mount a tmpfs")
        pytest.skip("mounting a small tmpfs needs root")
    try:
        finished = edgekit("run", project, "--trust-code", "--workspace", tmp_path, code=2)

        assert "the disk is full" in finished.stderr
        assert not list((tmp_path / "cache").glob("*/*.part-*"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def kill_in(stage: str, recipe: Path, workspace: Path) -> None:
    """Kill a run while it works on a stage, and leave the stage unfinished."""
    for _ in range(20):
        victim = subprocess.Popen(
            command("run", recipe, "--trust-code", "--workspace", workspace),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_in(stage, workspace, victim)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        if not finished_results(stage, workspace):
            return
        # On a busy machine a short stage can be over before the signal comes.
        for place in finished_results(stage, workspace):
            shutil.rmtree(place)
    pytest.fail(f"{stage} was always over before it was killed")


def finished_results(stage: str, workspace: Path) -> list[Path]:
    found = (workspace / "cache" / stage).glob("*")
    return [place for place in found if place.is_dir() and ".part-" not in place.name]


def wait_until_in(
    stage: str, workspace: Path, process: subprocess.Popen[bytes] | subprocess.Popen[str]
) -> None:
    """Return as soon as a stage works on a result, before it can have finished."""
    deadline = time.monotonic() + PATIENCE_S
    while not list((workspace / "cache" / stage).glob("*.part-*")):
        assert process.poll() is None, f"the run ended before it came to {stage}"
        assert time.monotonic() < deadline, f"the run never came to {stage}"
        time.sleep(0.002)
