"""ONNX models that others made and ship go in, and come out as int8 TFLite."""

import importlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.commands import Shell

pytestmark = [pytest.mark.integration, pytest.mark.realdata]

ENDS_BYTES = 1024
SOURCES = Path(__file__).parents[2]


def first_and_last_bytes(limit: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Return both ends of files that are here, `[files, 2048]`: source, libraries, archives."""
    rows = []
    for place in (SOURCES, Path(np.__file__).parent):
        for file in sorted(place.rglob("*.*"))[: 50 * limit]:
            if file.is_file() and file.stat().st_size > 2 * ENDS_BYTES and ".git" not in file.parts:
                content = file.read_bytes().strip()
                rows.append(np.frombuffer(content[:ENDS_BYTES] + content[-ENDS_BYTES:], np.uint8))
    whole = [row for row in rows if len(row) == 2 * ENDS_BYTES]
    order = np.random.default_rng(0).permutation(len(whole))[:limit]
    return np.stack([whole[at] for at in order]).astype(np.int32)


def test_magika_becomes_int8_tflite_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "magika==1.0.3"]
    subprocess.run(pip, check=True, timeout=300)
    (wheel,) = tmp_path.glob("magika-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        Path("magika.onnx").write_bytes(archive.read("magika/models/standard_v3_3/model.onnx"))
    rows = first_and_last_bytes(128)
    np.savez("calib.npz", bytes=rows[:64])
    np.savez("test.npz", bytes=rows[64:])
    options = ["--format", "tflite", "--calib", "calib.npz", "--test", "test.npz"]

    ran = Shell(capsys)("quantize", "magika.onnx", *options, "--json", "-q")

    assert ran.code == 0, ran.err
    assert ran.json["fidelity"]["agreement_percent"] >= 98
    assert ran.json["report"]["size_bytes"] < 0.32 * Path("magika.onnx").stat().st_size


# What int8 has to keep of each model, below what it kept when this was written: signal over
# noise in dB, and the share of the float file's bytes. Speech, pictures of text, photos.
KEPT = {"silero-vad": (25, 0.32), "ppocr-cls": (18, 0.42), "nudenet-320n": (25, 0.32)}


@pytest.mark.parametrize("name", KEPT)
def test_a_model_out_of_a_public_package_becomes_int8_in_both_formats(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SOURCES / "benchmarks"))
    foreign = importlib.import_module("foreign_models")
    if name == "silero-vad" and not foreign.SPEECH.is_dir():
        pytest.skip("the recordings of Debian's alsa-utils are not here")

    rows = foreign.rows_of(name, foreign.FOREIGN[name], tmp_path)

    assert [row[foreign.COLUMNS.index("format")] for row in rows] == ["onnx", "tflite"]
    for row in rows:
        cells = dict(zip(foreign.COLUMNS, row, strict=True))
        assert float(cells["TFLite parity"]) <= 1e-4
        assert float(cells["SQNR"].split()[0]) >= KEPT[name][0]
        assert float(cells["of float"]) <= KEPT[name][1]
