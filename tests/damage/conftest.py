from __future__ import annotations

import pytest
from ground import Ground


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Inputs of all scenes."""
    return Ground(tmp_path_factory.mktemp("damage") / "ground")
