"""What may be asked of a photograph: one file for each kind of prompt."""

from ovsam_plugin.prediction.prompts.box import Box
from ovsam_plugin.prediction.prompts.grid import Grid
from ovsam_plugin.prediction.prompts.mask import Mask
from ovsam_plugin.prediction.prompts.points import Points
from ovsam_plugin.prediction.prompts.prompt import Inputs, Prompt, Size

__all__ = ["Box", "Grid", "Inputs", "Mask", "Points", "Prompt", "Size"]
