"""The table of all families: what stands in its cells, and what it says where there is nothing."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from support.results import fidelity, latency, profile, record, row, rule_result

from edgekit.core.artifact import Precision
from edgekit.core.results import Emulation, Outcome, RunRecord, StepFailure, Unavailable, Verdict

EMULATION = Emulation("", 1, 1.0, 0.0, 0.0, 0.0, 0.0, (0,), 10.0, (), ())
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def families() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("families")


def one_format() -> RunRecord:
    plain = row(
        "ONNX fp32",
        size_bytes=200_000,
        precision=Precision.FP32,
        fidelity=fidelity(0.0),
        step_fidelity=replace(fidelity(0.0), sqnr_db=120.0),
        profiles=(profile(latency=latency(1.9, 2.1)),),
    )
    small = row(
        "ONNX int8",
        size_bytes=60_000,
        step_fidelity=fidelity(0.25),
        profiles=(profile(latency=latency(0.9, 1.1)),),
        notes=(
            "97.5 % of the multiplications are int8",
            "stays float: 2 Add, 1 Relu: not between two int8 operators",
            "it takes one sample at a time",
        ),
    )
    return replace(record(), artifacts=(plain, small), verdict=None, failures=())


def test_a_row_holds_the_figures_of_both_files_of_a_format(families: ModuleType) -> None:
    (cells,) = families.rows(one_format())

    assert cells[1:] == (
        "onnx",
        "1e-06",
        "top1",
        "97.50 %",
        "97.25 %",
        "+0.25 pp",
        "32.5 dB",
        "200000",
        "60000",
        "0.300",
        "0.50",
        "–",
        "97.5 %",
        "2 Add, 1 Relu: not between two int8 operators",
    )
    assert len(cells) == len(families.COLUMNS)


def test_an_int8_file_that_takes_longer_is_said_to(families: ModuleType) -> None:
    plain, small = one_format().artifacts
    note = "slower than ONNX fp32 on rpi4, 3.00 ms against 2.00 ms (1.50 times): conversions"
    slow = replace(small, notes=(note,))

    (cells,) = families.rows(replace(one_format(), artifacts=(plain, slow)))

    assert cells[-1] == (
        "**slower** than ONNX fp32 on rpi4, 3.00 ms against 2.00 ms (1.50 times): conversions"
    )


def test_the_board_has_a_column_of_its_own(families: ModuleType) -> None:
    taken = [
        replace(one, profiles=(*one.profiles, profile("rpi4", latency=latency(low_ms, low_ms))))
        for one, low_ms in zip(one_format().artifacts, (4.0, 3.0), strict=True)
    ]

    (cells,) = families.rows(replace(one_format(), artifacts=tuple(taken)))

    by_column = dict(zip(families.COLUMNS, cells, strict=True))
    assert (by_column["host"], by_column["rpi4"]) == ("0.50", "0.75")


def test_the_head_says_what_the_board_is_or_why_it_is_not_there(families: ModuleType) -> None:
    (plain, _) = one_format().artifacts
    run = record()
    absent = profile("rpi4", latency=Unavailable("no emulator; set one up"))
    there = replace(profile("rpi4", machine="emulated X"), emulation=EMULATION)
    emulated = replace(run, artifacts=(replace(plain, profiles=(there,)),))
    without = replace(run, artifacts=(replace(plain, profiles=(absent,)),))

    assert "on an emulated X, within 10 %. Goal" in one_line(families.head(emulated))
    assert "out of reach here: no emulator; set one up. Goal" in one_line(families.head(without))
    assert "that no recipe names" in one_line(families.head(replace(run, artifacts=())))


def one_line(text: str) -> str:
    """Return the text without its line breaks, whose places are no claim."""
    return " ".join(text.split())


def test_an_int8_file_over_its_goal_is_taken_apart(families: ModuleType) -> None:
    plain, small = one_format().artifacts
    large = replace(small, notes=(), size_bytes=80_000)

    (cells,) = families.rows(replace(one_format(), artifacts=(plain, large)))

    assert cells[-1] == (
        "**over 0.32**: of 80000 bytes 48000 int8, 2000 int32, and 10000 the graph and what the "
        "format keeps beside tensors"
    )


def test_a_format_that_failed_has_a_row_that_says_so(families: ModuleType) -> None:
    failure = StepFailure("export tflite", "it has an operator Foo", "leave it out", 4)

    rows = list(families.rows(replace(one_format(), failures=(failure,))))

    assert [cells[1] for cells in rows] == ["onnx", "tflite"]
    assert set(rows[1][2:-1]) == {"–"}
    assert rows[1][-1] == "**export tflite failed**: it has an operator Foo"


def test_a_missed_rule_is_named_in_the_row_of_its_format(families: ModuleType) -> None:
    rules = tuple(rule_result(outcome, artifact="ONNX int8") for outcome in Outcome)

    (cells,) = families.rows(replace(one_format(), verdict=Verdict(rules)))

    assert cells[-1].startswith(
        "**missed**: size of ONNX int8: 58.6 KiB, at most 32 KiB (over the limit); "
    )


def test_a_bar_in_a_cell_does_not_end_it(families: ModuleType) -> None:
    assert families.line(["a|b", "c"]) == "| a\\|b | c |"
