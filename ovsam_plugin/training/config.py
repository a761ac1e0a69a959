"""A training run as a TOML file: what to read and how long to train."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from rich.console import Console

from ovsam_plugin.training import coop
from ovsam_plugin.training.clip2sam import Clip2SamRecipe, Clip2SamSettings
from ovsam_plugin.training.coop import CoopSettings, run_coop
from ovsam_plugin.training.lite import LiteRecipe
from ovsam_plugin.training.lite_settings import LiteSettings
from ovsam_plugin.training.loop import Recipe, Schedule, Trained, run
from ovsam_plugin.training.sam2clip import Sam2ClipRecipe, Sam2ClipSettings
from ovsam_plugin.vocabulary.sources import is_file
from ovsam_plugin.vocabulary.tables import BUILT_IN

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# The recipes that the loop runs, and all that a file can be of with its two parts' settings.
_ENGINE: dict[str, type[Any]] = {
    "sam2clip": Sam2ClipRecipe,
    "clip2sam": Clip2SamRecipe,
    "lite": LiteRecipe,
}
RECIPES: dict[str, tuple[type[Any], type[Any]]] = {
    "sam2clip": (Sam2ClipSettings, Schedule),
    "clip2sam": (Clip2SamSettings, Schedule),
    "lite": (LiteSettings, Schedule),
    "coop": (CoopSettings, coop.CoopSchedule),
}


@dataclass(frozen=True)
class Run:
    """One run, read and checked, before anything is loaded.

    Attributes:
        recipe: of `RECIPES`.
        settings: of that recipe.
        schedule: how it is run.
        out: folder of its checkpoints, log and weights.
    """

    recipe: str
    settings: Any
    schedule: Any
    out: Path

    def build(self) -> Recipe:
        """The recipe, as the loop runs it, with its network and data loaded.

        What a network starts with at random follows from the schedule's seed.
        """
        torch.manual_seed(self.schedule.seed)
        recipe: Recipe = _ENGINE[self.recipe](self.settings)
        return recipe

    @property
    def checkpoint(self) -> Path:
        """The file that a stopped run goes on from."""
        coop = self.recipe == "coop"
        return self.out / (f"{self.settings.method}.checkpoint" if coop else "checkpoint.pt")

    def execute(self, console: Console, *, restart: bool = False) -> Trained | None:
        """Load the network and the data, and train to the end; None beside the first process.

        Args:
            console: shows how it stands.
            restart: whether to forget the checkpoint, once everything has been loaded.
        """
        recipe = None if self.recipe == "coop" else self.build()
        if restart:
            self.checkpoint.unlink(missing_ok=True)
        if recipe is None:
            return run_coop(self.settings, self.out, self.schedule, console)
        return run(recipe, self.out, self.schedule, console)


def read_config(recipe: str, path: str | Path) -> Run:
    """A run from a TOML file with `out`, the recipe's own settings and a `[schedule]`.

    Paths are relative to the file's folder, a vocabulary's too if there is such a file. The
    schedule's seed is also the data's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not TOML, or a setting is unknown, missing or of the wrong type; the
            message names each.
    """
    if recipe not in RECIPES:
        raise ValueError(f"recipe {recipe!r}: expected one of {', '.join(RECIPES)}")
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no configuration at {path}: examples are in recipes/")
    try:
        table = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} is not TOML: {error}") from error
    schedule = table.pop("schedule", {})
    if not isinstance(schedule, dict):
        raise ValueError(f"{path}: schedule is a table, [schedule], got {schedule!r}")
    out = table.pop("out", None)
    if not isinstance(out, str) or not out:
        raise ValueError(f"{path}: out = 'FOLDER' says where weights and checkpoints go")
    settings, steps = RECIPES[recipe]
    seed = {"seed": schedule["seed"]} if "seed" in schedule else {}
    folder = path.resolve().parent
    # First, so that what is wrong with a seed is said of the schedule's.
    timed = _checked(steps, schedule, path, "schedule.")
    return Run(
        recipe,
        _checked(settings, _absolute({**table, **seed}, settings, folder), path),
        timed,
        folder / Path(out).expanduser(),
    )


def _absolute(table: dict[str, Any], settings: type[Any], folder: Path) -> dict[str, Any]:
    """The table with every path that the settings have made absolute."""

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(v) for v in value]
        return folder / Path(value).expanduser() if isinstance(value, str) else value

    kinds = settings.__annotations__
    made = {k: placed(v) if "Path" in str(kinds.get(k, "")) else v for k, v in table.items()}
    named = table.get("vocabulary")
    # A vocabulary is also a built-in name, or names with commas.
    if isinstance(named, str) and named.strip().lower() not in BUILT_IN and is_file(named, folder):
        made["vocabulary"] = str(placed(named.strip()))
    return made


def _checked(settings: type[Any], table: dict[str, Any], path: Path, prefix: str = "") -> Any:
    # Strict about names: a misspelt setting that is ignored costs a day of training.
    model = with_config(ConfigDict(extra="forbid"))(settings)
    try:
        return TypeAdapter(model).validate_python(table)
    except ValidationError as error:
        problems = "; ".join(
            f"{prefix}{'.'.join(map(str, e['loc']))}: {_said(e['type'], e['msg'])}"
            for e in error.errors()
        )
        raise ValueError(f"{path}: {problems}") from error


def _said(kind: str, message: str) -> str:
    return {
        "missing": "is missing",
        "unexpected_keyword_argument": "is not a setting of this recipe",
    }.get(kind, message)
