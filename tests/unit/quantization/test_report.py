from pathlib import Path

from edgekit.quantization.report import FloatOperators, QuantizationReport


def test_what_stays_float_is_told_by_reason_and_the_most_first() -> None:
    left = (
        FloatOperators("Add", 2, "between floats"),
        FloatOperators("LayerNormalization", 3, "no kernel"),
        FloatOperators("Mul", 4, "between floats"),
    )
    report = QuantizationReport(Path("m"), 1, 4, 8, 97.26, left, ())

    assert report.float_reasons() == (
        "4 Mul, 2 Add: between floats",
        "3 LayerNormalization: no kernel",
    )
    assert report.int8_share() == "97.3 % of the multiplications are int8"
