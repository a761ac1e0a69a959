from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.learning_curve import FIGURES, validations, wide
from ovsam_plugin.network.ovsam import OVSAM
from ovsam_plugin.presets import get_preset
from ovsam_plugin.training.loop import Log


def test_heads_of_another_width_make_a_network_and_leave_the_encoder() -> None:
    network = get_preset("ovsam-lite").network
    assert wide(network, 1.0) == network
    sizes = []
    for width in (0.5, 1.5):
        with torch.device("meta"):
            made = OVSAM(wide(network, width))
        sizes.append(sum(p.numel() for p in made.parameters()))
        encoder = sum(p.numel() for p in made.backbone.parameters())
        assert 0 < encoder < sizes[-1]
    with torch.device("meta"):
        usual = OVSAM(network)
    assert sizes[0] < sum(p.numel() for p in usual.parameters()) < sizes[1]
    assert encoder == sum(p.numel() for p in usual.backbone.parameters())


def test_validations_are_read_from_a_run_s_log_by_step(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.csv", 0)
    log.add(20, {"mask": torch.tensor(0.5)})
    log.validation(300, dict.fromkeys(FIGURES, 0.25))
    log.validation(600, dict.fromkeys(FIGURES, 0.75))
    found = validations(tmp_path / "log.csv")
    assert found == {300: dict.fromkeys(FIGURES, 0.25), 600: dict.fromkeys(FIGURES, 0.75)}
