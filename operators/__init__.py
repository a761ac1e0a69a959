"""What the App offers: one file an operator."""

from .evaluate import Evaluate
from .label import Label
from .recognize import Recognize
from .relabel import Relabel
from .score import Score

OPERATORS = (Label, Evaluate, Relabel, Recognize, Score)
