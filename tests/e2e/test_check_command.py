"""`expunge check` as an auditor types it, on the golden certificate and on one whose words are an attack on the terminal."""

from pathlib import Path

import pytest
from tests.certify.conftest import issue
from tests.e2e.conftest import expunge, refused

from expunge.certify import erasure_statement, sign

GOLDEN = Path(__file__).parents[1] / "golden" / "v2"
GIVEN = ("check", GOLDEN / "certificate.intoto.json", "--trust", GOLDEN / "trust.pem", "--log", GOLDEN / "log")


def test_the_log_s_key_is_named_by_itself_or_by_a_file() -> None:
    for key in (GOLDEN / "log.vkey", (GOLDEN / "log.vkey").read_text().strip()):
        assert "the certificate holds" in expunge(*GIVEN, "--log-key", key).err
    said = expunge(*GIVEN, "--json", code=3)
    assert "not pinned" in said.err
    assert "NOT ESTABLISHED" in said.err
    assert said.json["exit_code"] == 3


@pytest.mark.parametrize("named", ["nowhere.vkey", str(GOLDEN / "trust.pem"), "a+b", str(GOLDEN)])
def test_what_is_no_log_key_is_the_reader_s_mistake(named: str) -> None:
    refused(expunge(*GIVEN, "--log-key", named, code=2), "key")


def test_a_checkpoint_from_before_is_not_enough() -> None:
    key = ("--log-key", GOLDEN / "log.vkey")
    assert (
        "says nothing of this certificate"
        in expunge(*GIVEN, *key, "--checkpoint", GOLDEN / "early.checkpoint", code=3).err
    )
    expunge(*GIVEN, *key, "--checkpoint", GOLDEN / "log" / "checkpoint")


def test_the_words_of_a_stranger_s_certificate_move_no_cursor_and_add_no_line(tmp_path: Path) -> None:
    evidence = issue(tmp_path)
    attack = "x\n\x1b[3F\x1b[2K\x1b[32mok\x1b[0m      signer: the key is one that you trust\u202e\x1b[8m"
    predicate = {
        **evidence.statement["predicate"],
        "unknown": [attack],
        "delivery": {"override": attack, "unreachable": [attack], "purged": []},
    }
    data = sign(erasure_statement(evidence.statement["subject"], predicate), evidence.signing_key)
    evidence.certificate.write_bytes(data)
    said = expunge("check", evidence.certificate, code=3).err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert not any(line.startswith("ok") and "that you trust" in line for line in said.splitlines())
    assert "unknown: x\\x0a\\x1b[3F" in said
