"""Folders and object stores, and what every address may not hold."""

import shutil
from pathlib import Path

import fsspec
import pytest

from expunge.core.errors import InvalidParameter
from expunge.workflow.copies import Standing, check_place, kinds, probe_copy, purge_copy


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, version: Path, files: dict[str, bytes], tmp_path: Path) -> str:
    uri = f"{request.param}://{tmp_path}/bucket/model"
    for name, data in files.items():
        with fsspec.open(f"{uri}/{name}", "wb", auto_mkdir=True) as file:
            file.write(data)
    return uri


def listed(uri: str) -> list[str]:
    found, root = fsspec.core.url_to_fs(uri)
    return list(found.find(root))


def test_objects_go_and_what_lies_beside_stays(store: str, digest: str) -> None:
    with fsspec.open(f"{store}-2/thesis.txt", "wb", auto_mkdir=True) as file:
        file.write(b"years of work")
    assert purge_copy("object_store", store, digest).standing is Standing.GONE
    assert listed(store) == []
    assert len(listed(f"{store}-2")) == 1


def test_a_prefix_that_holds_more_is_left(store: str, digest: str) -> None:
    with fsspec.open(f"{store}/thesis.txt", "wb") as file:
        file.write(b"years of work")
    assert purge_copy("object_store", store, digest).standing is Standing.OTHER
    assert len(listed(store)) == 3


def test_a_store_without_its_client_cannot_be_asked(digest: str) -> None:
    assert probe_copy("object_store", "nosuchstore://bucket/a", digest).standing is Standing.UNASKED


def test_a_folder_goes_by_digest_and_a_link_is_not_followed(version: Path, digest: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(version)
    assert purge_copy("folder", str(link), digest).standing is Standing.OTHER
    same = shutil.copytree(version, tmp_path / "same")
    assert purge_copy("folder", str(same), digest).standing is Standing.GONE
    assert (version.exists(), Path(same).exists()) == (True, False)
    assert probe_copy("folder", str(tmp_path / "unmounted" / "a"), digest).standing is Standing.UNASKED


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("object_store", "s3://key:secret@bucket/a"),
        ("object_store", "simplecache::s3://key:secret@bucket/a"),
        ("object_store", "https://bucket/a?X-Amz-Signature=abc"),
        ("object_store", "bucket"),
        ("mlflow", "http://ann:pw@host/#/models/churn/versions/3"),
        ("mlflow", "http://host/churn/3"),
        ("lora", "http://host/v1/models/a?token=b"),
        ("lora", "http://host/v1/a"),
        ("hub", "hub://user:pw@org/model"),
        ("hub", "org/model"),
        ("folder", "s3://bucket/a"),
        ("backup", "https://ann:pw@vault/a"),
    ],
)
def test_addresses_with_secrets_or_of_another_kind_are_refused(kind: str, uri: str) -> None:
    with pytest.raises(InvalidParameter) as e:
        check_place(kind, uri)
    assert not [secret for secret in ("key:secret", "pw@", "abc") if secret in str(e.value)]


def test_the_kinds_are_the_files() -> None:
    assert kinds.names() == ["folder", "hub", "lora", "mlflow", "object_store"]
