from dataclasses import replace

import pytest
from support.results import fidelity, latency, profile, row, rule_result

from edgekit.core.results import Level, Outcome, Unavailable, Verdict
from edgekit.reporting.notes import Note, files_notes, run_notes
from edgekit.reporting.words import (
    NOTHING,
    Standing,
    bytes_text,
    conditions_text,
    duration_text,
    latency_text,
    loss_text,
    percent_text,
    ratio_text,
    score_text,
    standing,
    standing_of,
    summary_text,
)

WHY = Unavailable("why")


def test_what_cannot_be_had_is_a_dash_everywhere() -> None:
    texts = {
        score_text(WHY),
        score_text(replace(fidelity(), candidate=WHY)),
        loss_text(WHY),
        loss_text(fidelity(WHY)),
        ratio_text(WHY),
        latency_text(WHY),
        duration_text(WHY),
        bytes_text(WHY),
        percent_text(WHY),
    }

    assert texts == {NOTHING}


@pytest.mark.parametrize(
    ("loss", "unit", "text"),
    [
        (0.25, "pp", "+0.25 pp"),
        (-0.25, "pp", "-0.25 pp"),
        (-0.0001, "pp", "+0.00 pp"),
        (0.0123, "", "+0.0123"),
        (1.5, "dB", "+1.5 dB"),
    ],
)
def test_loss_carries_its_sign_and_unit(loss: float, unit: str, text: str) -> None:
    assert loss_text(fidelity(loss, unit=unit)) == text


@pytest.mark.parametrize(("unit", "text"), [("pp", "97.25 %"), ("", "97.25"), ("dB", "97.25 dB")])
def test_score_of_a_metric_in_points_is_a_percentage(unit: str, text: str) -> None:
    assert score_text(fidelity(unit=unit)) == text


@pytest.mark.parametrize(
    ("low_ms", "high_ms", "text"),
    [
        (1.9, 2.1, "2.00 ms [1.90 – 2.10 ms] measured"),
        (0.9, 1.1, "1.00 ms [900.0 µs – 1.10 ms] measured"),
    ],
)
def test_latency_shows_interval_and_kind(low_ms: float, high_ms: float, text: str) -> None:
    assert latency_text(latency(low_ms, high_ms)) == text


def test_throttled_latency_is_marked() -> None:
    assert latency_text(latency(throttled=True)).endswith("measured, throttled")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], Standing.UNJUDGED),
        ([(Outcome.PASS, Level.ERROR)], Standing.OK),
        ([(Outcome.PASS, Level.ERROR), (Outcome.INCONCLUSIVE, Level.ERROR)], Standing.INCONCLUSIVE),
        ([(Outcome.INCONCLUSIVE, Level.ERROR), (Outcome.FAIL, Level.WARN)], Standing.WARNED),
        ([(Outcome.FAIL, Level.WARN), (Outcome.FAIL, Level.ERROR)], Standing.OVER),
    ],
)
def test_standing_is_the_worst_outcome(
    outcomes: list[tuple[Outcome, Level]], expected: Standing
) -> None:
    rules = [rule_result(outcome, level=level) for outcome, level in outcomes]

    assert standing(rules) is expected


def test_standing_of_an_artifact_ignores_rules_on_others() -> None:
    verdict = Verdict((rule_result(Outcome.FAIL, artifact="another"), rule_result()))

    assert standing_of(row(), verdict) is Standing.OK
    assert standing_of(row(), None) is Standing.UNJUDGED


def test_summary_counts_misses_by_level() -> None:
    rules = (
        rule_result(),
        rule_result(Outcome.FAIL),
        rule_result(Outcome.FAIL, level=Level.WARN),
        rule_result(Outcome.INCONCLUSIVE),
    )

    assert summary_text(Verdict(rules)) == (
        "budget not kept: 4 checks (1 missed, 1 missed at level warn, 1 inconclusive)"
    )
    assert summary_text(Verdict(rules[:1])) == "budget kept: 1 check"


def test_conditions_name_every_runtime_and_the_fewest_runs() -> None:
    slow = replace(latency(), runs=5, threads=2)
    profiles = [profile(), profile(latency=slow, runtime="litert", runtime_version="2.3")]

    assert (
        conditions_text(profiles) == "onnxruntime 1.31.1, litert 2.3; 1–2 threads; 5–300 runs each"
    )
    assert conditions_text([profile(latency=WHY)]) == "onnxruntime 1.31.1"


def test_missing_operator_times_are_noted_for_files_and_missing_accuracy_is_not() -> None:
    untimed = replace(latency(), operators=Unavailable("no profiler"))
    bare = row(fidelity=WHY, profiles=(profile(latency=untimed),), notes=("odd",))

    assert files_notes([bare]) == [
        Note("onnx-int8", "odd"),
        Note("onnx-int8 on host", "no operator times: no profiler"),
    ]


def test_missing_parts_of_a_comparison_are_noted_for_a_run() -> None:
    half = replace(fidelity(WHY), candidate=WHY)

    assert run_notes([row(fidelity=half)]) == [
        Note("onnx-int8", "no top1: why"),
        Note("onnx-int8", "no loss: why"),
    ]


def test_throttled_profile_is_noted() -> None:
    hot = row(profiles=(profile(latency=latency(throttled=True)),))

    assert "slowed down" in run_notes([hot])[0].text
