"""The `ovsam` command. Nothing heavy is imported before a command runs."""

from ovsam_plugin.cli.ovsam import main

__all__ = ["main"]
