import io
import re
from dataclasses import replace

import pytest
from rich.console import RenderableType
from support.results import record, row, rule_result

from edgekit.core.results import Outcome, StepFailure, Verdict
from edgekit.reporting.terminal import gate_view, run_view, write


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_terminal_gets_colours() -> None:
    stream = Terminal()

    write(gate_view(record(), Verdict((rule_result(Outcome.FAIL),))), stream)

    assert "\x1b[" in stream.getvalue()


def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()

    write(gate_view(record(), Verdict((rule_result(Outcome.FAIL),))), stream)

    # Bold is no colour, and stays.
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", stream.getvalue())


def test_file_gets_plain_text_with_rows_in_one_piece() -> None:
    stream = io.StringIO()

    write(run_view(record()), stream)

    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert any("onnx-int8" in line and "over budget" in line for line in lines)
    assert all(line == line.rstrip() for line in lines)


def lines_at(width: int, view: RenderableType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    write(view, stream)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()
    assert all(len(line) <= width for line in lines)
    return lines


def test_a_wide_table_goes_on_below_with_its_names_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_at(80, run_view(replace(record(), verdict=None)), monkeypatch)

    named = [re.split(" {2,}", line.strip()) for line in lines if line.startswith("onnx-int8")]
    assert [cell for cells in named for cell in cells] == [
        *("onnx-int8", "97.25 %", "+0.25 pp", "58.6 KiB", "0.300"),
        *("onnx-int8", "2.00 ms [1.90 – 2.10 ms] measured", "12.00 MiB"),
        *("onnx-int8", "8.75 ms [8.00 – 9.50 ms] emulated", "12.00 MiB"),
    ]


def test_notes_on_one_thing_stand_below_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    view = run_view(replace(record(), artifacts=(row("a", notes=("one", "two")),)))

    lines = lines_at(80, view, monkeypatch)

    place = lines.index("  a")
    assert lines[place + 1 : place + 3] == ["    one", "    two"]


def test_narrow_terminal_loses_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_at(40, run_view(replace(record(), verdict=None)), monkeypatch)

    told = [line.split(maxsplit=1) for line in lines]
    assert {"pytorch", "onnx-int8", "tflite-int8"} <= {one[-1] for one in told if one}
    assert ["latency on host", "2.00 ms [1.90 – 2.10"] in [
        re.split(" {2,}", line) for line in lines
    ]


def test_names_are_shown_as_they_are_and_not_taken_for_markup() -> None:
    stream = io.StringIO()

    write(run_view(replace(record(), artifacts=(row("[red]:smile:"),))), stream)

    assert "[red]:smile:" in stream.getvalue()


def test_failed_step_is_shown_with_its_hint() -> None:
    failed = StepFailure("export tflite", "litert-torch is missing", "pip install it", 4)
    stream = io.StringIO()

    write(run_view(replace(record(), failures=(failed,))), stream)

    assert "export tflite: litert-torch is missing (pip install it)" in stream.getvalue()


def test_a_table_of_few_columns_breaks_no_word_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()

    write(gate_view(record(), Verdict((rule_result(Outcome.INCONCLUSIVE),))), stream)

    assert "inconclusive" in stream.getvalue()
