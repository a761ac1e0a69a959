"""What is asked for when the package is installed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def table(text: str, name: str) -> list[str]:
    """The strings of a list in pyproject.toml."""
    found = re.search(rf"^{name} = \[\n(.*?)^\]", text, flags=re.MULTILINE | re.DOTALL)
    assert found is not None, f"pyproject.toml has no {name}"
    return re.findall(r'^ +"([^"]+)"', found[1], flags=re.MULTILINE)


def test_the_plugins_requirements_are_the_packages() -> None:
    """FiftyOne, which loads the plugin, is there already; all else is asked for alike."""
    package = table((ROOT / "pyproject.toml").read_text(), "dependencies")
    assert len(package) > 10
    plugin = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line]
    assert plugin == [line for line in package if not line.startswith("fiftyone")]
