import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from expunge.certify.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from expunge.certify.note import sign_note, verifier
from expunge.core.errors import InvalidCertificate

ROOT = "A" * 43 + "="
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log\n1\n{ROOT}",
        f"log\n01\n{ROOT}\n",
        f"log\n+1\n{ROOT}\n",
        f"log\n-1\n{ROOT}\n",
        f"log\n1 \n{ROOT}\n",
        f"log\n١\n{ROOT}\n",
        f"log\n{'9' * 30}\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"log\n1\n{ROOT}\n\n",
        f"log\n1\n{ROOT}\n\nextension\n",
        "log\n1\nAAAA\n",
        "log\n1\n\n",
    ],
)
def test_the_first_three_lines_are_read_in_their_one_spelling(text: str) -> None:
    with pytest.raises(InvalidCertificate):
        read_checkpoint(text)


def test_what_is_written_is_read() -> None:
    checkpoint = Checkpoint("log", 20852163, bytes(range(32)))
    assert read_checkpoint(checkpoint.text) == checkpoint
    assert open_checkpoint(checkpoint.sign(KEY).encode(), verifier("log", KEY)) == checkpoint


def test_a_checkpoint_of_another_log_is_refused_even_if_signed_by_this_one() -> None:
    note = sign_note(Checkpoint("other", 1, bytes(32)).text, "log", KEY)
    with pytest.raises(InvalidCertificate, match="of the log 'other', needed 'log'"):
        open_checkpoint(note.encode(), verifier("log", KEY))


def test_extension_lines_are_signed_like_the_rest_and_kept() -> None:
    checkpoint = Checkpoint("log", 1, bytes(32), ("extension", "another one"))
    assert open_checkpoint(checkpoint.sign(KEY).encode(), verifier("log", KEY)) == checkpoint
    shortened = checkpoint.sign(KEY).replace("another one\n", "")
    with pytest.raises(InvalidCertificate, match="does not hold"):
        open_checkpoint(shortened.encode(), verifier("log", KEY))
