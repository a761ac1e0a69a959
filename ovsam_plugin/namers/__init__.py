"""Who names an instance: OVSAM's own branches, or any open_clip model on cut-outs."""

from ovsam_plugin.namers.cuts import DEFAULT_CUTS, Cut
from ovsam_plugin.namers.namer import Branches, Masked, Namer
from ovsam_plugin.namers.table import NamerSpec, load_namer

__all__ = ["DEFAULT_CUTS", "Branches", "Cut", "Masked", "Namer", "NamerSpec", "load_namer"]
