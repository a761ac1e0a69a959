"""Consent to a licence: asked once, remembered, never waited for where nobody can answer."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock

from ovsam_plugin.files import write_whole

VARIABLE = "OVSAM_ACCEPT_LICENCE"
_LEDGER = "licences.json"


class NotAcceptedError(FileNotFoundError):
    """Weights are not here, and nobody has consented to the licence of fetching them."""


def accept(name: str, text: str, folder: Path, *, accepted: bool = False) -> None:
    """Returns once the user has consented to a text, now or before.

    Args:
        name: the preset's, under which consent is remembered.
        text: the licence; a new text is asked about anew.
        folder: where consent is kept.
        accepted: the caller has the consent already (`--accept-licence`).

    Raises:
        NotAcceptedError: refused, or there is no terminal to ask on; the message has the next step.
    """
    ledger = folder / _LEDGER
    digest = _digest(text)
    if _known(ledger).get(name, {}).get("text") == digest:
        return
    if not (accepted or os.environ.get(VARIABLE) == "1" or _ask(name, text)):
        raise NotAcceptedError(
            f"the weights of {name} are not on this machine, and their licence has not been "
            f"accepted:\n\n{text}\n\nTo accept it and fetch them: ovsam weights fetch {name}, with "
            f"--accept-licence where nobody can be asked, or set {VARIABLE}=1. An assembled model "
            "of your own can be given as the weights, and ovsam-lite works offline"
        )
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{ledger}.lock"):  # another preset's consent, given meanwhile, stays
        known = _known(ledger)
        known[name] = {"text": digest, "accepted": now}
        write_whole(ledger, json.dumps(known, indent=1))


def is_accepted(name: str, text: str, folder: Path) -> bool:
    """Whether the user has consented to a text before, or by the environment; nobody is asked."""
    known = _known(folder / _LEDGER).get(name, {}).get("text")
    return known == _digest(text) or os.environ.get(VARIABLE) == "1"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _known(ledger: Path) -> dict[str, dict[str, str]]:
    """What has been consented to, by preset; nothing where the file is damaged."""
    try:
        found = json.loads(ledger.read_text())
    except (OSError, ValueError):
        return {}
    found = found if isinstance(found, dict) else {}
    return {name: said for name, said in found.items() if isinstance(said, dict)}


def _ask(name: str, text: str) -> bool:
    """Shows the text on the terminal and reads the answer; False where there is no terminal."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"{text}\n\nFetch the weights of {name} on these terms? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
