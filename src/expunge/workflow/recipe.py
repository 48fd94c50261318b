"""A recipe is plain Python: a function that says which learner is trained on which dataset."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expunge.core import MadeOfUnits
from expunge.core.errors import InvalidParameter, UnknownName


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What `expunge train` runs: the name of the model, the dataset it learns from, and an unfitted learner.

    The learner's salt is the project's secret for this model; leave it out.
    """

    model: str
    dataset: str
    learner: Any


@dataclass(frozen=True)
class Script:
    """A function in a file, named `file.py:function`, with the digest of the file."""

    path: Path
    function: str
    digest: str
    call: Callable[..., Any]


def load_script(where: str) -> Script:
    """Find `file.py:function`.

    Raises: InvalidParameter, for another form; UnknownName, if file or function is not there.
    """
    file, _, function = where.rpartition(":")
    if not file or not function:
        raise InvalidParameter(f"expected FILE.py:FUNCTION, got '{where}'")
    path = Path(file).resolve()
    if not path.is_file():
        raise UnknownName(f"no file {file}; name a Python file and a function in it, as in recipe.py:recipe")
    source = path.read_bytes()
    spec = importlib.util.spec_from_file_location(f"expunge_script_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not callable(call := getattr(module, function, None)):
        raise UnknownName(f"{file} has no function '{function}'")
    return Script(path, function, hashlib.sha256(source).hexdigest(), call)


def load_recipe(where: str) -> tuple[Recipe, Script]:
    """Run the function and take its recipe.

    Raises: InvalidParameter, if it returns anything but a Recipe of a learner made of units.
    """
    script = load_script(where)
    recipe = script.call()
    if not isinstance(recipe, Recipe) or not isinstance(recipe.learner, MadeOfUnits):
        raise InvalidParameter(
            f"{where} returned {type(recipe).__name__}; it must return expunge.Recipe(model, dataset, learner)"
        )
    return recipe, script
