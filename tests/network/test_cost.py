from __future__ import annotations

from ovsam_plugin.network.cost import count, total
from ovsam_plugin.presets import get_preset


def test_the_published_preset_costs_less_than_the_papers_1180_g_and_has_its_parameters() -> None:
    parts = count(get_preset("ovsam-rn50x16-coco").network, prompts=10)
    assert [p.parameters for p in parts] == [167328912, 128844768, 3835904, 6220, 4031104, 0]
    assert total(parts).parameters == 304046908
    # Encoder and pyramid are the paper's; the neck no longer projects its windows' padding, and
    # decoder and attention pool project tokens where the paper's project every cell.
    spent = {p.name: round(p.multiply_adds / 1e9) for p in parts}
    assert spent["image encoder"] == 500
    assert spent["SAM2CLIP neck"] == 533
    assert spent["CLIP2SAM pyramid"] == 63
    assert round(total(parts).multiply_adds / 1e9) == 1106


def test_a_prompt_costs_the_same_however_many_there_are() -> None:
    network = get_preset("ovsam-rn50x16-coco").network
    one, ten, twenty = (total(count(network, n)).multiply_adds for n in (1, 10, 20))
    assert ten - one == 9 * (twenty - ten) // 10


def test_the_small_preset_is_tens_of_times_cheaper() -> None:
    lite = total(count(get_preset("ovsam-lite").network))
    published = total(count(get_preset("ovsam-rn50x16-coco").network))
    assert lite.multiply_adds * 50 < published.multiply_adds
    assert lite.parameters * 25 < published.parameters
