"""Passwords and tokens of the environment are used, and never kept, written or told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fiftyone as fo
import pytest
from bson import encode
from fiftyone.core.odm import get_db_conn

ROOT = Path(__file__).parent.parent
SECRET = "S3CRET-7f1c"
_NAMES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "WANDB_API_KEY",
          "FIFTYONE_ENCRYPTION_KEY", "MY_PASSWORD")  # fmt: skip

# What a person does with a dataset, all that is logged being shown.
_DAY = """
import logging, sys
from pathlib import Path

logging.basicConfig(level=logging.INFO, stream=sys.stdout)
logging.getLogger("ovsam_plugin").setLevel(logging.DEBUG)
import fiftyone as fo
from typer.testing import CliRunner

from ovsam_plugin import decisions, evaluate_dataset, export_clean, setup_workspace
from ovsam_plugin.cli.ovsam import app

name, folder = sys.argv[1:]
dataset = fo.load_dataset(name)

def run(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    print(done.output)
    return done.exit_code

names = ("--vocabulary", "cat, cup, person")
assert run("label", name, "--box-field", "asks", *names, "--device", "cpu", "--workers", 0,
           "--export", f"{folder}/preds.json") == 0
dataset.reload()
decisions.accept(dataset, "ovsam", dataset.first()["ovsam"].detections[0].id, by="ada")
export_clean(dataset, "ovsam", f"{folder}/clean.json", only_finished=False)
export_clean(dataset, "ovsam", f"{folder}/lvis.json", "lvis", only_finished=False)
export_clean(dataset, "ovsam", f"{folder}/kept", "fiftyone", only_finished=False)
dataset.clone_sample_field("ovsam", "truth")
dataset.compute_metadata(num_workers=1, progress=False)
assert run("evaluate", name, "--field", "ovsam", "--gt-field", "truth", "--protocol", "detector",
           "--report", f"{folder}/report") == 0
setup_workspace(dataset, "ovsam")
assert run("doctor") in (0, 1)
assert run("label", name, "--box-field", "missing", "--debug") != 0
print("to the end")
"""


@pytest.fixture
def address() -> Iterator[str]:
    """The session's database as a user has it who needs a password."""
    database = get_db_conn().client.admin
    database.command("createUser", "tester", pwd=SECRET, roles=["root"])
    host, port = database.client.address
    yield f"mongodb://tester:{SECRET}@{host}:{port}/?authSource=admin"
    database.command("dropUser", "tester")


def test_a_days_work_keeps_no_secret(boxed: fo.Dataset, address: str, tmp_path: Path) -> None:
    secrets = {
        **dict.fromkeys(_NAMES, SECRET),
        "FIFTYONE_DATABASE_URI": address,
        "OVSAM_MIRROR": f"http://me:{SECRET}@127.0.0.1:9/",
    }
    boxed.persistent = True  # the other process would take it away as it ends
    try:
        done = subprocess.run(
            [sys.executable, "-c", _DAY, boxed.name, str(tmp_path)],
            cwd=ROOT, env={**os.environ, **secrets}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert "to the end" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
        assert SECRET not in done.stdout + done.stderr
        # All that FiftyOne keeps, its files included, for this dataset and any other.
        database = get_db_conn()
        for name in database.list_collection_names():
            for document in database[name].find():
                assert SECRET.encode() not in encode(document), name
        assert boxed.name in {row["name"] for row in database.datasets.find()}
        written = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {"preds.json", "clean.json", "report.md", "report.html"} <= {p.name for p in written}
        assert [path for path in written if SECRET.encode() in path.read_bytes()] == []
    finally:
        boxed.reload()
        boxed.persistent = False
