"""The hooks that this plugin calls."""

from collections.abc import Mapping

import pytest


@pytest.hookspec(firstresult=False)
def pytest_mailtrip_variables(config: pytest.Config) -> Mapping[str, str]:  # type: ignore[empty-body]
    """Values for `${var:NAME}` in definitions; `--mailtrip-var` on the command line overrides them.

    Called once, when the first trip file is collected. Of several plugins, the one registered last wins.
    """
