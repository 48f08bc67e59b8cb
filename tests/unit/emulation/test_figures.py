"""Operators, counters, threads and causes: what is made of what the guest left."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.emulated import BOARD, COUNTERS, FIT

from edgekit.core.artifact import Precision
from edgekit.emulation.causes import Evidence, causes, int8_pays
from edgekit.emulation.counters import Counters, read_counters
from edgekit.emulation.identity import identity_of
from edgekit.emulation.operators import (
    RUNTIME_ROW,
    OperatorCycles,
    fit_to_run,
    operators_of_onnxruntime,
    operators_of_tflite,
)
from edgekit.emulation.threads import refuse_threads, scaled_ns, told
from edgekit.errors import TargetUnavailableError, UsageError


def node(name: str, op_type: str, cycles: int) -> dict[str, object]:
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "dur": cycles,
        "args": {"op_name": op_type},
    }


RUN_END = {"cat": "Session", "name": "model_run", "dur": 1, "args": {}}


def write_profile(folder: Path, events: object) -> Path:
    path = folder / "profile.json"
    path.write_text(json.dumps(events))
    return path


def test_warm_up_is_left_out_of_onnxruntimes_profile(tmp_path: Path) -> None:
    events = [node("conv", "Conv", 900), RUN_END]
    events += [node("conv", "Conv", 100), node("fc", "Gemm", 20), RUN_END]
    events += [node("conv", "Conv", 102), node("fc", "Gemm", 20), RUN_END]

    found = operators_of_onnxruntime(write_profile(tmp_path, events), 1, 2)

    assert found == (OperatorCycles("conv", "Conv", 101.0), OperatorCycles("fc", "Gemm", 20.0))


def test_profile_without_warm_up_is_read_from_its_start(tmp_path: Path) -> None:
    events = [node("conv", "Conv", 900), RUN_END]

    assert operators_of_onnxruntime(write_profile(tmp_path, events), 0, 1)[0].cycles == 900


@pytest.mark.parametrize("events", [{"a": 1}, [], [{"cat": "Node"}], [5]])
def test_profile_of_another_shape_is_refused(tmp_path: Path, events: object) -> None:
    with pytest.raises(TargetUnavailableError, match="cannot be read"):
        operators_of_onnxruntime(write_profile(tmp_path, events), 1, 1)


def test_litert_operators_come_from_kernels_and_from_inside_delegates(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_text(
        "1 0 0 0 500 Invoke\n"
        "8 0 0 0 40 Convolution (NHWC, F32) IGEMM\n"
        "8 0 1 0 10 Convolution (NHWC, F32) IGEMM\n"
        "2 0 3 0 100 TfLiteXNNPackDelegate\n"
        "2 0 4 0 7 CUMSUM\n"
        "8 0 0 0 42 Convolution (NHWC, F32) IGEMM\n"
        "8 0 1 0 10 Convolution (NHWC, F32) IGEMM\n"
        "2 0 4 0 7 CUMSUM\n"
    )

    found = operators_of_tflite(path, 2)

    assert [(one.name, one.op_type, one.cycles) for one in found] == [
        ("Convolution (NHWC, F32) IGEMM #0", "Convolution (NHWC, F32) IGEMM", 41.0),
        ("Convolution (NHWC, F32) IGEMM #1", "Convolution (NHWC, F32) IGEMM", 10.0),
        ("CUMSUM #4", "CUMSUM", 7.0),
    ]


@pytest.mark.parametrize("text", ["8 0\n", "a b c d e f\n"])
def test_damaged_litert_events_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events"
    path.write_text(text)

    with pytest.raises(TargetUnavailableError, match="cannot be read"):
        operators_of_tflite(path, 1)


CYCLES = st.floats(min_value=0.0, max_value=1e9, allow_nan=False)


@given(st.lists(CYCLES, max_size=12), st.floats(min_value=1.0, max_value=1e9))
def test_operators_always_sum_to_the_run(cycles: list[float], run_cycles: float) -> None:
    operators = [OperatorCycles(str(i), "Conv", value) for i, value in enumerate(cycles)]

    rows = fit_to_run(operators, run_cycles)

    # What is negligible (a millionth) is not worth a row of its own.
    assert sum(row.cycles for row in rows) == pytest.approx(run_cycles, rel=2e-6)
    assert all(row.cycles >= 0.0 for row in rows)


def test_profiler_overhead_is_taken_from_every_operator_alike() -> None:
    operators = [OperatorCycles("a", "Conv", 1100.0), OperatorCycles("b", "Gemm", 300.0)]

    rows = fit_to_run(operators, 1200.0)

    assert [row.cycles for row in rows] == [1000.0, 200.0]


def test_what_the_runtime_spends_itself_is_a_row() -> None:
    rows = fit_to_run([OperatorCycles("a", "Conv", 900.0)], 1000.0)

    assert rows[-1] == OperatorCycles(RUNTIME_ROW, RUNTIME_ROW, 100.0)


def plugin_output(threads: int = 1) -> dict[str, object]:
    def region(number: int, cycles: float) -> dict[str, object]:
        return {
            "region": number,
            "detail": 0,
            "cycles": cycles,
            "memory_cycles": 1.5,
            "instructions": 100,
            "cache_misses": [7, 2],
            "store_misses": [3, 1],
            "classes": {"alu": 60, "simd_dot_q": 40},
        }

    return {
        "model": "1",
        "threads": threads,
        "regions": [region(0, 9.0), region(1, 50.5), region(3, 20.0), region(4, 1.0), region(3, 8)],
    }


def test_counters_are_those_of_the_first_counted_inference(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    path.write_text(json.dumps(plugin_output()))

    found = read_counters(path)

    assert (found.cycles, found.load_cycles, found.cache_misses) == (20.0, 50.5, (7, 2))
    assert found.memory_lines == 3
    assert found.share_percent("simd_dot") == 40.0
    assert found.share_percent("load", "alu") == 60.0


def test_second_thread_in_the_guest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    path.write_text(json.dumps(plugin_output(threads=2)))

    with pytest.raises(TargetUnavailableError, match="2 threads"):
        read_counters(path)


@pytest.mark.parametrize("text", ["", "{}", '{"threads": 1, "model": "1", "regions": []}', "[]"])
def test_damaged_counters_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "counters"
    path.write_text(text)

    with pytest.raises(TargetUnavailableError, match="cannot be read"):
        read_counters(path)


def test_missing_counters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailableError, match="cannot be read"):
        read_counters(tmp_path / "none")


def test_share_of_nothing_is_nothing() -> None:
    assert replace(COUNTERS, instructions=0).share_percent("load") == 0.0


def test_one_thread_takes_what_was_counted() -> None:
    assert scaled_ns(1e6, 1, 10, 100, BOARD, FIT) == 1e6


def test_all_cores_follow_the_law() -> None:
    expected = 8e6 / 4 + 20.0 * 1000 + 50e3 * 10

    assert scaled_ns(8e6, 4, 10, 1000, BOARD, FIT) == expected


@given(st.floats(min_value=1e6, max_value=1e12), st.integers(1, 3))
def test_more_threads_never_divide_better_than_their_number(time_ns: float, threads: int) -> None:
    assert scaled_ns(time_ns, threads + 1, 5, 10, BOARD, FIT) >= time_ns / (threads + 1)


def test_more_threads_than_cores_are_refused_with_the_number_that_works() -> None:
    refuse_threads(4, BOARD)

    with pytest.raises(UsageError, match="the board has 4 x cortex-a72") as caught:
        refuse_threads(5, BOARD)

    assert "--threads 4" in caught.value.hint


def test_scaling_is_told_with_its_constants() -> None:
    assert told(4, FIT) == (
        "counted with one thread and scaled to 4: T/4, plus up to 20 ns a line from memory "
        "and 50 µs a layer"
    )


DOTS = {"simd_dot_q": 300, "load": 200}


def evidence(
    *operators: tuple[str, float], core: str = "cortex-a76", counted: Counters | None = None
) -> Evidence:
    rows = [OperatorCycles(kind, kind, cycles) for kind, cycles in operators]
    return Evidence(
        Precision.INT8, rows, counted or replace(COUNTERS, classes=DOTS), identity_of(core)
    )


def test_model_without_faults_has_no_causes() -> None:
    assert causes(evidence(("QLinearConv", 99.0), ("Softmax", 1.0))) == ()


def test_core_without_dot_product_is_named_first() -> None:
    found = causes(evidence(("QLinearConv", 60.0), ("LSTM", 40.0), core="cortex-a53"))

    assert "no dot product" in found[0]
    assert "40 % of the time is in operators that run in float, not int8: LSTM" in found[1]


def test_a_kernel_that_goes_by_one_name_for_all_types_is_not_taken_for_float() -> None:
    hybrid = evidence(("FULLY_CONNECTED", 60.0), ("CONV_2D", 40.0))

    assert causes(hybrid) == ()


def test_unused_dot_product_is_told() -> None:
    (found,) = causes(
        evidence(("QLinearConv", 100.0), counted=replace(COUNTERS, classes={"simd_dot_q": 1}))
    )

    assert "only 0.1 %" in found


def test_dot_products_are_not_missed_where_there_is_little_to_multiply() -> None:
    counted = replace(COUNTERS, classes={"alu": 1000})

    assert causes(evidence(("(runtime)", 90.0), ("QLinearConv", 10.0), counted=counted)) == ()


@pytest.mark.parametrize(
    ("op_type", "words"),
    [
        ("QuantizeLinear", "quantizing and back"),
        ("Convert (NC, F32, QS8)", "quantizing and back"),
        ("Convert (NC)", "quantizing and back"),
        ("Static Reshape (NC)", "another order or shape"),
        ("Fully Connected (NC, F32) GEMM", "run in float"),
        ("FusedConv", "run in float"),
        ("Transpose (ND, X32) Transpose", "another order or shape"),
        ("ReorderInput", "another order or shape"),
    ],
)
def test_share_of_unwanted_work_is_told_with_its_operators(op_type: str, words: str) -> None:
    kernel = ("Convolution (NHWC, QC8) IGEMM", 90.0)

    (found,) = causes(evidence(kernel, (op_type, 10.0)))

    assert words in found
    assert found.startswith("10 % of the time")
    assert found.endswith(op_type)


@pytest.mark.parametrize("op_type", ["TRANSPOSE_CONV", "ConvTranspose", "QLinearConv"])
def test_transposed_convolution_is_no_reformatting(op_type: str) -> None:
    plain = replace(evidence((op_type, 100.0)), precision=Precision.FP32)

    assert causes(plain) == ()


def test_waiting_for_memory_is_told() -> None:
    plain = evidence(
        ("QLinearConv", 1.0),
        counted=replace(COUNTERS, classes=DOTS, cycles=1000.0, memory_cycles=400.0),
    )

    assert causes(plain)[0].startswith("40 % of the time waits for memory")


def test_run_without_cycles_waits_for_nothing() -> None:
    assert causes(evidence(counted=replace(COUNTERS, classes=DOTS, cycles=0.0))) == ()


@pytest.mark.parametrize(("int8", "words"), [(50.0, "pays here: 0.50"), (120.0, "does not pay")])
def test_int8_is_judged_by_the_time_of_float(int8: float, words: str) -> None:
    assert words in int8_pays(100.0, int8)
