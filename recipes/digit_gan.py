"""A generator that draws the digit it is asked for, and its training against a discriminator."""

from pathlib import Path

import numpy as np
import small_images
import torch
from mnist_data import load as load_digits
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  as everywhere
from torch.nn.utils.parametrizations import spectral_norm
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgekit.core.data import DataContext, Split
from edgekit.core.samples import Samples
from edgekit.errors import UsageError
from edgekit.training.context import TrainingContext
from edgekit.verification.scoring import Infer, Score

LATENTS, DIGITS = 32, 10
"""How many numbers say how a digit looks, and how many digits there are."""

WIDTH = 16
"""Channels of the discriminator's first layer."""

BETAS = (0.5, 0.999)
"""Adam's, as DCGAN takes them: a short memory of gradients, which turn with the other net."""

JUDGE = "mnist-resnet.safetensors"
JUDGE_OPTIONS = {"width": 16, "classes": 10}
"""The net of another recipe that looks at what was drawn: its weights and its options."""

DIGIT_SHARE = 0.5
"""How much of both losses is whether the digit can be recognised."""

AVERAGED = 0.998
"""How much of the average stays at each step: it looks some 500 steps back."""

FURTHEST = 3
"""By how many pixels images are moved before they are judged."""


class Generator(nn.Module):
    """Numbers and a digit become an image, through two transposed convolutions."""

    def __init__(self, width: int) -> None:
        """Take the channels before the last layer."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(LATENTS + DIGITS, 2 * width * 49, bias=False),
            nn.Unflatten(1, (2 * width, 7, 7)),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, latents: Tensor, digit: Tensor) -> Tensor:
        """Return images `[rows, 1, 28, 28]` between 0 and 1.

        Takes normal `latents`, `[rows, 32]`, and `digit`, `[rows, 10]`: 1 for the one asked for.
        """
        images: Tensor = self.layers(torch.cat([latents, digit], dim=1))
        return images


class Discriminator(nn.Module):
    """Says whether an image is real and of the digit it is said to be, and which digit it shows.

    Source:
        Miyato and Koyama, "cGANs with projection discriminator" (2018).
    """

    def __init__(self) -> None:
        """Build it with random weights."""
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(1, WIDTH, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(WIDTH, 2 * WIDTH, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(2 * WIDTH, 4 * WIDTH, 3, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
        )
        self.real = spectral_norm(nn.Linear(4 * WIDTH * 16, 1))
        self.of_digit = spectral_norm(nn.Linear(DIGITS, 4 * WIDTH * 16, bias=False))
        self.digit = nn.Linear(4 * WIDTH * 16, DIGITS)

    def forward(self, images: Tensor, digit: Tensor) -> tuple[Tensor, Tensor]:
        """Return how real images `[rows, 1, 28, 28]` are, `[rows]`, and logits `[rows, 10]`.

        `digit`, `[rows, 10]`, is 1 for the one that an image is said to show.
        """
        features = self.layers(images)
        fitting = (features * self.of_digit(digit)).sum(dim=1)
        return self.real(features)[:, 0] + fitting, self.digit(features)


def build(width: int) -> nn.Module:
    """Return the generator with random weights."""
    return Generator(width)


def load(context: DataContext) -> dict[str, Split]:
    """Return fixed latents, and a digit for each: 3500 with its real image, 500 and 1000 without.

    The first 1000 rows ask for every digit equally often.
    """
    rng = np.random.default_rng(0)
    real = load_digits(context)["train"]
    assert real.labels is not None, "digits are labelled"
    return {
        "train": Split(_asked(real.labels, rng), real.inputs["images"]),
        "calibration": Split(_asked(np.arange(500) % DIGITS, rng)),
        "test": Split(_asked(np.arange(1000) % DIGITS, rng)),
    }


def recognised(model: Infer, samples: Samples) -> Score:
    """Return the share of images in which another net, `JUDGE`, sees the digit asked for."""
    judge = small_images.resnet(**JUDGE_OPTIONS).eval()
    judge.load_state_dict(load_file(Path(__file__).with_name(JUDGE)))
    asked = samples.inputs()
    (images,) = model(asked).values()
    with torch.inference_mode():
        seen = judge(torch.from_numpy(images)).argmax(dim=1).numpy()
    return Score(100 * float((seen == asked["digit"].argmax(axis=1)).mean()), "pp")


def train(module: nn.Module, samples: Samples, context: TrainingContext) -> None:
    """Let the generator and a discriminator learn from each other.

    The discriminator sees every image a little out of place, so that it cannot know few
    thousand by heart. What is kept is the generator's average over its last steps.

    Raises:
        UsageError: A loss stopped being a number.
    """
    discriminator = Discriminator()
    rate = context.settings.learning_rate
    painting = torch.optim.Adam(module.parameters(), rate, BETAS)
    judging = torch.optim.Adam(discriminator.parameters(), rate, BETAS)
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(AVERAGED), use_buffers=True)
    images, digits = (torch.from_numpy(a) for a in (samples.labels(), samples.inputs()["digit"]))
    for epoch in range(context.settings.epochs):
        losses = []
        for rows in context.batches(samples):
            digit = digits[rows]
            drawn = module(torch.randn(len(rows), LATENTS), digit)
            real, shown = discriminator(_moved(images[rows]), digit)
            fake, _ = discriminator(_moved(drawn.detach()), digit)
            doubt = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            _step(judging, doubt + DIGIT_SHARE * F.cross_entropy(shown, digit))
            fake, shown = discriminator(_moved(drawn), digit)
            losses.append(
                _step(painting, DIGIT_SHARE * F.cross_entropy(shown, digit) - fake.mean())
            )
            average.update_parameters(module)
        if not np.isfinite(losses).all():
            raise UsageError("training went astray", hint="lower learning_rate")
        note = f"loss {np.mean(losses):.2f}"
        context.progress.update("train", epoch + 1, context.settings.epochs, note)
    module.load_state_dict(average.module.state_dict())


def _asked(digits: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    latents = rng.standard_normal((len(digits), LATENTS)).astype(np.float32)
    return {"latents": latents, "digit": np.eye(DIGITS, dtype=np.float32)[digits]}


def _moved(images: Tensor) -> Tensor:
    """Return images `[rows, 1, height, width]`, all shifted alike by up to `FURTHEST` pixels."""
    down, right = torch.randint(-FURTHEST, FURTHEST + 1, (2,)).tolist()
    wider = F.pad(images, (FURTHEST,) * 4)
    moved = torch.roll(wider, (down, right), (2, 3))
    return moved[:, :, FURTHEST:-FURTHEST, FURTHEST:-FURTHEST]


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()
