"""What OVSAM is compared with: the paper's baselines over any segmenter and frozen encoder."""

from ovsam_plugin.baselines.building import METHODS, build_methods
from ovsam_plugin.baselines.method import Method
from ovsam_plugin.network.cost import Cost

__all__ = ["METHODS", "Cost", "Method", "build_methods"]
