"""Which operators of a model compute in int8, and why the others do not; for both formats."""

import fnmatch
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from edgekit.core.registry import did_you_mean
from edgekit.quantization.report import FloatOperators

ASKED = "kept in float as asked"
PRODUCT = "a product of two activations: int8 saves no bytes and costs two conversions"
HURTS = "in static int8 it costs the outputs most"
CARRIER = "not between two int8 operators"
BODY = "inside the body of another operator"
SLOWER = "between floats, int8 takes longer than float on tflite-runtime"
NARROW = "over so few channels, int8 takes longer than float on cores without int8 dot products"
SMALL = "at this size int8 takes longer than float"
_STORED = "; its weights are stored in int8"


@dataclass(frozen=True)
class Operator:
    """One operator of a graph: its name and type, and the tensors it reads and writes."""

    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def among(self, tensors: Collection[str]) -> "Operator":
        """Return the same operator with those of its inputs and outputs that are in `tensors`."""
        return replace(
            self,
            inputs=tuple(name for name in self.inputs if name in tensors),
            outputs=tuple(name for name in self.outputs if name in tensors),
        )

    def matches(self, patterns: Sequence[str]) -> bool:
        """Whether its name or its type fits one of `patterns`."""
        return any(
            fnmatch.fnmatchcase(self.name, pattern) or self.op_type == pattern
            for pattern in patterns
        )


@dataclass(frozen=True)
class Plan:
    """The names of the operators that become int8, and the reason of every other one.

    `reasons` holds, by name, the type of an operator that stays float, and why. Those that are
    `dynamic` read and write floats, and compute in int8 with scales that they find as they run.
    """

    int8: frozenset[str]
    reasons: dict[str, tuple[str, str]]
    dynamic: frozenset[str] = frozenset()

    def may_store(self, name: str) -> bool:
        """Whether the weights of an operator may be int8 though it computes in float."""
        return name in self.reasons and self.reasons[name][1] != ASKED

    def may_compute(self, name: str) -> bool:
        """Whether an operator that the plan leaves in float may get an int8 form of its own."""
        return self.may_store(name) and self.reasons[name][1] != HURTS

    def because(self, reason: str) -> frozenset[str]:
        """Return the names of the operators that stay float for one reason."""
        return frozenset(name for name, (_, why) in self.reasons.items() if why == reason)

    def without(self, names: Collection[str]) -> "Plan":
        """Return the plan with `names` no longer among those that stay float."""
        reasons = {name: why for name, why in self.reasons.items() if name not in names}
        return replace(self, reasons=reasons)

    def moved(self, operators: Sequence[Operator], reason: str) -> "Plan":
        """Return the plan with `operators` in float for one reason."""
        reasons = {operator.name: (operator.op_type, reason) for operator in operators}
        return replace(self, int8=self.int8 - {*reasons}, reasons=self.reasons | reasons)

    def left(self, stored: Collection[str] = ()) -> tuple[FloatOperators, ...]:
        """Count what stays float by type and reason; `stored` names those with int8 weights."""
        counts = Counter(
            (op_type, reason + _STORED if name in stored else reason)
            for name, (op_type, reason) in self.reasons.items()
        )
        return tuple(
            FloatOperators(op_type, count, reason)
            for (op_type, reason), count in sorted(counts.items())
        )


def sharing_weights(
    operators: Sequence[Operator], weighted: Collection[str], constants: Collection[str]
) -> tuple[tuple[str, ...], ...]:
    """Return the groups of tensors that meet the same weights, as the steps of a loop do.

    With one range for all of a group, its operators also share one int8 bias and its scales,
    which each would store for itself otherwise.
    """
    met: dict[str, dict[str, None]] = {}
    for operator in operators:
        if operator.name in weighted:
            values = [name for name in operator.inputs if name not in constants]
            for weight in {*operator.inputs} & {*constants}:
                met.setdefault(weight, {}).update(dict.fromkeys(values))
    return tuple(dict.fromkeys(tuple(values) for values in met.values() if len(values) > 1))


def unmatched_notes(operators: Iterable[Operator], patterns: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for every pattern that fits none of the operators."""
    known = list(operators)
    names = [one.name for one in known] + sorted({one.op_type for one in known})
    return tuple(
        f"keep_float: '{pattern}' matches no operator of this file{did_you_mean(pattern, names)}"
        for pattern in patterns
        if not any(one.matches([pattern]) for one in known)
    )


def with_carriers(
    operators: Sequence[Operator],
    weighted: Collection[str],
    carriers: Collection[str],
    absorbed: Collection[str] = (),
) -> frozenset[str]:
    """Return `weighted`, and those `carriers` that lie between members of the answer only.

    In float between two int8 operators, a carrier would cost a step out of int8 and one back;
    in int8 beside a float one, it would add rounding and save nothing. Inputs of the model and
    constants count as int8, outputs of the model do not. `operators` list float tensors only.
    Carriers that are `absorbed` need no int8 reader: the operator before them does their work.
    """
    writer = {name: operator.name for operator in operators for name in operator.outputs}
    readers: dict[str, list[str]] = {}
    for operator in operators:
        for name in operator.inputs:
            readers.setdefault(name, []).append(operator.name)
    candidates = [operator for operator in operators if operator.name in carriers]
    kept = {*weighted, *carriers}

    def is_between(operator: Operator) -> bool:
        before = {writer[name] for name in operator.inputs if name in writer}
        return before <= kept and all(
            operator.name in absorbed or (name in readers and kept.issuperset(readers[name]))
            for name in operator.outputs
        )

    while True:
        outside = {o.name for o in candidates if o.name in kept and not is_between(o)}
        if not outside:
            return frozenset(kept)
        kept -= outside
