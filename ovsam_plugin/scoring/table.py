"""Every score that a run's labels keep: a row each, after those that it needs."""

from __future__ import annotations

from ovsam_plugin.scoring.arrays import Floats
from ovsam_plugin.scoring.disagreement import DISAGREEMENT
from ovsam_plugin.scoring.doubt import DOUBT
from ovsam_plugin.scoring.outliers import OUTLIER
from ovsam_plugin.scoring.priority import PRIORITY
from ovsam_plugin.scoring.score import NamedInstances, Score
from ovsam_plugin.scoring.unknown import GROUP, UNKNOWN

SCORES: tuple[Score, ...] = (DISAGREEMENT, OUTLIER, UNKNOWN, GROUP, DOUBT, PRIORITY)


def needed(scores: tuple[Score, ...]) -> tuple[str, ...]:
    """The numbers of a label that these scores read, without the scores themselves."""
    names = [name for score in scores for name in score.needs]
    return tuple(dict.fromkeys(n for n in names if n not in {score.name for score in scores}))


def compute(scores: tuple[Score, ...], run: NamedInstances) -> dict[str, Floats]:
    """(N,) of each score, by its name; `run.columns` gets them too."""
    for score in scores:
        run.columns[score.name] = score.compute(run)
    return {score.name: run.columns[score.name] for score in scores}
