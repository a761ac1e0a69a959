"""What the App offers: one file an operator or panel."""

from .decide import Decide
from .evaluate import Evaluate
from .export_clean import ExportClean
from .label import Label
from .recognize import Recognize
from .relabel import Relabel
from .review import Review
from .score import Score

OPERATORS = (Label, Evaluate, Relabel, Recognize, Score, Decide, ExportClean)
PANELS = (Review,)
