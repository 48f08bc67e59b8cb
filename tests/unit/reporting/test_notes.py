from support.results import profile, row, rule_result

from edgekit.core.results import Level, Outcome, Profile, Unavailable, Verdict
from edgekit.reporting.notes import Note, condition_notes, files_notes, miss_notes, run_notes


def unreached(target: str, reason: str = "it is not set up") -> Profile:
    why = Unavailable(reason)
    return profile(target, latency=why, load_ns=why, peak_memory_bytes=why)


def test_a_target_that_nothing_could_be_had_of_is_told_once() -> None:
    rows = [row(label, profiles=(profile(), unreached("rpi4"))) for label in ("a", "b")]

    for told in (run_notes(rows), files_notes(rows)):
        assert [note for note in told if "rpi4" in note.about] == [
            Note("rpi4", "not profiled: it is not set up")
        ]
    assert [note.about for note in condition_notes(rows)] == ["host"]


def test_models_that_failed_on_a_target_are_told_one_by_one() -> None:
    rows = [
        row("a", profiles=(unreached("rpi4", "too large"),)),
        row("b", profiles=(profile("rpi4"),)),
    ]

    assert run_notes(rows) == [
        Note("a on rpi4", "no latency: too large"),
        Note("a on rpi4", "no memory: too large"),
        Note("a on rpi4", "no load time: too large"),
    ]


def test_missed_rules_come_by_how_bad_a_miss_is() -> None:
    rules = (
        rule_result(Outcome.INCONCLUSIVE),
        rule_result(Outcome.FAIL, level=Level.WARN),
        rule_result(),
        rule_result(Outcome.FAIL),
    )

    words = [line.split(":")[0] for line in miss_notes(Verdict(rules))]

    assert words == ["fail", "warn", "inconclusive"]
