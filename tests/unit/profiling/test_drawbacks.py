"""What is said of an int8 file that is slower or larger than its float one."""

from dataclasses import replace

from support.results import latency, profile, row, size_bill

from edgekit.core.artifact import Format, Precision
from edgekit.core.results import ArtifactResult, LatencyKind, OperatorTime, Unavailable
from edgekit.profiling.drawbacks import (
    float_counterpart,
    larger_notes,
    slower_notes,
    with_drawbacks,
)

FLOAT = (OperatorTime("fused fc1", "FusedGemm", 3e3, 60.0), OperatorTime("fc2", "Gemm", 2e3, 40.0))
INT8 = (
    OperatorTime("in", "QuantizeLinear", 2e3, 20.0),
    OperatorTime("fc1", "QGemm", 4e3, 40.0),
    OperatorTime("fc2", "QGemm", 3e3, 30.0),
    OperatorTime("out", "DequantizeLinear", 1e3, 10.0),
)


def timed(
    label: str,
    low_ms: float,
    high_ms: float,
    operators: tuple[OperatorTime, ...] | Unavailable,
    **changes: object,
) -> ArtifactResult:
    taken = replace(latency(low_ms, high_ms), operators=operators)
    return row(label, profiles=(profile(latency=taken, int8_macs_percent=100.0),), **changes)  # type: ignore[arg-type]  # a test names the fields it is about


PLAIN = timed("ONNX fp32", 0.005, 0.0052, FLOAT, precision=Precision.FP32)
SMALL = timed("ONNX int8", 0.009, 0.0092, INT8, made_from="ONNX fp32")


def test_an_int8_file_that_is_slower_says_by_how_much_why_and_what_to_do() -> None:
    (_, small) = with_drawbacks([PLAIN, SMALL])

    (note,) = small.notes
    assert note == (
        "slower than ONNX fp32 on host, 9.1 µs against 5.1 µs (1.78 times): timed one by one, 2 "
        "conversions between float and int8 take 3.0 µs and the other operators take 7.0 µs "
        "instead of 5.0 µs; a net this small takes longer to start its operators than to compute; "
        "where time counts more than bytes, keep the float file"
    )


def test_an_operator_that_lost_most_of_the_time_is_named() -> None:
    slow = (INT8[0], replace(INT8[1], time_ns=20e3), INT8[2])

    (note,) = slower_notes(timed("ONNX int8", 0.02, 0.021, slow), PLAIN, [])

    assert "take" in note
    assert "23.0 µs instead of 5.0 µs, most in 'fc1': 20.0 µs as QGemm, 3.0 µs as FusedGemm" in note


def test_times_too_short_for_the_profiler_are_told_as_such() -> None:
    short = (replace(INT8[0], op_type="Convert (NC)", time_ns=0.0), replace(INT8[1], time_ns=0.0))

    (note,) = slower_notes(timed("TFLite int8", 0.02, 0.021, short), PLAIN, [])

    assert (
        "timed one by one, 1 conversion between float and int8 takes less than it can tell" in note
    )


def test_a_format_whose_file_is_faster_is_named() -> None:
    tflite = timed("TFLite int8", 0.004, 0.0041, INT8, format=Format.TFLITE)

    (note,) = slower_notes(SMALL, PLAIN, [PLAIN, SMALL, tflite])

    assert note.endswith("where time counts, TFLite int8 takes 4.0 µs")


def test_what_little_is_int8_is_told_where_operators_are_not_timed() -> None:
    unknown = Unavailable("they are not timed")
    slow = row(
        "ONNX int8",
        profiles=(
            profile(latency=replace(latency(3.0, 3.1), operators=unknown), int8_macs_percent=0.24),
        ),
    )

    (note,) = slower_notes(slow, timed("ONNX fp32", 2.0, 2.1, unknown), [])

    assert note == (
        "slower than ONNX fp32 on host, 3.05 ms against 2.05 ms (1.49 times): only 0.2 % of the "
        "multiplications are int8; where time counts more than bytes, keep the float file"
    )


def test_intervals_that_meet_are_no_difference() -> None:
    meets = timed("ONNX int8", 0.0051, 0.0092, INT8, made_from="ONNX fp32")

    assert with_drawbacks([PLAIN, meets])[1].notes == ()


def test_times_of_different_kinds_and_places_are_not_compared() -> None:
    emulated = latency(9.0, 9.5, kind=LatencyKind.EMULATED)
    other = row("b", profiles=(profile(latency=emulated), profile("rpi4", latency=emulated)))

    assert list(slower_notes(other, PLAIN, [])) == []


def test_emulated_times_differ_though_their_error_bands_meet() -> None:
    before, after = (
        row(
            name,
            profiles=(profile("rpi4", latency=latency(low, 0.012, kind=LatencyKind.EMULATED)),),
        )
        for name, low in (("float", 0.008), ("int8", 0.010))
    )

    (note,) = slower_notes(after, before, [])

    assert note.startswith("slower than float on rpi4, 11.0 µs against 10.0 µs (1.10 times)")
    assert "small" not in note


def test_of_a_step_that_is_not_to_int8_the_times_are_all_there_is_to_say() -> None:
    pruned = replace(SMALL, precision=Precision.FP32)

    assert list(slower_notes(pruned, PLAIN, [])) == [
        "slower than ONNX fp32 on host, 9.1 µs against 5.1 µs"
    ]


def test_a_larger_file_says_what_it_is_made_of() -> None:
    plain = row("a.onnx", size_bytes=60_000)
    large = row("b.onnx", size_bytes=70_000, profiles=(profile(size=size_bill(70_000)),))

    (note,) = larger_notes(large, plain)
    assert note == (
        "not smaller than a.onnx, 68.4 KiB against 58.6 KiB: 48.8 KiB of weights and 19.5 KiB of "
        "graph and names instead of 48.8 KiB of weights and 9.8 KiB of graph and names; scales "
        "and conversions take more bytes than int8 weights save; keep the float file"
    )
    assert list(larger_notes(plain, large)) == []
    assert list(larger_notes(replace(large, profiles=()), plain)) == [
        "not smaller than a.onnx, 68.4 KiB against 58.6 KiB"
    ]


def test_the_float_file_beside_an_int8_one_is_found_by_format_and_name() -> None:
    plain = row("net.onnx", precision=Precision.FP32)
    other = row("other.onnx", precision=Precision.FP32)
    tflite = row("net.tflite", precision=Precision.FP32, format=Format.TFLITE)
    small = row("net.int8.onnx")

    assert float_counterpart(small, [plain, tflite, small]) is plain
    assert float_counterpart(small, [other, plain, small]) is plain
    assert float_counterpart(row("x.onnx"), [other, plain]) is None
    assert float_counterpart(plain, [plain, other]) is None
