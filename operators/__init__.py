"""What the App offers: one file an operator or panel."""

from .decide import Decide
from .evaluate import Evaluate
from .export_clean import ExportClean
from .find_instances import FindInstances
from .groups import Groups
from .label import Label
from .learn import Learn
from .make_class import MakeClass
from .name_group import NameGroup
from .panel_buttons import OpenReview, OpenSegment
from .preview import TryLabels
from .recognize import Recognize
from .relabel import Relabel
from .remove_run import RemoveRun
from .review import QUESTIONS as REVIEW_QUESTIONS
from .review import Review
from .score import ScoreInstances
from .segment import QUESTIONS as SEGMENT_QUESTIONS
from .segment import Segment
from .setup_workspace import SetupWorkspace
from .stop_labeling import StopLabeling

OPERATORS = (
    Label,
    OpenReview,
    OpenSegment,
    Evaluate,
    Relabel,
    Recognize,
    ScoreInstances,
    Learn,
    MakeClass,
    FindInstances,
    NameGroup,
    Decide,
    ExportClean,
    SetupWorkspace,
    RemoveRun,
    StopLabeling,
    TryLabels,
    *REVIEW_QUESTIONS,
    *SEGMENT_QUESTIONS,
)
PANELS = (Review, Groups, Segment)
