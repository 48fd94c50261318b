"""What runs is what was compared: the file's bytes, and those of the modules beside it, and nothing from the current folder."""

import os
import sys
from pathlib import Path

import pytest

from expunge.core.errors import InvalidParameter, RecipeMismatch
from expunge.core.workers import run_module, worker_pool
from expunge.workflow.inputs.training import load_script
from expunge.workflow.inputs.user_code import Recorded

RECIPE = """from helper_of_a_test import value
from parts_of_a_test.inner import other


def recipe():
    import late_of_a_test
    return value, other, late_of_a_test.last
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipe.py").write_text(RECIPE)
    (tmp_path / "helper_of_a_test.py").write_text("value = 1\n")
    (tmp_path / "parts_of_a_test").mkdir()
    (tmp_path / "parts_of_a_test" / "inner.py").write_text("other = 2\n")
    (tmp_path / "late_of_a_test.py").write_text("last = 3\n")
    return tmp_path


def recorded(folder: Path) -> Recorded:
    script = load_script(f"{folder / 'recipe.py'}:recipe")
    assert script.call() == (1, 2, 3)
    return Recorded.of("churn", script.to_json())


HELPERS = ["helper_of_a_test.py", "parts_of_a_test/inner.py", "late_of_a_test.py"]


def test_modules_beside_a_script_are_recorded_also_those_imported_late(folder: Path) -> None:
    found = recorded(folder)
    assert sorted(found.helpers or {}) == sorted(HELPERS)
    assert load_script(f"{folder / 'recipe.py'}:recipe", found).call() == (1, 2, 3)


@pytest.mark.parametrize("name", ["recipe.py", *HELPERS])
def test_nothing_runs_where_any_file_is_another_one(folder: Path, name: str) -> None:
    known = recorded(folder)
    ran = folder / "EXECUTED"
    for file in ("recipe.py", *HELPERS):
        if file != name:
            continue
        (folder / file).write_text(f"open({str(ran)!r}, 'w')\n" + (folder / file).read_text())
    with pytest.raises(RecipeMismatch, match=f"{name} is not the file that 'churn' was trained by; restore"):
        load_script(f"{folder / 'recipe.py'}:recipe", known)
    assert not ran.exists()


def test_a_module_that_is_gone_or_new_is_refused(folder: Path) -> None:
    known = recorded(folder)
    (folder / "late_of_a_test.py").unlink()
    with pytest.raises(RecipeMismatch, match=r"late_of_a_test\.py is gone"):
        load_script(f"{folder / 'recipe.py'}:recipe", known)
    fewer = Recorded("churn", known.script_sha256, {})
    with pytest.raises(RecipeMismatch, match="was trained without"):
        load_script(f"{folder / 'recipe.py'}:recipe", fewer)


def test_an_edit_of_equal_size_and_time_runs_and_not_the_bytecode_of_before(tmp_path: Path) -> None:
    file, helper = tmp_path / "recipe.py", tmp_path / "helper_of_a_test.py"
    file.write_text("import helper_of_a_test\ndef recipe():\n    return 1, helper_of_a_test.value\n")
    helper.write_text("value = 1\n")
    times = {path: path.stat() for path in (file, helper)}
    assert load_script(f"{file}:recipe").call() == (1, 1)
    for path, was in times.items():
        path.write_text(path.read_text().replace("1", "9"))
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert load_script(f"{file}:recipe").call() == (9, 9)
    assert not list(tmp_path.rglob("*.pyc"))


def test_two_scripts_with_helpers_of_one_name_have_each_its_own(tmp_path: Path) -> None:
    scripts = []
    for n in (1, 2):
        folder = tmp_path / str(n)
        folder.mkdir()
        (folder / "helper_of_a_test.py").write_text(f"value = {n}\n")
        (folder / "recipe.py").write_text(
            "def recipe():\n    import helper_of_a_test\n    return helper_of_a_test.value\n"
        )
        scripts.append(load_script(f"{folder / 'recipe.py'}:recipe"))
    assert [script.call() for script in (*scripts, *scripts)] == [1, 2, 1, 2]


def test_what_is_installed_comes_before_what_lies_beside(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "rfc8785.py").write_text("raise RuntimeError('shadowed')\n")
    (tmp_path / "recipe.py").write_text(
        "import json, rfc8785\ndef recipe():\n    return rfc8785.dumps(json.loads('1'))\n"
    )
    assert load_script(f"{tmp_path / 'recipe.py'}:recipe").call() == b"1"


def test_a_helper_without_source_is_refused(tmp_path: Path) -> None:
    import py_compile

    source = tmp_path / "compiled_of_a_test.py"
    source.write_text("value = 1\n")
    py_compile.compile(str(source), str(source) + "c")
    source.unlink()
    (tmp_path / "recipe.py").write_text("import compiled_of_a_test\n")
    with pytest.raises(InvalidParameter, match="no Python source"):
        load_script(f"{tmp_path / 'recipe.py'}:recipe")


def test_a_fault_in_a_helper_is_named_by_its_own_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "helper_of_a_test.py").write_text("\ndef broken(:\n")
    (tmp_path / "recipe.py").write_text("import helper_of_a_test\n")
    with pytest.raises(InvalidParameter, match=r"helper_of_a_test\.py, line 2"):
        load_script(f"{tmp_path / 'recipe.py'}:recipe")


@pytest.mark.parametrize("module", ["rfc8785", "multiprocessing", "json"])
def test_children_import_nothing_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    (tmp_path / f"{module}.py").write_text(
        f"open({str(tmp_path / 'HIJACKED')!r}, 'w')\nraise RuntimeError('hijacked')\n"
    )
    monkeypatch.chdir(tmp_path)
    done = run_module("expunge.core.digests")
    assert (done.returncode, done.stderr) == (0, "")
    with worker_pool(1) as pool:
        assert pool.submit(abs, -1).result() == 1
    assert not (tmp_path / "HIJACKED").exists()
    assert "PYTHONSAFEPATH" not in os.environ or sys.flags.safe_path
