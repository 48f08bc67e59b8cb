"""The recipe's own code is found, called, and blamed by file and line."""

import io
import os
import sys
from pathlib import Path

import pytest

from edgekit.errors import InputRefusedError, UsageError
from edgekit.loading.user_code import calling_user_code, load_function


def written(folder: Path, name: str, code: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    return folder


def test_a_function_and_the_modules_beside_it_are_found(tmp_path: Path) -> None:
    written(tmp_path, "my_parts", "SIZE = 3\n")
    written(tmp_path, "my_model", "import my_parts\ndef build():\n    return my_parts.SIZE\n")

    assert load_function("my_model:build", tmp_path)() == 3


def test_a_module_in_a_folder_is_found_by_its_dotted_name(tmp_path: Path) -> None:
    written(tmp_path / "my_models", "small", "def build():\n    return 'small'\n")

    assert load_function("my_models.small:build", tmp_path)() == "small"


def test_an_installed_module_can_be_named_as_well(tmp_path: Path) -> None:
    assert load_function("json:loads", tmp_path)("[1]") == [1]


def test_modules_of_one_recipe_do_not_reach_another(tmp_path: Path) -> None:
    first = written(tmp_path / "first", "my_shared", "VALUE = 1\ndef get():\n    return VALUE\n")
    second = written(tmp_path / "second", "my_shared", "VALUE = 2\ndef get():\n    return VALUE\n")
    written(first, "only_first", "def get():\n    return 1\n")

    assert load_function("only_first:get", first)() == 1
    assert load_function("my_shared:get", first)() == 1
    assert load_function("my_shared:get", second)() == 2
    with pytest.raises(UsageError, match="no module 'only_first'"):
        load_function("only_first:get", second)
    assert str(first) not in sys.path


def test_a_module_is_loaded_once(tmp_path: Path) -> None:
    written(tmp_path, "my_classes", "class Net:\n    pass\ndef get():\n    return Net\n")

    assert (
        load_function("my_classes:get", tmp_path)() is load_function("my_classes:get", tmp_path)()
    )


def test_nothing_is_left_in_the_recipes_folder(tmp_path: Path) -> None:
    written(tmp_path, "my_quiet", "def get():\n    return 1\n")

    load_function("my_quiet:get", tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["my_quiet.py"]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("my_model", "does not name a function"),
        ("my model:build", "does not name a function"),
        ("my_model:", "does not name a function"),
        ("my_modle:build", "no module 'my_modle' in .*; did you mean 'my_model'"),
        ("my_model:biuld", "has no function 'biuld'; did you mean 'build'"),
    ],
)
def test_a_wrong_name_gets_the_closest_one(reference: str, message: str, tmp_path: Path) -> None:
    written(tmp_path, "my_model", "def build():\n    return 1\n")

    with pytest.raises(UsageError, match=message):
        load_function(reference, tmp_path)


def test_a_file_cannot_stand_in_for_an_installed_module(tmp_path: Path) -> None:
    written(tmp_path, "colorsys", "def build():\n    return 1\n")

    with pytest.raises(UsageError, match="'colorsys' is the name of an installed module as well"):
        load_function("colorsys:build", tmp_path)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def build(:\n", r"importing 'my_broken' failed: .*my_broken\.py:1\)"),
        ("x = 1\nimport not_there_at_all\n", r"at .*my_broken\.py:2: ModuleNotFoundError: No mod"),
        ("raise SystemExit(3)\n", r"at .*my_broken\.py:1: SystemExit: 3"),
    ],
)
def test_code_that_cannot_be_imported_is_blamed_by_line(
    code: str, message: str, tmp_path: Path
) -> None:
    written(tmp_path, "my_broken", code)

    with pytest.raises(UsageError, match=message):
        load_function("my_broken:build", tmp_path)


def test_the_last_line_of_the_users_own_code_is_blamed(tmp_path: Path) -> None:
    written(
        tmp_path,
        "my_failing",
        "import json\n\ndef inner():\n    return json.loads('{')\n\n"
        "def build():\n    return inner()\n",
    )
    build = load_function("my_failing:build", tmp_path)

    with pytest.raises(UsageError) as caught, calling_user_code("'my_failing:build'"):
        build()

    assert caught.value.message.startswith(
        f"'my_failing:build' failed at {tmp_path}/my_failing.py:4: JSONDecodeError: Expecting"
    )


def test_an_interrupt_that_code_raises_is_its_own_mistake() -> None:
    why = r"^'f' failed: KeyboardInterrupt\n"

    with pytest.raises(UsageError, match=why), calling_user_code("'f'"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_code_that_closes_an_output_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, name, stream)

    with pytest.raises(UsageError, match="'f' closed stdout or stderr"), calling_user_code("'f'"):
        stream.close()


def test_an_error_without_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^'f' failed: KeyError\n"), calling_user_code("'f'"):
        raise KeyError


def test_edgekits_own_errors_pass_through() -> None:
    with pytest.raises(InputRefusedError, match="mine"), calling_user_code("'f'"):
        raise InputRefusedError("mine")


def test_the_working_folder_is_the_same_after_code_that_changes_it(tmp_path: Path) -> None:
    before = Path.cwd()

    with calling_user_code("the factory"):
        os.chdir(tmp_path)

    assert Path.cwd() == before
