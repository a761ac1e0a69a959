"""A network that several people ask."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ovsam_plugin import open_image
from ovsam_plugin.interactive.session import Instance
from ovsam_plugin.interactive.shared_network import Photograph, load_shared_network

from .test_session import NAMES, PLACES, same


def test_a_file_that_was_replaced_is_encoded_anew(
    photographs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "shown.png"
    path.write_bytes(photographs["chelsea.png"].read_bytes())
    assert open_image(path, device="cpu").size == (300, 451)
    path.write_bytes(photographs["coffee.png"].read_bytes())
    assert open_image(path, device="cpu").size == (400, 600)


def test_four_people_get_the_answers_that_each_gets_alone(photographs: dict[str, Path]) -> None:
    def work(path: Path, places: list[tuple[int, int]]) -> list[Instance]:
        session = open_image(path, vocabulary=NAMES, device="cpu")
        found = []
        for x, y in places:
            session.clear()
            session.hover(x, y)
            found.append(session.click(x, y))
        return found

    names = [*PLACES, "chelsea.png"]
    paths = [photographs[name] for name in names]
    for asked in (paths, paths[:1] * 4):
        places = [[(100 + 40 * i, 80 + 30 * k) for k in range(3)] for i in range(len(asked))]
        alone = [work(path, some) for path, some in zip(asked, places)]
        load_shared_network(device="cpu").encodings.clear()
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(work, asked, places))
        for one, other in zip(alone, together):
            assert all(map(same, one, other))


def test_the_next_photograph_is_encoded_ahead(photographs: dict[str, Path], tmp_path: Path) -> None:
    network = load_shared_network(device="cpu")
    path = tmp_path / "next.png"
    path.write_bytes(photographs["coffee.png"].read_bytes())
    photograph = Photograph.of(path)
    network.encode_ahead(photograph)
    network.settle()
    assert network.encodings.get(photograph.key) is not None
    path.write_bytes(b"damaged")
    network.encode_ahead(Photograph.of(path))  # says nothing until it is asked for
