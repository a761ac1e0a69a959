"""What the App offers: one file an operator."""

from .evaluate import Evaluate
from .label import Label

OPERATORS = (Label, Evaluate)
