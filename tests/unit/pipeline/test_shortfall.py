from dataclasses import replace

from support.results import NOT_COMPARED, fidelity, row

from edgekit.core.artifact import Precision
from edgekit.pipeline.shortfall import with_shortfalls

LOW = replace(fidelity(), sqnr_db=17.25, samples=300)


def test_an_int8_file_that_falls_short_of_the_goal_on_the_test_samples_says_so() -> None:
    short = row(step_fidelity=LOW, notes=("before",))

    (noted,) = with_shortfalls([short], goal_db=25)

    assert noted == replace(short, notes=noted.notes)
    assert noted.notes[0] == "before"
    assert noted.notes[1].startswith(
        "outputs have 17.2 dB of signal over noise on 300 test samples, less than the 25 dB"
    )


def test_rows_that_reach_the_goal_are_float_or_not_compared_say_nothing() -> None:
    rows = (
        row(step_fidelity=replace(LOW, sqnr_db=25.0)),
        row(step_fidelity=LOW, precision=Precision.FP32),
        row(step_fidelity=NOT_COMPARED),
    )

    assert with_shortfalls(rows, goal_db=25) == rows
