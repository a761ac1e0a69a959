"""How a command says that something went wrong."""

from __future__ import annotations

import pytest
import typer

from ovsam_plugin.cli.failure import CommandError, StoppedError, UsageError, one_message, usage
from ovsam_plugin.consent import OVERWRITE, OVERWRITE_ALL, ConsentError, Setting


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command tells FiftyOne by its environment is gone after the test."""
    for name in ("PYTHONWARNINGS", "FIFTYONE_LOGGING_LEVEL"):
        monkeypatch.setenv(name, "ignore" if name == "PYTHONWARNINGS" else "ERROR")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UsageError("give one of the two"), 2, "ovsam: give one of the two\n"),
        (CommandError("nothing was labelled"), 1, "ovsam: nothing was labelled\n"),
        (FileNotFoundError(2, "No such file", "a.json"), 1, "ovsam: No such file: 'a.json'\n"),
        (KeyError("label"), 1, "ovsam: KeyError: 'label' (--debug shows where)\n"),
        (FloatingPointError("the loss is nan"), 1, "ovsam: the loss is nan\n"),
        (RuntimeError(), 1, "ovsam: RuntimeError: no reason given (--debug shows where)\n"),
        (KeyboardInterrupt(), 130, "ovsam: stopped; go on with the same command\n"),
        (StoppedError(), 130, "ovsam: stopped; go on with the same command\n"),
    ],
)
def test_every_error_is_one_message_and_its_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    with (
        pytest.raises(typer.Exit) as ended,
        one_message(False, "stopped; go on with the same command"),
    ):
        raise error
    assert ended.value.exit_code == code
    assert capsys.readouterr() == ("", message)


def test_debug_shows_where_an_error_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), one_message(True):
        raise KeyError("label")
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert __file__ in said


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        (OVERWRITE, "--overwrite"),
        (OVERWRITE_ALL, "--overwrite-all"),
        (Setting("anyway"), "--anyway"),
    ],
)
def test_what_the_library_calls_a_keyword_is_an_option_here(setting: Setting, option: str) -> None:
    with pytest.raises(UsageError, match=f"^it exists: use another, or use {option}$"), usage():
        raise ConsentError("it exists", "use another", setting)


def test_other_errors_are_not_of_usage() -> None:
    with pytest.raises(OSError, match="disk"), usage():
        raise OSError("disk")
