"""Take ONNX models that others ship to TFLite and int8, and print what becomes of them.

    python benchmarks/foreign_models.py [NAME ...] > docs/foreign-models.md

The models and photos come out of pinned wheels, through the machine's own pip, into edgekit's
cache; nothing of them is installed or kept in this repository. Photos and drawn text need Pillow,
speech the recordings of Debian's alsa-utils.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import wave
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image, ImageDraw, ImageFont

from edgekit.errors import EdgekitError
from edgekit.fetching.packages import cache_directory
from edgekit.fetching.python_package import Wheel, fetch_wheel, read_member

Images = npt.NDArray[np.float32]
Rows = dict[str, npt.NDArray[np.generic]]

PHOTOS = Wheel(
    "foolbox",
    "3.3.4",
    "foolbox-3.3.4-py3-none-any.whl",
    "11049d515d38e765e206a73ace9cc648b81a0d6d1da9ad9057e149ee117989cb",
    1677112,
)
SPEECH = Path("/usr/share/sounds/alsa")
SPEECH_RATE = 3
"""Recorded at 48 kHz, heard by the model at 16 kHz."""

COLUMNS = [
    "model",
    "package",
    "operators",
    "TFLite parity",
    "format",
    "SQNR",
    "agreement",
    "int8 bytes",
    "of float",
    "of float time",
    "int8 MACs",
]
HEAD = """# Models that others ship

What becomes of ONNX models out of public packages, printed by `python
benchmarks/foreign_models.py`. *Parity* is the largest difference of the float TFLite file from
the ONNX file, of the largest output. The rest compares an int8 file with the float file of its
format: signal over the noise that int8 makes, samples with the same largest output, bytes,
latency on the machine at hand (one thread), and the multiplications done in int8. Of a detector,
whose outputs are coordinates of many boxes, agreement says little.
"""


def main() -> int:
    """Print a row for each model and format, and return 1 when one could not be made."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FOREIGN))
    names = parser.parse_args().names or list(FOREIGN)
    print(HEAD)
    print(line(COLUMNS), line(["---"] * len(COLUMNS)), sep="\n")
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows = rows_of(name, FOREIGN[name], Path(folder))
            except (RuntimeError, EdgekitError) as error:
                failed += 1
                rows = [[name, FOREIGN[name].wheel.name, f"failed: {error}"]]
        print(*(line(row) for row in rows), sep="\n", flush=True)
    return int(failed > 0)


@dataclass(frozen=True)
class Foreign:
    """A model in a wheel, and the real inputs that it is calibrated and tested on."""

    wheel: Wheel
    member: str
    rows: Callable[[Path], Rows]


def rows_of(name: str, foreign: Foreign, folder: Path) -> list[list[str]]:
    """Return the cells of a model: a row for each format."""
    source, calib, test = (folder / one for one in ("model.onnx", "calib.npz", "test.npz"))
    place = fetch_wheel(foreign.wheel, cache_directory() / "foreign")
    read_member(place, foreign.member, source)
    rows = foreign.rows(source)
    half = len(next(iter(rows.values()))) // 2
    for file, part in ((calib, slice(half)), (test, slice(half, None))):
        np.savez(file, **{key: array[part] for key, array in rows.items()})  # type: ignore[arg-type]  # no input is called allow_pickle
    found = edgekit("inspect", source)
    made = edgekit("export", source, "--format", "tflite", "--data", calib)
    cells = []
    for path in (source, source.with_suffix(".tflite")):
        told = edgekit("quantize", path, "--calib", calib, "--test", test)
        pair = (path, path.with_suffix(f".int8{path.suffix}"))
        profiled = edgekit("profile", *pair, "--data", test)["artifacts"]
        plain_ns, small_ns = (one["profiles"][0]["latency"]["median_ns"] for one in profiled)
        report, fidelity = told["report"], told["fidelity"]
        agreement = fidelity["agreement_percent"]
        cells.append(
            [
                name,
                f"{foreign.wheel.name} {foreign.wheel.version}",
                str(sum(one["count"] for one in found["operators"])),
                f"{made['relative_error']:.1e}",
                path.suffix[1:],
                f"{fidelity['sqnr_db']:.1f} dB",
                "-" if not isinstance(agreement, float) else f"{agreement:.1f} %",
                f"{report['size_bytes'] / 1024:.0f} KiB",
                f"{report['size_bytes'] / report['float_size_bytes']:.2f}",
                f"{small_ns / plain_ns:.2f}",
                f"{report['int8_macs_percent']:.0f} %",
            ]
        )
    return cells


def edgekit(*words: object) -> dict:  # type: ignore[type-arg]  # whatever the command prints
    """Run a command and return what it prints.

    Raises:
        RuntimeError: It failed.
    """
    argv = [sys.executable, "-m", "edgekit", *map(str, words), "--json", "-q"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        told = json.loads(ran.stderr[ran.stderr.index("{") :])["error"]["message"]
        raise RuntimeError(f"{words[0]}: {' '.join(told.split())[:300]}")
    found: dict = json.loads(ran.stdout)  # type: ignore[type-arg]  # as above
    return found


def line(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def photos(size: int, count: int) -> Images:
    """Return square cuts of twenty photos, `[count, 3, size, size]`, from 0 to 1."""
    with zipfile.ZipFile(fetch_wheel(PHOTOS, cache_directory() / "foreign")) as wheel:
        names = [one for one in sorted(wheel.namelist()) if "/imagenet_" in one]
        pictures = [Image.open(wheel.open(name)).convert("RGB") for name in names]
    rng = np.random.default_rng(0)
    found = []
    for at in range(count):
        photo = pictures[at % len(pictures)]
        side = int(min(photo.size) * rng.uniform(0.6, 1))
        x, y = (int(rng.integers(0, whole - side + 1)) for whole in photo.size)
        cut = photo.crop((x, y, x + side, y + side)).resize((size, size))
        found.append(np.asarray(cut, np.float32).transpose(2, 0, 1) / 255)
    return np.stack(found)


def text_lines(_model: Path) -> Rows:
    """Return pictures of words, half of them upside down, `[128, 3, 48, 192]`, from -1 to 1."""
    rng = np.random.default_rng(0)
    words = (Path(__file__).parents[1] / "README.md").read_text(encoding="ascii", errors="ignore")
    found = []
    for at in range(128):
        paper, ink = (tuple(map(int, rng.integers(low, low + 80, 3))) for low in (175, 20))
        picture = Image.new("RGB", (192, 48), paper)
        text = " ".join(map(str, rng.choice(words.split(), 3)))[:16]
        font = ImageFont.load_default(float(rng.integers(22, 36)))
        ImageDraw.Draw(picture).text((6, int(rng.integers(2, 10))), text, font=font, fill=ink)
        turned = picture.rotate(180 * (at % 2))
        found.append(np.asarray(turned, np.float32)[..., ::-1].transpose(2, 0, 1) / 127.5 - 1)
    return {"x": np.stack(found)}


def spoken(model: Path) -> Rows:
    """Return windows of speech with the state that the model itself has before each.

    Raises:
        RuntimeError: There are no recordings.
    """
    parts = []
    for file in sorted(SPEECH.glob("*.wav")):
        with wave.open(str(file)) as sound:
            channels, frames = sound.getnchannels(), sound.readframes(sound.getnframes())
        first = np.frombuffer(frames, np.int16)[::channels].astype(np.float32) / 32768
        whole = len(first) // SPEECH_RATE * SPEECH_RATE
        parts.append(first[:whole].reshape(-1, SPEECH_RATE).mean(1))
    if not parts:
        raise RuntimeError(f"no speech in {SPEECH}: apt-get install alsa-utils")
    speech = np.concatenate(parts).astype(np.float32)
    session = onnxruntime.InferenceSession(model)
    state = np.zeros((2, 1, 128), np.float32)
    rows, states = [], []
    for start in range(0, len(speech) - 576, 512):
        rows.append(speech[start : start + 576])
        states.append(state)
        state = session.run(["stateN"], {"input": rows[-1][np.newaxis], "state": state})[0]
    return {"input": np.stack(rows), "state": np.stack(states)}


FOREIGN = {
    "silero-vad": Foreign(
        Wheel(
            "silero-vad",
            "6.2.3",
            "silero_vad-6.2.3-py3-none-any.whl",
            "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
            11317527,
        ),
        "silero_vad/data/silero_vad_openvino_16k.onnx",
        spoken,
    ),
    "ppocr-cls": Foreign(
        Wheel(
            "rapidocr-onnxruntime",
            "1.4.4",
            "rapidocr_onnxruntime-1.4.4-py3-none-any.whl",
            "971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf",
            14915192,
        ),
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        text_lines,
    ),
    "nudenet-320n": Foreign(
        Wheel(
            "nudenet",
            "3.4.2",
            "nudenet-3.4.2-py3-none-any.whl",
            "5937dbd84e5d8e5de038f08ffea5a1bb50a08475776bf2b4795914ce0eaf0331",
            10595223,
        ),
        "nudenet/320n.onnx",
        lambda _model: {"images": photos(320, 40)},
    ),
}

if __name__ == "__main__":
    raise SystemExit(main())
