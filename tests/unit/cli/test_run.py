"""The commands that run a recipe, here on a finished file so that nothing is trained."""

from pathlib import Path

import numpy as np
import pytest
from support import onnx_models
from support.commands import Shell

RECIPE = """
name: small
title: a small file
model: {file: cnn.onnx}
data: {calibration: calib.npz, test: test.npz}
quantize: {}
budget: {rules: [{metric: size, max: 1 MiB}]}
"""


@pytest.fixture
def recipe(shell: Shell) -> Path:
    images = np.random.default_rng(0).normal(size=(16, 1, 8, 8)).astype(np.float32)
    np.savez("calib.npz", image=images)
    np.savez("test.npz", image=images, labels=np.zeros(16, np.int64))
    onnx_models.write(onnx_models.cnn(), Path("cnn.onnx"))
    path = Path("small.yaml")
    path.write_text(RECIPE)
    return path


def test_a_dry_run_says_what_would_be_done_and_does_nothing(shell: Shell, recipe: Path) -> None:
    ran = shell("run", recipe, "--dry-run", "--json")

    assert ran.code == 0
    assert all(step["to_do"] for step in ran.json)
    assert any(step["step"] == "quantize onnx" for step in ran.json)
    assert not Path(".edgekit").exists()


def test_a_run_leaves_files_and_a_record_that_check_judges(shell: Shell, recipe: Path) -> None:
    ran = shell("run", recipe, "-o", "build")

    assert ran.code == 0
    assert "ONNX int8" in ran.out
    assert Path("build/record.json").is_file()
    assert shell("check", "build/record.json").code == 0
    assert shell("check", "build/record.json", "--format", "markdown").out.startswith("###")
    assert all(not step["to_do"] for step in shell("run", recipe, "--dry-run", "--json").json)
    again = shell("run", recipe, "-o", "build")
    assert (again.code, "--force" in again.err) == (2, True)


def test_a_run_over_budget_exits_1(shell: Shell, recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("1 MiB", "1 B"))

    ran = shell("run", recipe, "--json")

    assert (ran.code, ran.err) == (1, "")  # no progress either, so that errors are one document
    assert ran.json["verdict"]["rules"]
    assert shell("check").code == 1  # the newest record of the workspace


def test_an_unknown_stage_suggests_the_closest(shell: Shell, recipe: Path) -> None:
    ran = shell("run", recipe, "--from", "qantize")

    assert ran.code == 2
    assert "did you mean 'quantize'?" in ran.err


@pytest.mark.parametrize("command", ["run", "export"])
def test_code_of_a_users_recipe_needs_trust(shell: Shell, command: str) -> None:
    shell("init", "my")

    ran = shell(command, "my/recipe.yaml")

    assert ran.code == 2
    assert "--trust-code" in ran.err
    assert not Path(".edgekit").exists()


def test_a_finished_file_is_not_exported_again(shell: Shell, recipe: Path) -> None:
    ran = shell("export", recipe, "--format", "onnx")

    assert ran.code == 2
    assert "is an exported file already" in ran.err


def test_an_unknown_format_suggests_the_closest(shell: Shell) -> None:
    shell("init", "my")

    ran = shell("export", "my/recipe.yaml", "--format", "onx", "--trust-code")

    assert ran.code == 2
    assert "did you mean 'onnx'?" in ran.err


def test_the_folder_of_a_recipe_is_answered_with_its_file(shell: Shell) -> None:
    shell("init", "my")

    ran = shell("run", "my")

    assert (ran.code, "my/recipe.yaml" in ran.err) == (2, True)


def test_a_missing_file_names_the_closest_beside_it(shell: Shell, recipe: Path) -> None:
    ran = shell("inspect", "cnn.onx")

    assert (ran.code, "did you mean 'cnn.onnx'?" in ran.err) == (2, True)


def test_a_link_that_leads_nowhere_is_called_one(shell: Shell, recipe: Path) -> None:
    Path("link.onnx").symlink_to("cnn.onx")

    ran = shell("inspect", "link.onnx")

    assert (ran.code, "is a link that leads to no file" in ran.err) == (2, True)


def test_check_says_which_record_it_took(shell: Shell, recipe: Path) -> None:
    shell("run", recipe)

    assert shell("check").err.startswith("record: .edgekit/runs/small/record.json\n")


def test_an_output_folder_that_cannot_be_is_refused_before_any_work(
    shell: Shell, recipe: Path
) -> None:
    Path("file").touch()

    ran = shell("run", recipe, "-o", "file/build")

    assert (ran.code, Path(".edgekit").exists()) == (2, False)


def test_a_file_in_a_folder_that_may_not_be_read_is_a_usage_error(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", denied)

    ran = shell("inspect", "locked/cnn.onnx")

    assert (ran.code, "may not be read" in ran.err) == (2, True)
