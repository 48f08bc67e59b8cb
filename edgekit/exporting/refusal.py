"""Says in a sentence why a converter refused a model; converters say it in pages."""

import re
import site
from collections.abc import Iterator
from pathlib import Path

from edgekit.errors import UnsupportedError

CONVERTER_ERRORS = (
    RuntimeError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    ImportError,
)
"""What PyTorch, JAX and litert-torch raise on a model that they cannot trace or translate."""

# torch.export, torch.fx and JAX each call it otherwise.
_ON_VALUES = re.compile(
    r"data-dependent|Could not guard|concrete value|NonConcrete|ConcretizationType"
    r"|TracerBoolConversion|abstract tracer",
    re.IGNORECASE,
)
_NO_TRANSLATION = re.compile(
    r"(?:Lowering not found: |No ONNX function found for .*?op='|translating node .*?target=torch"
    r"\.ops\.|No decompositions registered for .*?')(?P<name>[\w.:]+)"
)
_PLACES = re.compile(r'File:? "?(?P<file>[^"\n]+?\.py)"?(?::|, line )(?P<line>\d+)')
_LONGEST = 600
_OURS = Path(__file__).parents[1]


def refusal(error: BaseException, converter: str, file_format: str) -> UnsupportedError:
    """Return what to raise when `converter` ended with `error` on its way to `file_format`."""
    text = "\n".join(str(one) for one in _causes(error))
    place = _place(text)
    untranslated = _NO_TRANSLATION.search(text)
    start = f"{converter} cannot convert the model to {file_format}: "
    leave_out = f"or leave {file_format.lower()} out of export.formats"
    if _ON_VALUES.search(text):
        return UnsupportedError(
            f"{start}what its forward does depends on the values of tensors{place}",
            hint="its forward must not depend on the values of tensors (if, while, .item(), "
            f"indexing by a mask): write it with torch.where, {leave_out}",
        )
    if untranslated:
        return UnsupportedError(
            f"{start}there is no translation of {untranslated['name']}{place}",
            hint=f"write that layer with other operators, {leave_out}",
        )
    return UnsupportedError(
        f"{start}{first_line(text)}{place}", hint=f"rewrite the layer it names, {leave_out}"
    )


def first_line(text: str) -> str:
    """Return the first line that says something; the rest is advice to developers."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:_LONGEST] if lines else "it says nothing more"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield what went wrong, the innermost first."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return reversed(chain)


def _place(text: str) -> str:
    """Return the last line of the user's own code that the text names."""
    libraries = (*site.getsitepackages(), str(_OURS))
    own = [
        f" (at {found['file']}:{found['line']})"
        for found in _PLACES.finditer(text)
        if not found["file"].startswith(libraries) and Path(found["file"]).is_file()
    ]
    return own[-1] if own else ""
