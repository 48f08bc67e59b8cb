import io
import sys

import pytest

from edgekit.cli.output import columns

ROWS = [["file", "/a/folder/with-a-long-name/model.onnx"], ["note", "one two three four five six"]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_columns_fold_within_the_last_one_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys, "stdout", Terminal())

    assert columns(ROWS).splitlines() == [
        "file  /a/folder/with-a-long-name/model.onnx",
        "note  one two three four five",
        "      six",
    ]


def test_columns_run_on_where_no_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys, "stdout", io.StringIO())

    assert columns(ROWS).splitlines() == [f"{key}  {text}" for key, text in ROWS]
