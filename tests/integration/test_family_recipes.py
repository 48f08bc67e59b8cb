"""The recipes that come with trained weights: what they promise, and whether they keep it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgekit.config.recipe import read_recipe
from edgekit.config.sections import FactoryModel
from edgekit.core.data import DataContext
from edgekit.core.model import run_module
from edgekit.core.progress import SILENT
from edgekit.core.samples import save_samples
from edgekit.loading.factory import build_model, build_module
from edgekit.loading.source import ModelSource
from edgekit.loading.train_function import train_function
from edgekit.loading.user_code import load_function
from edgekit.training.fit import fit
from edgekit.training.settings import FitSettings

pytestmark = pytest.mark.integration

RECIPES = Path(__file__).parents[2] / "recipes"
LARGEST_BYTES = 2**20
IMAGES_AND_POLICIES = (
    "cartpole-policy",
    "mnist-autoencoder",
    "mnist-cnn-transformer",
    "mnist-densenet",
    "mnist-gan",
    "mnist-resnet",
    "mnist-vit",
)


def test_how_they_are_made_again_is_kept_for_all_weights() -> None:
    told = tomllib.loads((RECIPES / "training.toml").read_text(encoding="utf-8"))

    assert {file.stem for file in RECIPES.glob("*.safetensors")} <= set(told)


@pytest.mark.parametrize("name", IMAGES_AND_POLICIES)
def test_weights_are_small_and_those_of_the_model(name: str) -> None:
    recipe = read_recipe(str(RECIPES / f"{name}.yaml"))
    assert isinstance(recipe.model, FactoryModel)
    assert recipe.model.weights is not None
    module = build_module(recipe.model.source(RECIPES))

    module.load_state_dict(load_file(recipe.model.weights))

    assert recipe.model.weights.stat().st_size <= LARGEST_BYTES
    assert recipe.train is None


def test_the_controller_keeps_the_pole_up_and_chance_does_not() -> None:
    returns = load_function("cartpole:returns", RECIPES)
    controller = load_function("cartpole:controller", RECIPES)
    scale = sys.modules["cartpole"].SCALE
    rng = np.random.default_rng(0)

    kept = returns(lambda seen: controller(seen * scale), 20, np.random.default_rng(1))
    fallen = returns(lambda seen: rng.integers(0, 2, len(seen)), 20, np.random.default_rng(1))

    assert kept.min() == 500
    assert fallen.max() < 200


def test_a_push_moves_the_cart_as_the_equations_say() -> None:
    stepped = load_function("cartpole:stepped", RECIPES)

    # Upright and at rest, a push of 10 N turns the pole by -F/m / (l (4/3 - m_p/m)) = -14.63.
    moved = stepped(np.zeros((1, 4)), np.array([1]))

    assert moved[0, [0, 2]].tolist() == [0, 0]
    assert moved[0, 3] == pytest.approx(0.02 * -(10 / 1.1) / (0.5 * (4 / 3 - 0.1 / 1.1)))
    assert moved[0, 1] == pytest.approx(0.02 * (10 / 1.1 - 0.05 * moved[0, 3] / 0.02 / 1.1))


def test_the_committed_policy_keeps_the_pole_up_and_one_that_never_turns_does_not() -> None:
    mean_return = load_function("cartpole:mean_return", RECIPES)
    module = load_function("cartpole:build", RECIPES)(width=128).eval()
    module.load_state_dict(load_file(RECIPES / "cartpole-policy.safetensors"))

    def net(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            return {"output": module(torch.from_numpy(inputs["observations"])).numpy()}

    def left(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"output": np.array([[1.0, 0.0]] * len(inputs["observations"]))}

    assert mean_return(net, None).value == 500
    assert mean_return(left, None).value < 20


def test_the_committed_generator_draws_digits_that_differ_and_are_recognised(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    asked = {
        "latents": rng.standard_normal((200, 32)).astype(np.float32),
        "digit": np.eye(10, dtype=np.float32)[np.arange(200) % 10],
    }
    module = load_function("digit_gan:build", RECIPES)(width=24).eval()
    module.load_state_dict(load_file(RECIPES / "mnist-gan.safetensors"))
    drawn: list[np.ndarray] = []

    def net(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with torch.no_grad():
            drawn.append(module(*(torch.from_numpy(inputs[name]) for name in asked)).numpy())
        return {"output": drawn[-1]}

    score = load_function("digit_gan:recognised", RECIPES)(net, save_samples(tmp_path, asked))

    assert score.value > 90
    # A generator that drew one picture of every digit would be recognised as well. Pixels of
    # real digits differ by 0.17 within a digit.
    assert np.mean([drawn[0][digit::10].std(axis=0).mean() for digit in range(10)]) > 0.08


def test_recorded_situations_are_scaled_and_ask_for_both_pushes() -> None:
    splits = load_function("cartpole:load", RECIPES)(DataContext(RECIPES, {}))

    observations, actions = splits["test"].inputs["observations"], splits["test"].labels
    assert observations.shape == (5000, 4)
    assert observations.dtype == np.float32
    assert np.abs(observations).max() < 1.5
    assert 0.4 < actions.mean() < 0.6


def test_a_generator_and_a_discriminator_learn_from_each_other(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    digits = np.eye(10, dtype=np.float32)[np.arange(64) % 10]
    asked = {"latents": rng.standard_normal((64, 32)).astype(np.float32), "digit": digits}
    images = rng.random((64, 1, 28, 28), dtype=np.float32)
    samples = save_samples(tmp_path, asked, images)
    source = ModelSource("digit_gan:build", RECIPES, None, {"width": 4})
    settings = FitSettings(epochs=2, batch_size=32, function="digit_gan:train")
    before = build_model(source, samples)

    after = fit(
        before,
        samples,
        settings,
        teacher=None,
        progress=SILENT,
        train=train_function(settings, RECIPES),
    )

    drawn = [
        run_module(one.module, {name: torch.from_numpy(value) for name, value in asked.items()})
        for one in (before, after)
    ]
    pictures = [outputs["output"].detach().numpy() for outputs in drawn]
    assert all(np.isfinite(one).all() for one in pictures)
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3


@pytest.mark.realdata
@pytest.mark.parametrize("name", IMAGES_AND_POLICIES)
def test_a_recipe_keeps_to_its_budget(name: str, tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "edgekit", "run", name, "--download", "--workspace", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
