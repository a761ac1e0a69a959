"""What the App offers: one file an operator."""

from .label import Label

OPERATORS = (Label,)
