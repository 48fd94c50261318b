from pathlib import Path

import pytest

from expunge.core.digests import digest_folder


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A folder that stands for a version of a model."""
    folder = tmp_path / "version"
    (folder / "adapter").mkdir(parents=True)
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "adapter" / "weights.safetensors").write_bytes(bytes(range(256)))
    return folder


@pytest.fixture
def digest(version: Path) -> str:
    return digest_folder(version)


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def files(version: Path) -> dict[str, bytes]:
    return files_of(version)
