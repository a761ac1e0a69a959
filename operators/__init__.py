"""What the App offers: a file for each operator, and the panels in a folder of their own."""

from .decide import Decide
from .evaluate import Evaluate
from .export_clean import ExportClean
from .find_instances import FindInstances
from .label import Label
from .learn import Learn
from .make_class import MakeClass
from .name_group import NameGroup
from .panels import BUTTONS, PANELS, QUESTIONS
from .preview import TryLabels
from .recognize import Recognize
from .relabel import Relabel
from .remove_run import RemoveRun
from .score import ScoreInstances
from .setup_workspace import SetupWorkspace
from .stop_labeling import StopLabeling

OPERATORS = (
    Label,
    *BUTTONS,
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
    *QUESTIONS,
)

__all__ = ["OPERATORS", "PANELS"]
