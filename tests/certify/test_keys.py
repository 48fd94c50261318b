import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from expunge.certify.keys import (
    create_log_key,
    create_signing_key,
    load_log_key,
    load_signing_key,
    public_pem,
    read_public_pem,
)
from expunge.core.errors import InvalidData, InvalidParameter, NotReady, UnsafeKeyFile

PAIRS = [(create_signing_key, load_signing_key), (create_log_key, load_log_key)]


@pytest.mark.parametrize("create, load", PAIRS)
def test_a_key_is_kept_for_its_owner_only_and_comes_back(create, load, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "key.pem"
    made = create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_pem(load(path)) == public_pem(made)


@pytest.mark.parametrize("create, load", PAIRS)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_reach_is_refused_with_the_command_to_run(
    create, load, mode: int, tmp_path: Path
) -> None:
    path = tmp_path / "key.pem"
    create(path)
    path.chmod(mode)
    with pytest.raises(UnsafeKeyFile, match=f"run `chmod 600 {path}`"):
        load(path)


@pytest.mark.parametrize("create, load", PAIRS)
def test_a_key_is_never_overwritten(create, load, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    before = public_pem(create(path))
    with pytest.raises(InvalidParameter, match="never overwritten"):
        create(path)
    assert public_pem(load(path)) == before


def test_one_kind_of_key_does_not_pass_for_the_other(tmp_path: Path) -> None:
    create_signing_key(tmp_path / "signing.pem")
    create_log_key(tmp_path / "log.pem")
    with pytest.raises(InvalidData, match="no ECDSA P-256"):
        load_signing_key(tmp_path / "log.pem")
    with pytest.raises(InvalidData, match="no Ed25519"):
        load_log_key(tmp_path / "signing.pem")


def test_missing_and_broken_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="create one first"):
        load_signing_key(tmp_path / "none.pem")
    (tmp_path / "broken.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    (tmp_path / "broken.pem").chmod(0o600)
    with pytest.raises(InvalidData, match="not an unencrypted private key"):
        load_signing_key(tmp_path / "broken.pem")


def test_the_public_half_is_ordinary_pem_and_only_p256_signs_certificates(tmp_path: Path) -> None:
    key = create_signing_key(tmp_path / "key.pem")
    assert load_pem_public_key(public_pem(key).encode()) == key.public_key()
    other = public_pem(ec.generate_private_key(ec.SECP384R1()).public_key())
    with pytest.raises(InvalidData, match="no ECDSA P-256"):
        read_public_pem(other, "the example")
