from collections.abc import Iterator

import pytest

from edgekit.core import nursery


@pytest.fixture(scope="session", autouse=True)
def _kept_processes_end_with_the_tests() -> Iterator[None]:
    """What they have measured of coverage is written by the time it is read."""
    yield
    nursery.end_all_but(0)
