"""`python -m ovsam_plugin.cli`, which is what launchers of several processes call."""

from ovsam_plugin.cli import main

main()
