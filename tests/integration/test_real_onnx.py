"""ONNX models that others made and ship go in, and come out as int8 in both formats."""

import importlib
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.realdata]

SOURCES = Path(__file__).parents[2]

# What int8 has to keep of each model, below what it kept when this was written: signal over
# noise in dB, and the share of the float file's bytes. Speech, text, photos, files.
KEPT = {
    "silero-vad": (25, 0.32),
    "ppocr-cls": (16, 0.42),
    "nudenet-320n": (25, 0.32),
    "magika": (30, 0.32),
    "efficientnet-lite0": (22, 0.32),
    "open-nsfw": (40, 0.32),
    "page-direction": (40, 0.32),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_model_out_of_a_public_package_becomes_int8_in_both_formats(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SOURCES / "benchmarks"))
    foreign = importlib.import_module("foreign_models")

    rows = foreign.rows_of(name, foreign.FOREIGN[name], tmp_path)

    assert [row[foreign.COLUMNS.index("format")] for row in rows] == ["onnx", "tflite"]
    for row in rows:
        cells = dict(zip(foreign.COLUMNS, row, strict=True))
        assert float(cells["TFLite parity"]) <= 1e-4
        assert float(cells["SQNR"].split()[0]) >= KEPT[name][0]
        assert float(cells["of float"]) <= KEPT[name][1]
        if name in CLASSIFIERS:
            assert float(cells["agreement"].split()[0]) >= 95


CLASSIFIERS = {"ppocr-cls", "magika", "efficientnet-lite0", "open-nsfw", "page-direction"}
