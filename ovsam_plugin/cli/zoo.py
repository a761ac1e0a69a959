"""`ovsam zoo`: FiftyOne's model zoo learns the presets."""

from __future__ import annotations

from ovsam_plugin.cli.failure import one_message
from ovsam_plugin.cli.options import Debug, Json
from ovsam_plugin.cli.outputs import console, print_json


def zoo(
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make foz.load_zoo_model("ovsam-lite") work on this machine; run it again after an upgrade."""
    with one_message(debug):
        from ovsam_plugin.dataset.zoo_source import install, manifest

        folder = install()
        if as_json:
            names = [model["base_name"] for model in manifest()["models"]]
            print_json({"folder": folder, "models": names})
        console(as_json).print(f"FiftyOne's model zoo knows the presets: {folder}")
