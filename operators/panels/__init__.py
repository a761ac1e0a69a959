"""The App's panels: a file each, beside its script, and with what that asks in Python."""

from .buttons import OpenReview, OpenSegment
from .groups import Groups
from .review import QUESTIONS as REVIEW_QUESTIONS
from .review import Review
from .segment import QUESTIONS as SEGMENT_QUESTIONS
from .segment import Segment

PANELS = (Review, Groups, Segment)
BUTTONS = (OpenReview, OpenSegment)
"""Above the grid: they open a panel."""
QUESTIONS = (*REVIEW_QUESTIONS, *SEGMENT_QUESTIONS)
