"""What the App offers: one file an operator or panel."""

from .decide import Decide
from .evaluate import Evaluate
from .export_clean import ExportClean
from .label import Label
from .review import Review

OPERATORS = (Label, Evaluate, Decide, ExportClean)
PANELS = (Review,)
