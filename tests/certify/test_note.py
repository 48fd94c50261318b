import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from expunge.certify.note import open_note, read_vkey, sign_note, verifier
from expunge.core.errors import InvalidCertificate, InvalidParameter

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(32))
BY = verifier("expunge.example/log", KEY)
TEXT = "expunge.example/log\n1\nAAAA\n"
NOTE = sign_note(TEXT, BY.name, KEY)


def test_the_verifier_key_of_the_format_s_own_example_is_read() -> None:
    """From the documentation of Go's sumdb/note package."""
    vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert read_vkey(vkey).vkey == vkey


def test_a_note_verifies_without_our_code() -> None:
    text, line = NOTE.split("\n\n")
    mark, name, signature = line.rstrip("\n").split(" ")
    raw, public = base64.b64decode(signature), KEY.public_key().public_bytes_raw()
    assert (mark, name) == ("—", BY.name)
    assert raw[:4] == hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], (text + "\n").encode())


def test_the_go_example_note_opens() -> None:
    """From the documentation of Go's sumdb/note package, signed there."""
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngo"
        "tpRZb6KE6RyyBwJnAM=\n"
    )
    by = read_vkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    assert open_note(note.encode(), by).startswith("If you think")


def test_every_single_byte_counts() -> None:
    data = NOTE.encode()
    assert open_note(data, BY) == TEXT
    for at in range(len(data)):
        for mask in (0x01, 0x20, 0x80):
            with pytest.raises(InvalidCertificate):
                open_note(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :], BY)


def test_signatures_of_others_are_ignored_and_stand_for_nothing() -> None:
    """signed-note: verifiers MUST ignore signatures from unknown keys, even if they share a name or an id with a known one."""
    other_kind = "— witness.example AAAAAAQAAAAAAAAAAAAA\n"
    same_name = sign_note(TEXT, BY.name, WITNESS).split("\n\n")[1]
    line = sign_note(TEXT, "witness.example", WITNESS).split("\n\n")[1]
    assert open_note((NOTE + line + other_kind + same_name).encode(), BY) == TEXT
    assert open_note((TEXT + "\n" + line + NOTE.split("\n\n")[1]).encode(), BY) == TEXT
    for alone in (line, same_name):
        with pytest.raises(InvalidCertificate, match="carries 0 signatures"):
            open_note((TEXT + "\n" + alone).encode(), BY)
    with pytest.raises(InvalidCertificate, match="malformed signature line"):
        open_note((NOTE + "not a signature\n").encode(), BY)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\tb", "a\nb", "a\u00a0b", "a\x00b"])
def test_names_that_would_break_the_format_are_refused(name: str) -> None:
    with pytest.raises(InvalidParameter):
        verifier(name, KEY)


@pytest.mark.parametrize("text", ["", "no end of line", "a\r\n", "a\x00\n"])
def test_texts_that_would_break_the_format_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter):
        sign_note(text, BY.name, KEY)


@pytest.mark.parametrize(
    "vkey, reason",
    [
        ("nonsense", "no verifier key"),
        (BY.vkey.replace(BY.key_id.hex(), "00000000"), "needed " + BY.key_id.hex()),
        (BY.vkey[:-4], "not an Ed25519 key"),
        (BY.vkey + "\n", "no verifier key"),
    ],
)
def test_malformed_verifier_keys_are_refused(vkey: str, reason: str) -> None:
    with pytest.raises(InvalidCertificate, match=reason):
        read_vkey(vkey)
