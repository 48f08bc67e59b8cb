"""What a table cannot hold: what was done, what was noticed, what could not be had and why."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from edgekit.core.results import (
    ArtifactResult,
    Latency,
    Level,
    Outcome,
    Profile,
    StepFailure,
    Unavailable,
    Verdict,
)
from edgekit.reporting.words import conditions_text, outcome_text, rule_text


@dataclass(frozen=True)
class Note:
    """A line about a row, a target or a step; those about the same thing stand together."""

    about: str
    text: str

    def __str__(self) -> str:
        return f"{self.about}: {self.text}"


def run_notes(rows: Sequence[ArtifactResult]) -> list[Note]:
    """Return the notes on results, each once, in the order of the rows."""
    unreached = _unreached(rows)
    notes = [Note(target, f"not profiled: {reason}") for target, reason in unreached.items()]
    notes += [note for row in rows for note in _row_notes(row, unreached)]
    return list(dict.fromkeys(notes))


def condition_notes(rows: Sequence[ArtifactResult]) -> list[Note]:
    """Return what each target is, and what the profiles on it were taken with."""
    places: dict[tuple[str, str], list[Profile]] = {}
    unreached = _unreached(rows)
    for row in rows:
        for profile in row.profiles:
            if profile.target not in unreached:
                places.setdefault((profile.target, profile.machine), []).append(profile)
    return [
        Note(target, f"{machine}; {conditions_text(profiles)}")
        for (target, machine), profiles in places.items()
    ]


def files_notes(rows: Sequence[ArtifactResult]) -> list[Note]:
    """Return the notes on bare files, whose accuracy nobody asked for."""
    unreached = _unreached(rows)
    notes = [Note(target, f"not profiled: {reason}") for target, reason in unreached.items()]
    done = [note for row in rows for note in (*_done_notes(row, unreached), *_operator_notes(row))]
    return notes + done


def miss_notes(verdict: Verdict | None) -> list[str]:
    """Return a line for every rule that did not pass: failed, then to warn of, then open ones."""
    rules = verdict.rules if verdict is not None else ()
    return [
        f"{outcome}: {rule_text(rule)}"
        for outcome in (Outcome.FAIL.value, Level.WARN.value, Outcome.INCONCLUSIVE.value)
        for rule in rules
        if outcome_text(rule) == outcome
    ]


def failure_notes(failures: Sequence[StepFailure]) -> list[str]:
    """Return the steps that failed while the others went on, and what helps."""
    return [
        f"{failure.step}: {failure.message}" + (f" ({failure.hint})" if failure.hint else "")
        for failure in failures
    ]


def _unreached(rows: Sequence[ArtifactResult]) -> dict[str, str]:
    """Return the targets that nothing could be had of, each with the one reason for all rows."""
    reasons: dict[str, set[str]] = {}
    for row in rows:
        for profile in row.profiles:
            figures = (profile.latency, profile.peak_memory_bytes, profile.load_ns)
            found = {one.reason if isinstance(one, Unavailable) else "" for one in figures}
            reasons.setdefault(profile.target, set()).update(found)
    single = {target: found.pop() for target, found in reasons.items() if len(found) == 1}
    return {target: reason for target, reason in single.items() if reason}


def _row_notes(row: ArtifactResult, unreached: Collection[str]) -> Iterator[Note]:
    yield from _missing(row.label, "accuracy", row.fidelity)
    if not isinstance(row.fidelity, Unavailable):
        yield from _missing(row.label, row.fidelity.metric, row.fidelity.candidate)
        yield from _missing(row.label, "loss", row.fidelity.loss)
    yield from _done_notes(row, unreached)


def _done_notes(row: ArtifactResult, unreached: Collection[str]) -> Iterator[Note]:
    for change in row.changes:
        yield Note(change.step, change.summary)
    for note in row.notes:
        yield Note(row.label, note)
    for profile in row.profiles:
        if profile.target not in unreached:
            yield from _profile_notes(row.label, profile)


def _operator_notes(row: ArtifactResult) -> Iterator[Note]:
    for profile in row.profiles:
        if isinstance(profile.latency, Latency):
            place = f"{row.label} on {profile.target}"
            yield from _missing(place, "operator times", profile.latency.operators)


def _profile_notes(label: str, profile: Profile) -> Iterator[Note]:
    place = f"{label} on {profile.target}"
    yield from _missing(place, "latency", profile.latency)
    yield from _missing(place, "memory", profile.peak_memory_bytes)
    yield from _missing(place, "load time", profile.load_ns)
    if isinstance(profile.latency, Latency) and profile.latency.throttled:
        yield Note(place, "the machine was slowed down meanwhile; expect less on a quiet one")


def _missing(place: str, what: str, value: object) -> Iterator[Note]:
    if isinstance(value, Unavailable):
        yield Note(place, f"no {what}: {value.reason}")
