from pathlib import Path

import pytest

from expunge.core.errors import InvalidParameter, UnknownName
from expunge.workflow.project.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "p", "acme")


def test_every_model_has_a_salt_of_its_own(project: Project) -> None:
    names = ["assistant", "Assistant", "TinyStories-656K", "v1.0", "control"]
    salts = {project.salt(name) for name in names} | {project.ledger.keys.secret("salt-control")}
    assert len(salts) == len(names) + 1  # the control's is apart even from a model of that name
    assert project.salt("Assistant") == Project.open(project.root).salt("Assistant")


def test_a_second_init_and_a_name_that_breaks_the_configuration_are_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="already"):
        Project.create(project.root)
    for name in ('a"b', "a b", "a\nb", "a+b"):
        with pytest.raises(InvalidParameter, match="cannot name"):
            Project.create(tmp_path / "other", name)
    assert not (tmp_path / "other").exists()


def test_what_is_no_project_is_named_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="expunge init"):
        Project.open(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_keys_are_private(project: Project) -> None:
    for path in [project.root / "keys", *(project.root / "keys").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path.name
