"""What OVSAM is compared with: the paper's baselines over any segmenter and frozen encoder."""

from ovsam_plugin.baselines.method import METHODS, Method, build_methods
from ovsam_plugin.network.cost import Cost

__all__ = ["METHODS", "Cost", "Method", "build_methods"]
