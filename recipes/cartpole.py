"""A pole on a cart: a simulator, what a controller did in it, and a net that learns to do so.

Source:
    Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning
    control problems" (1983); constants, limits and Euler steps are those of CartPole-v1.
"""

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from edgekit.core.data import DataContext, Split
from edgekit.core.samples import Samples
from edgekit.verification.scoring import Infer, Score

GRAVITY, CART_KG, POLE_KG, HALF_POLE_M = 9.8, 1.0, 0.1, 0.5
FORCE_N, STEP_S = 10.0, 0.02
FURTHEST_M, STEEPEST = 2.4, 12 * np.pi / 180

LONGEST = 500
"""Steps after which an episode ends well; every step that the pole stands is worth 1."""

EPISODES = 20
"""Episodes that every policy plays; they start alike for all."""

SCALE = np.array([FURTHEST_M, 3.0, STEEPEST, 3.0])
"""What observations are divided by, so that all four lie between about -1 and 1."""

GAINS = np.array([1.0, 2.0, 25.0, 4.0])
"""The controller's: it pushes to where this weighted sum of place, speed, angle and spin points."""

SLIPS = 0.3
"""The share of its pushes that go a random way, so that it shows how to recover."""

Policy = Callable[[np.ndarray], np.ndarray]
"""Takes observations `[episodes, 4]` and returns actions `[episodes]`: 0 left, 1 right."""


def stepped(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Return states `[episodes, 4]` one step later, after a push to the left (0) or right (1)."""
    _, speed, angle, spin = states.T
    total = CART_KG + POLE_KG
    sine, cosine = np.sin(angle), np.cos(angle)
    push = np.where(actions == 1, FORCE_N, -FORCE_N)
    pulled = (push + POLE_KG * HALF_POLE_M * spin**2 * sine) / total
    turned = (GRAVITY * sine - cosine * pulled) / (
        HALF_POLE_M * (4 / 3 - POLE_KG * cosine**2 / total)
    )
    gained = pulled - POLE_KG * HALF_POLE_M * turned * cosine / total
    changes = np.stack([speed, gained, spin, turned], axis=1)
    moved: np.ndarray = states + STEP_S * changes
    return moved


def standing(states: np.ndarray) -> np.ndarray:
    """Return which episodes, of states `[episodes, 4]`, are not over."""
    place, angle = np.abs(states[:, 0]), np.abs(states[:, 2])
    alive: np.ndarray = (place <= FURTHEST_M) & (angle <= STEEPEST)
    return alive


def observed(states: np.ndarray) -> np.ndarray:
    """Return states `[episodes, 4]` as the net takes them."""
    scaled: np.ndarray = (states / SCALE).astype(np.float32)
    return scaled


def returns(policy: Policy, episodes: int, rng: np.random.Generator) -> np.ndarray:
    """Return how long the pole stood in each of `episodes`, in steps, at most `LONGEST`."""
    states = rng.uniform(-0.05, 0.05, (episodes, 4))
    steps, alive = np.zeros(episodes), np.ones(episodes, dtype=bool)
    for _ in range(LONGEST):
        states = stepped(states, policy(observed(states)))
        steps += alive
        alive &= standing(states)
    return steps


def mean_return(model: Infer, _samples: Samples) -> Score:
    """Return how long the pole stands on average, in steps, when a model pushes the cart."""

    def policy(observations: np.ndarray) -> np.ndarray:
        (logits,) = model({"observations": observations}).values()
        actions: np.ndarray = logits.argmax(axis=1)
        return actions

    return Score(float(returns(policy, EPISODES, np.random.default_rng(0)).mean()))


def controller(states: np.ndarray) -> np.ndarray:
    """Return the controller's actions for states `[episodes, 4]`."""
    actions: np.ndarray = (states @ GAINS > 0).astype(np.int64)
    return actions


def load(_context: DataContext) -> dict[str, Split]:
    """Return scaled observations `[samples, 4]` and the controller's action for each.

    Each split is of episodes of its own.
    """
    rng = np.random.default_rng(0)
    return {
        "train": recorded(100, rng),
        "calibration": recorded(5, rng),
        "test": recorded(25, rng),
    }


def recorded(episodes: int, rng: np.random.Generator) -> Split:
    """Return 200 steps of each of `episodes`; one that is over starts anew."""
    states = started(episodes, rng)
    seen, chosen = [], []
    for _ in range(200):
        actions = controller(states)
        seen.append(observed(states))
        chosen.append(actions)
        slipped = np.where(rng.random(episodes) < SLIPS, rng.integers(0, 2, episodes), actions)
        states = stepped(states, slipped)
        states = np.where(standing(states)[:, np.newaxis], states, started(episodes, rng))
    return Split({"observations": np.concatenate(seen)}, np.concatenate(chosen))


def started(episodes: int, rng: np.random.Generator) -> np.ndarray:
    """Return random states `[episodes, 4]`, up to half way to the end of an episode."""
    states: np.ndarray = rng.uniform(-0.5, 0.5, (episodes, 4)) * SCALE
    return states


class PolicyNet(nn.Module):
    """Two hidden layers and a logit for each action."""

    def __init__(self, width: int) -> None:
        """Take the size of both hidden layers."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2)
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Return logits `[rows, 2]` for scaled observations `[rows, 4]`."""
        logits: Tensor = self.layers(observations)
        return logits


def build(width: int) -> nn.Module:
    """Return the net with random weights; width 128 gives 17 000 parameters."""
    return PolicyNet(width)
