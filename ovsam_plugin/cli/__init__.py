"""The `ovsam` command. Nothing heavy is imported before a command runs."""

from ovsam_plugin.cli.app import main

__all__ = ["main"]
