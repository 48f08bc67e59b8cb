from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.results import fidelity, latency, profile, row

from edgekit.budget.baseline import baseline_of
from edgekit.budget.judge import judge
from edgekit.budget.rules import Budget, Growth, Kind, Metric, Rule
from edgekit.core.results import (
    ArtifactResult,
    LatencyKind,
    Level,
    Outcome,
    RuleResult,
    Unavailable,
)


def judged(rule: Rule, *rows: ArtifactResult) -> RuleResult:
    (result,) = judge(Budget((rule,)), rows or (row(),), None).rules
    return result


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [
        ("1.8 ms", Outcome.FAIL),
        ("2 ms", Outcome.INCONCLUSIVE),
        ("2.1 ms", Outcome.PASS),
        ("3 ms", Outcome.PASS),
    ],
)
def test_latency_is_judged_on_its_interval(limit: str, outcome: Outcome) -> None:
    taken = row(profiles=(profile(latency=latency(1.9, 2.1)),))

    assert judged(Rule(Metric.LATENCY, max=limit), taken).outcome is outcome


@given(
    bounds=st.tuples(st.floats(0.001, 1e3), st.floats(0.001, 1e3)).map(sorted),
    limit_us=st.integers(1, 10**6),
)
def test_at_most_and_at_least_never_both_fail_and_fail_only_beyond_the_interval(
    bounds: list[float], limit_us: int
) -> None:
    taken = row(profiles=(profile(latency=latency(*bounds)),))
    low_ns, high_ns, limit_ns = bounds[0] * 1e6, bounds[1] * 1e6, limit_us * 1000

    at_most = judged(Rule(Metric.LATENCY, max=f"{limit_us} us"), taken).outcome
    at_least = judged(Rule(Metric.LATENCY, min=f"{limit_us} us"), taken).outcome

    assert (at_most is Outcome.FAIL) == (low_ns > limit_ns)
    assert (at_least is Outcome.FAIL) == (high_ns < limit_ns)
    assert (at_most is Outcome.PASS) == (high_ns <= limit_ns)
    assert (at_least is Outcome.PASS) == (low_ns >= limit_ns)


def test_inconclusive_says_what_would_help_and_does_not_fail_the_gate() -> None:
    verdict = judge(Budget((Rule(Metric.LATENCY, max="2 ms"),)), (row(),), None)

    assert verdict.passed
    assert "more runs or a quieter machine" in verdict.rules[0].reason


def test_throttled_measurement_says_so_where_it_fails() -> None:
    taken = row(profiles=(profile(latency=latency(throttled=True)),))

    assert "slowed down" in judged(Rule(Metric.LATENCY, max="1 ms"), taken).reason


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (Rule(Metric.SIZE, max="60 kB"), Outcome.PASS),
        (Rule(Metric.SIZE, max="59999 B"), Outcome.FAIL),
        (Rule(Metric.SIZE_RATIO, max=0.35), Outcome.PASS),
        (Rule(Metric.SIZE_RATIO, max="20 %"), Outcome.FAIL),
        (Rule(Metric.LATENCY_P95, max="2 ms"), Outcome.FAIL),
        (Rule(Metric.LOAD_TIME, max="5 ms"), Outcome.PASS),
        (Rule(Metric.MEMORY, max="12 MiB"), Outcome.PASS),
        (Rule(Metric.MEMORY, max="11 MiB"), Outcome.FAIL),
        (Rule(Metric.INT8_MACS, min="99 %"), Outcome.FAIL),
        (Rule(Metric.SCORE, min="97 %"), Outcome.PASS),
        (Rule(Metric.LOSS, max="0.2 pp"), Outcome.FAIL),
        (Rule(Metric.LOSS, max="0.25 pp"), Outcome.PASS),
        (Rule(Metric.AGREEMENT, min="99 %"), Outcome.PASS),
        (Rule(Metric.COSINE, min=0.9999), Outcome.FAIL),
        (Rule(Metric.SQNR, min="30 dB"), Outcome.PASS),
    ],
    ids=str,
)
def test_every_metric_finds_its_figure(rule: Rule, outcome: Outcome) -> None:
    result = judged(rule)

    assert result.outcome is outcome
    assert result.actual != "–"


def test_steps_are_judged_against_what_they_were_given() -> None:
    source = row("onnx-fp32", size_bytes=200_000)
    made = row("onnx-int8", made_from="onnx-fp32", step_fidelity=fidelity(0.1))
    rules = (
        Rule(Metric.STEP_SIZE_RATIO, artifact="onnx-int8", max=0.3),
        Rule(Metric.STEP_LOSS, artifact="onnx-int8", max="0.1 pp"),
    )

    verdict = judge(Budget(rules), (source, made), None)

    assert [rule.outcome for rule in verdict.rules] == [Outcome.PASS, Outcome.PASS]


def test_sqnr_of_a_step_is_not_that_against_the_model_that_came_in() -> None:
    source = row("onnx-fp32")
    pruned = replace(fidelity(), sqnr_db=3.8)
    made = row("onnx-int8", made_from="onnx-fp32", fidelity=pruned, step_fidelity=fidelity())
    rules = (
        Rule(Metric.SQNR, artifact="onnx-int8", min="30 dB"),
        Rule(Metric.STEP_SQNR, artifact="onnx-int8", min="30 dB"),
    )

    verdict = judge(Budget(rules), (source, made), None)

    assert [rule.outcome for rule in verdict.rules] == [Outcome.FAIL, Outcome.PASS]
    assert [rule.actual for rule in verdict.rules] == ["3.8 dB", "32.5 dB"]


@pytest.mark.parametrize("metric", [Metric.STEP_SIZE_RATIO, Metric.STEP_LOSS])
def test_step_of_an_artifact_that_was_not_made_from_another_fails(metric: Metric) -> None:
    result = judged(Rule(metric, max=0.3))

    assert result.outcome is Outcome.FAIL
    assert "was not made from another" in result.reason


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        (Rule(Metric.SIZE_RATIO, max=0.3), row(size_ratio=Unavailable("why"))),
        (Rule(Metric.LOSS, max="1 pp"), row(fidelity=Unavailable("why"))),
        (Rule(Metric.LOSS, max="1 pp"), row(fidelity=fidelity(Unavailable("why")))),
        (Rule(Metric.LATENCY, max="1 s"), row(profiles=(profile(latency=Unavailable("why")),))),
        (Rule(Metric.LATENCY_P95, max="1 s"), row(profiles=(profile(latency=Unavailable("why")),))),
        (
            Rule(Metric.LATENCY, max="1 s", kind=Kind.MEASURED),
            row(profiles=(profile(latency=Unavailable("why")),)),
        ),
        (Rule(Metric.LOAD_TIME, max="1 s"), row(profiles=(profile(load_ns=Unavailable("why")),))),
        (
            Rule(Metric.MEMORY, max="1 GiB"),
            row(profiles=(profile(peak_memory_bytes=Unavailable("why")),)),
        ),
        (
            Rule(Metric.INT8_MACS, min="0 %"),
            row(profiles=(profile(int8_macs_percent=Unavailable("why")),)),
        ),
    ],
)
def test_missing_figure_fails_with_its_reason(rule: Rule, given: ArtifactResult) -> None:
    result = judged(rule, given)

    assert result.outcome is Outcome.FAIL
    assert result.reason == "why"
    assert result.actual == "–"


def test_rule_that_covers_no_artifact_fails_and_names_the_closest() -> None:
    result = judged(Rule(Metric.SIZE, artifact="onnx-int9", max="1 GiB"))

    assert result.outcome is Outcome.FAIL
    assert "did you mean 'onnx-int8'?" in result.reason


def test_rule_on_no_results_at_all_fails() -> None:
    verdict = judge(Budget((Rule(Metric.SIZE, max="1 GiB"),)), (), None)

    assert not verdict.passed


def test_rule_on_a_target_that_was_not_profiled_fails_and_lists_the_others() -> None:
    result = judged(Rule(Metric.LATENCY, target="rpi4", max="1 s"))

    assert result.outcome is Outcome.FAIL
    assert "profiled: host" in result.reason


def test_wildcard_on_a_board_means_the_files_and_not_the_pytorch_model() -> None:
    rule = Rule(Metric.LATENCY, target="rpi4", max="20 ms")
    model = row("PyTorch fp32", format=None, profiles=(profile("host"),))
    file = row("ONNX int8", profiles=(profile("rpi4"),))

    verdict = judge(Budget((rule,)), (model, file), None)

    assert [(one.artifact, one.outcome) for one in verdict.rules] == [("ONNX int8", Outcome.PASS)]
    assert judged(rule, model).outcome is Outcome.FAIL


def test_pattern_covers_every_artifact_and_target_it_matches() -> None:
    rows = [
        row(name, profiles=(profile("host"), profile("rpi4"), profile("phone")))
        for name in ("onnx-int8", "tflite-int8", "onnx-fp32")
    ]

    verdict = judge(
        Budget((Rule(Metric.LATENCY, artifact="*-int8", target="[hr]*", max="1 s"),)), rows, None
    )

    assert [(rule.artifact, rule.target) for rule in verdict.rules] == [
        ("onnx-int8", "host"),
        ("onnx-int8", "rpi4"),
        ("tflite-int8", "host"),
        ("tflite-int8", "rpi4"),
    ]


def test_latency_of_another_kind_is_not_judged() -> None:
    emulated = profile("rpi4", latency=latency(kind=LatencyKind.EMULATED))

    result = judged(Rule(Metric.LATENCY, max="1 s", kind=Kind.MEASURED), row(profiles=(emulated,)))

    assert result.outcome is Outcome.FAIL
    assert result.reason == "the rule is about measured latency, this one is emulated"


def test_kind_selects_among_profiles() -> None:
    emulated = profile("rpi4", latency=latency(kind=LatencyKind.EMULATED))

    result = judged(
        Rule(Metric.LATENCY, max="1 s", kind=Kind.EMULATED), row(profiles=(profile(), emulated))
    )

    assert (result.target, result.outcome) == ("rpi4", Outcome.PASS)


@pytest.mark.parametrize(
    ("limit", "unit"), [("1 pp", ""), ("1 dB", "pp"), (0.5, "pp"), ("1 pp", "dB")]
)
def test_limit_in_another_unit_than_the_metric_of_the_recipe_fails(
    limit: str | float, unit: str
) -> None:
    result = judged(Rule(Metric.LOSS, max=limit), row(fidelity=fidelity(0.0, unit=unit)))

    assert result.outcome is Outcome.FAIL
    assert "the limit in" in result.reason


def test_warning_does_not_fail_the_gate() -> None:
    verdict = judge(Budget((Rule(Metric.SIZE, max="1 B", level=Level.WARN),)), (row(),), None)

    assert verdict.rules[0].outcome is Outcome.FAIL
    assert verdict.passed


@pytest.mark.parametrize(
    ("now_bytes", "outcome"),
    [
        (100_000, Outcome.PASS),
        (90_000, Outcome.PASS),
        (104_000, Outcome.PASS),  # within the percentage
        (105_001, Outcome.FAIL),
    ],
)
def test_growth_is_judged_against_the_baseline(now_bytes: int, outcome: Outcome) -> None:
    baseline = baseline_of([row(size_bytes=100_000)])
    rule = Rule(Metric.SIZE, growth=Growth(percent=5.0, and_bytes=1024))

    (result,) = judge(Budget((rule,)), (row(size_bytes=now_bytes),), baseline).rules

    assert result.outcome is outcome
    assert "%" in result.actual


def test_growth_of_a_small_file_within_the_bytes_passes() -> None:
    baseline = baseline_of([row(size_bytes=1_000)])
    rule = Rule(Metric.SIZE, growth=Growth(percent=5.0, and_bytes=1024))

    (result,) = judge(Budget((rule,)), (row(size_bytes=2_000),), baseline).rules

    assert result.outcome is Outcome.PASS


@pytest.mark.parametrize("baseline", [None, baseline_of([row("another")])], ids=["none", "other"])
def test_growth_without_a_baseline_fails_and_says_what_writes_one(baseline: None) -> None:
    rule = Rule(Metric.SIZE, growth=Growth(percent=5.0))

    (result,) = judge(Budget((rule,)), (row(),), baseline).rules

    assert result.outcome is Outcome.FAIL
    assert "edgekit baseline update" in result.reason
