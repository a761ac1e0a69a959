"""What loading the plugin changes in its process; importing the library changes nothing."""

from __future__ import annotations

import os


def prepare_process() -> None:
    """For the App's server and for workers of delegated runs, which load every plugin.

    Called again at each call of an operator, as FiftyOne builds its registry anew.
    """
    # Before torch is imported: its threads, as they wait for each other, otherwise take the cores
    # from whatever else runs, and an answer takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    from ovsam_plugin.dataset.embedding_backend import answer_searches
    from ovsam_plugin.evaluation.registration import register_backend

    answer_searches()  # FiftyOne's own search panel
    register_backend()  # its Model Evaluation panel, which offers methods by their names
