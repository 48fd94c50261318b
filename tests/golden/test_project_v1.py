"""A project directory of release 0.1.0 opens, and its pending requests end.

The archive holds what `expunge` 0.1.0 wrote in /srv/acme: a model of a table of eight people who do not exist, one of whom was
forgotten with a certificate; one request was carried out and waits to be verified, and one is open. Its keys serve nothing else.
"""

import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from tests.e2e.conftest import expunge, refused

ARCHIVE = Path(__file__).parent / "project-0.1.0.tar.gz"
VKEY = "expunge/acme+b3e6f7b0+AeotoP6ZyJF6orbdb8v0rvAyTXQ2Nb1T/t6HXdxmuuZQ"
ENDED, CARRIED_OUT, OPEN = "req-b025097eeb", "req-1676974115", "req-41ca08f204"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "acme" / "keys").chmod(0o700)  # extraction is careful with modes
    _moved_here(tmp_path / "acme" / "ledger.db", tmp_path)
    return tmp_path / "acme"


def _moved_here(ledger: Path, here: Path) -> None:
    """Write the paths of the user's own files, the data and the recipe, as if the project had been made here."""
    with closing(sqlite3.connect(ledger)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, column, kind, *_ in database.execute(f"PRAGMA table_info({table})").fetchall():
                if kind.startswith(("VARCHAR", "TEXT", "JSON")):
                    sql = f"UPDATE {table} SET {column} = replace({column}, '/srv/acme/', ?) WHERE {column} LIKE '%/srv/acme/%'"
                    database.execute(sql, (f"{here}/",))
        database.commit()


def known(project: Path) -> tuple[str | Path, ...]:
    """What an auditor was given; a project of 0.1.0 has written no log key, and an auditor takes it from elsewhere."""
    found = project / "log.vkey"
    return ("--trust", project / "signer.pub.pem", "--log-key", found if found.exists() else VKEY)


def test_what_was_certified_still_checks(project: Path) -> None:
    certificate = project / "evidence" / ENDED / "certificate.intoto.json"
    expunge("check", certificate, *known(project), "--log", project / "log")


def test_a_request_that_was_carried_out_is_verified_delivered_and_certified(project: Path) -> None:
    where = (CARRIED_OUT, "--project", project)
    assert expunge("verify", *where, "--json").json["targets"][0]["assurance"] == "EXACT"
    expunge("deliver", *where, "--released", "none")
    done = expunge("certify", *where, "--json").json
    expunge("check", done["certificate"], *known(project), "--log", project / "log")


def test_an_open_request_goes_the_whole_way_after_it(project: Path) -> None:
    refused(expunge("forget", OPEN, "--project", project, code=None), "serv")  # the other one is not delivered yet
    for request in (CARRIED_OUT, OPEN):
        where = (request, "--project", project)
        if request == OPEN:
            assert expunge("plan", *where, "--json").json
        expunge("forget", *where)
        assert expunge("verify", *where, "--json").json["targets"][0]["assurance"] == "EXACT"
        expunge("deliver", *where, "--released", "none")
        expunge("certify", *where)
    (audit,) = (project / "evidence" / OPEN).glob("audit-*.json")
    held = json.loads(audit.read_text())
    assert held["replay"] is True


def test_a_project_of_a_later_release_is_refused(project: Path) -> None:
    config = project / "expunge.toml"
    config.write_text(config.read_text().replace("layout = 1", "layout = 2"))
    refused(expunge("plan", OPEN, "--project", project, code=None), "layout 2", "the Expunge that made it")
