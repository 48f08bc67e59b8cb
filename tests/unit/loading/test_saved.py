"""What is saved comes back the same, pruned or not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support import onnx_models
from support.torch_models import CONVOLUTIONAL, FAMILIES, inputs_for, samples_for
from torch import nn

from edgekit.core import wire
from edgekit.core.artifact import file_sha256
from edgekit.core.model import Change, Model, SavedModel, run_module
from edgekit.core.samples import Example, save_samples
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.loading.factory import build_model
from edgekit.loading.onnx_importer import import_onnx
from edgekit.loading.saved import MODEL_FILE, WEIGHTS_FILE, load_model, save_model
from edgekit.loading.source import SOURCE_FILE, ModelSource, OnnxSource
from edgekit.pruning.prune import prune
from edgekit.pruning.settings import PruneSettings

CODE = "from support.torch_models import FAMILIES\n"
TIED = """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self, width=4, extra=False):
        super().__init__()
        self.embed = nn.Embedding(20, width)
        self.head = nn.Linear(width, 20, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("table", torch.arange(7.0), persistent=False)
        if extra:
            self.late = nn.Linear(2, 2)

    def forward(self, tokens):
        return self.head(self.embed(tokens) + self.table[:, None])

def build(width=4, extra=False):
    return Tied(width, extra)
"""


def family_source(folder: Path, family: str) -> ModelSource:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a_family.py").write_text(
        f"{CODE}\ndef build():\n    return FAMILIES['{family}'].build()\n"
    )
    return ModelSource("a_family:build", folder, None, {})


def tied_source(folder: Path, code: str = TIED) -> ModelSource:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tied_net.py").write_text(code)
    return ModelSource("tied_net:build", folder, None, {"width": 4})


def outputs(model: Model, family: str) -> dict[str, torch.Tensor]:
    inputs = {name: torch.from_numpy(value) for name, value in inputs_for(family, 3).items()}
    with torch.no_grad():
        return run_module(model.module, inputs)


def assert_equal_outputs(first: Model, second: Model, family: str) -> None:
    expected = outputs(first, family)
    for name, value in outputs(second, family).items():
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize("family", list(FAMILIES))
def test_every_family_comes_back_equal_bit_for_bit(family: str, tmp_path: Path) -> None:
    source = family_source(tmp_path / "code", family)
    model = build_model(source, samples_for(family, tmp_path / "samples"))

    loaded = load_model(save_model(model, source, tmp_path / "saved"))

    assert_equal_outputs(model, loaded, family)
    assert loaded.signature == model.signature


@pytest.mark.parametrize("family", [*CONVOLUTIONAL, "lstm", "attention", "encoder"])
def test_a_pruned_model_comes_back_equal_and_can_be_pruned_again(
    family: str, tmp_path: Path
) -> None:
    source = family_source(tmp_path / "code", family)
    samples = samples_for(family, tmp_path / "samples")
    model = build_model(source, samples)
    pruned = prune(model, samples, PruneSettings(50.0), np.random.default_rng(0))

    saved = save_model(pruned, source, tmp_path / "saved")
    loaded = load_model(saved)

    assert_equal_outputs(pruned, loaded, family)
    assert loaded.history == pruned.history
    assert saved.parameters == sum(p.numel() for p in pruned.module.parameters())
    again = prune(loaded, samples, PruneSettings(50.0), np.random.default_rng(0))
    assert_equal_outputs(again, load_model(save_model(again, source, tmp_path / "b")), family)


def test_no_file_of_a_saved_model_is_a_pickle(tmp_path: Path) -> None:
    source = family_source(tmp_path / "code", "mobile")
    model = build_model(source, samples_for("mobile", tmp_path / "samples"))

    saved = save_model(model, source, tmp_path / "saved")

    assert {file.name for file in saved.directory.iterdir()} == {MODEL_FILE, WEIGHTS_FILE}
    assert saved.size_bytes == (saved.directory / WEIGHTS_FILE).stat().st_size
    json.loads((saved.directory / MODEL_FILE).read_text())


def test_a_digest_tells_models_apart_and_forgets_places_and_history(tmp_path: Path) -> None:
    samples = samples_for("mobile", tmp_path / "samples")
    here, there = (family_source(tmp_path / name, "mobile") for name in ("here", "there"))
    model = build_model(here, samples)
    told = Model(model.module, model.signature, (Change("train", "0 epochs"),))
    pruned = prune(model, samples, PruneSettings(50.0), np.random.default_rng(0))

    digests = [
        save_model(one, source, tmp_path / f"saved{index}").sha256
        for index, (one, source) in enumerate(
            [(model, here), (model, there), (told, here), (pruned, here)]
        )
    ]

    assert digests[0] == digests[1] == digests[2]
    assert digests[3] != digests[0]


def test_a_saved_model_passes_between_processes_as_text(tmp_path: Path) -> None:
    source = family_source(tmp_path / "code", "mobile")
    model = build_model(source, samples_for("mobile", tmp_path / "samples"))
    saved = save_model(model, source, tmp_path / "saved")

    assert wire.decode(SavedModel, wire.encode(saved), source="test") == saved


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path: Path) -> None:
    source = tied_source(tmp_path / "code")
    model = build_model(source, samples_for("attention", tmp_path / "samples"))

    saved = save_model(model, source, tmp_path / "saved")
    loaded = load_model(saved)

    assert saved.parameters == 80
    assert saved.size_bytes < 2 * 80 * 4
    assert loaded.module.get_submodule("head").weight is loaded.module.get_submodule("embed").weight
    assert_equal_outputs(model, loaded, "attention")


def test_a_buffer_that_changed_is_kept_though_it_is_not_persistent(tmp_path: Path) -> None:
    source = tied_source(tmp_path / "code")
    model = build_model(source, samples_for("attention", tmp_path / "samples"))
    model.module.get_buffer("table").fill_(3.0)

    loaded = load_model(save_model(model, source, tmp_path / "saved"))

    assert_equal_outputs(model, loaded, "attention")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("extra=False", "extra=True", "'late.bias' is new; 'late.weight' is new"),
        ("self.head.weight =", "self.top =", "'top' is new"),
        ("self.head", "self.top", "'head.weight' is gone; 'top.weight' is new"),
    ],
)
def test_a_model_whose_code_changed_says_what_no_longer_fits(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    source = tied_source(tmp_path / "before")
    model = build_model(source, samples_for("attention", tmp_path / "samples"))
    saved = save_model(model, source, tmp_path / "saved")
    changed = tied_source(tmp_path / "after", TIED.replace(old, new))
    form = saved.directory / MODEL_FILE
    form.write_text(
        form.read_text().replace(str(source.code_directory), str(changed.code_directory))
    )

    with pytest.raises(InputRefusedError, match=message) as caught:
        load_model(saved)

    assert "no longer what 'tied_net:build' builds" in caught.value.message
    assert "run the recipe again" in caught.value.hint


def test_a_module_that_was_added_to_cannot_be_saved(tmp_path: Path) -> None:
    source = tied_source(tmp_path / "code")
    model = build_model(source, samples_for("attention", tmp_path / "samples"))
    model.module.add_module("late", nn.Linear(2, 2))

    with pytest.raises(UnsupportedError, match="other modules than 'tied_net:build' builds"):
        save_model(model, source, tmp_path / "saved")


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    source = tied_source(tmp_path / "code")
    model = build_model(source, samples_for("attention", tmp_path / "samples"))
    saved = save_model(model, source, tmp_path / "saved")
    (saved.directory / WEIGHTS_FILE).write_bytes(b"nothing")

    with pytest.raises(InputRefusedError, match=r"weights\.safetensors"):
        load_model(saved)


def image_of(model: Model) -> torch.Tensor:
    images = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        return run_module(model.module, {"image": torch.from_numpy(images)})["scores"]


def onnx_source(folder: Path) -> OnnxSource:
    file = onnx_models.write(onnx_models.cnn(), folder / "cnn.onnx")
    return OnnxSource(file, file_sha256(file), folder, Example({}))


def test_a_pruned_onnx_model_comes_back_without_the_file_it_came_from(tmp_path: Path) -> None:
    source = onnx_source(tmp_path)
    model = import_onnx(source.file)
    images = np.zeros((2, 1, 8, 8), np.float32)
    samples = save_samples(tmp_path / "samples", {"image": images})
    pruned = prune(model, samples, PruneSettings(50.0), np.random.default_rng(0))
    saved = save_model(pruned, source, tmp_path / "saved")
    source.file.unlink()
    moved = saved.directory.rename(tmp_path / "moved")

    loaded = load_model(replace(saved, directory=moved))

    assert torch.equal(image_of(loaded), image_of(pruned))
    assert saved.parameters < sum(p.numel() for p in model.module.parameters())
    assert {one.name for one in moved.iterdir()} == {MODEL_FILE, WEIGHTS_FILE, SOURCE_FILE}


def test_an_onnx_file_that_changed_since_is_refused(tmp_path: Path) -> None:
    source = onnx_source(tmp_path)
    saved = save_model(import_onnx(source.file), source, tmp_path / "saved")
    onnx_models.write(onnx_models.mlp(), saved.directory / SOURCE_FILE)

    with pytest.raises(InputRefusedError, match="is not the model file that it was"):
        load_model(saved)
