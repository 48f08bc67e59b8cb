from support.results import latency, profile, row

from edgekit.core.results import LatencyKind, Profile, Unavailable
from edgekit.reporting.notes import condition_notes, files_notes, run_notes


def test_a_step_that_made_a_model_slower_is_told() -> None:
    before = row("ONNX fp32", profiles=(profile(latency=latency(1.0, 1.2)),))
    after = row("ONNX int8", made_from="ONNX fp32", profiles=(profile(latency=latency(1.9, 2.1)),))

    notes = run_notes([before, after])

    assert "ONNX int8 on host: slower than ONNX fp32, 2.00 ms against 1.10 ms" in notes


def test_intervals_that_meet_and_times_of_another_kind_are_not_compared() -> None:
    before = row("a", profiles=(profile(latency=latency(1.0, 2.0)),))
    meets = row("b", made_from="a", profiles=(profile(latency=latency(1.9, 2.1)),))
    emulated = latency(3.0, 4.0, kind=LatencyKind.EMULATED)
    other = row("c", made_from="a", profiles=(profile(latency=emulated),))
    elsewhere = row("d", made_from="a", profiles=(profile("rpi4", latency=latency(5.0, 6.0)),))

    notes = run_notes([before, meets, other, elsewhere])

    assert [note for note in notes if "slower" in note] == []


def unreached(target: str, reason: str = "it is not set up") -> Profile:
    why = Unavailable(reason)
    return profile(target, latency=why, load_ns=why, peak_memory_bytes=why)


def test_a_target_that_nothing_could_be_had_of_is_told_once() -> None:
    rows = [row(label, profiles=(profile(), unreached("rpi4"))) for label in ("a", "b")]

    for told in (run_notes(rows), files_notes(rows)):
        assert [note for note in told if "rpi4" in note] == ["rpi4: not profiled: it is not set up"]
    assert [line.split(":")[0] for line in condition_notes(rows)] == ["host"]


def test_models_that_failed_on_a_target_are_told_one_by_one() -> None:
    rows = [
        row("a", profiles=(unreached("rpi4", "too large"),)),
        row("b", profiles=(profile("rpi4"),)),
    ]

    assert run_notes(rows) == [
        "a on rpi4: no latency: too large",
        "a on rpi4: no memory: too large",
        "a on rpi4: no load time: too large",
    ]
