"""What is trained is said in plain Python: a function that names a learner and the dataset that it learns from."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from expunge.core import MadeOfUnits, Record
from expunge.core.errors import ExpungeError, InvalidParameter, UnknownName
from expunge.workflow.inputs.user_code import Recorded, UserCode


@dataclass(frozen=True, kw_only=True)
class Training:
    """What `expunge train` runs: the name of the model, the dataset it learns from, and an unfitted learner.

    The learner's salt is the project's secret for this model; leave it out. A learner on tables is given the columns of
    `data add --features`; `rows` may say otherwise how records become rows: `rows(records)` returns X and y, one row per
    record, of `record.features` (a dict of named values, None for nothing), `record.answer`, or a text's `record.question`.
    """

    model: str
    dataset: str
    learner: Any
    rows: Callable[[list[Record]], tuple[Any, Any]] | None = None


Recipe = Training  # the name of 0.1.0, for one more release; what decides the bits of a model is `core.recipe.Recipe`


@dataclass(frozen=True)
class Script:
    """A function in a file, named `file.py:function`; `code` is the file with what it imports from its folder."""

    path: Path
    function: str
    code: UserCode
    call: Callable[..., Any]

    @property
    def digest(self) -> str:
        return self.code.digest

    def to_json(self) -> dict[str, Any]:
        """What a recipe records of it. Ask when all has run: what is imported last counts too."""
        return {
            "script": str(self.path),
            "function": self.function,
            "script_sha256": self.digest,
            "helpers": dict(sorted(self.code.helpers.items())),
        }


def load_script(where: str, recorded: Recorded | None = None) -> Script:
    """Find `file.py:function`. With `recorded` nothing runs unless it is what was recorded.

    Raises: InvalidParameter, for another form or a file that fails; UnknownName, if file or function is not there;
    RecipeMismatch.
    """
    file, _, function = where.rpartition(":")
    if not file or not function:
        raise InvalidParameter(f"expected FILE.py:FUNCTION, got '{where}'")
    path = Path(file).resolve()
    if not path.is_file():
        raise UnknownName(f"no file {file}; name a Python file and a function in it, as in recipe.py:recipe")
    if path.suffix != ".py":
        raise InvalidParameter(f"{file} is not a Python file; name one and a function in it, as in recipe.py:recipe")
    code = UserCode(path, recorded)
    with _faults_named(path):
        module = code.run()
    if not callable(found := getattr(module, function, None)):
        raise UnknownName(f"{file} has no function '{function}'")

    @wraps(found)
    def call(*arguments: Any, **named: Any) -> Any:
        with code.importable():
            return found(*arguments, **named)

    return Script(path, function, code, call)


def load_training(where: str, recorded: Recorded | None = None) -> tuple[Training, Script]:
    """Run the function and take what it returns.

    Raises: InvalidParameter, if it returns anything but a Training of a learner made of units; RecipeMismatch.
    """
    script = load_script(where, recorded)
    with _faults_named(script.path):
        training = script.call()
    if not isinstance(training, Training) or not isinstance(training.learner, MadeOfUnits):
        raise InvalidParameter(
            f"{where} returned {type(training).__name__}; it must return expunge.Training(model, dataset, learner)"
        )
    return training, script


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """A fault in the user's file as one sentence with its line."""
    try:
        yield
    except ExpungeError:
        raise
    except SyntaxError as e:
        name = Path(e.filename or path).name  # it may be in a file that this one imports
        raise InvalidParameter(f"{name}, line {e.lineno}: {e.msg}; correct the file") from e
    except Exception as e:
        theirs = [f.lineno for f in traceback.extract_tb(e.__traceback__) if f.filename == str(path)]
        line = f", line {theirs[-1]}" if theirs else ""
        raise InvalidParameter(f"{path.name}{line}: {type(e).__name__}: {e}; correct the file") from e
