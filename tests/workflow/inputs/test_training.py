from pathlib import Path

import pytest

from expunge.core.errors import InvalidParameter, NotReady, UnknownName
from expunge.workflow.inputs.training import load_script, load_training


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def recipe(:\n", "recipe.py, line 1"),
        ("import nowhere_at_all\n", "recipe.py, line 1: ModuleNotFoundError"),
        ("\ndef recipe():\n    return 1 / 0\n", "recipe.py, line 3: ZeroDivisionError"),
        ("def recipe():\n    return 42\n", "returned int; it must return expunge.Training"),
        (
            "from expunge import Training\ndef recipe():\n    return Training(model='m', dataset='d', learner=1)\n",
            "must return",
        ),
        ("def recipe(x):\n    return x\n", "TypeError"),
    ],
)
def test_a_faulty_recipe_is_one_sentence_with_its_line(source: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(source)
    with pytest.raises(InvalidParameter) as caught:
        load_training(f"{tmp_path / 'recipe.py'}:recipe")
    assert says in str(caught.value)


def test_an_error_of_ours_inside_a_recipe_passes_through(tmp_path: Path) -> None:
    file = tmp_path / "recipe.py"
    file.write_text("from expunge.core.errors import NotReady\ndef recipe():\n    raise NotReady('first this')\n")
    with pytest.raises(NotReady, match="first this"):
        load_training(f"{file}:recipe")


def test_another_form_a_missing_file_and_a_missing_function_are_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text("value = 1\n")
    (tmp_path / "recipe.txt").write_text("value = 1\n")
    for where in ("recipe.py", ":recipe", f"{tmp_path / 'recipe.txt'}:recipe"):
        with pytest.raises(InvalidParameter):
            load_script(where)
    for where in (
        f"{tmp_path / 'no.py'}:recipe",
        f"{tmp_path / 'recipe.py'}:recipe",
        f"{tmp_path / 'recipe.py'}:value",
    ):
        with pytest.raises(UnknownName):
            load_script(where)


def test_the_digest_is_of_the_files_bytes(tmp_path: Path) -> None:
    file = tmp_path / "recipe.py"
    file.write_text("def recipe():\n    return 1\n")
    first = load_script(f"{file}:recipe").digest
    file.write_text("def recipe():\n    return 2\n")
    second = load_script(f"{file}:recipe")
    assert first != second.digest
    assert second.call() == 2
