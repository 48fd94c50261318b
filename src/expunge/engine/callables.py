"""Digests of what can be called: of a function what it executes, of a method what it is bound to, of the rest its name."""

import copyreg
import pickle
import sys
from collections.abc import Callable
from operator import attrgetter
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from expunge.core.errors import InvalidParameter
from expunge.engine.hashed import hashed

Of = Callable[[Any], bytes]  # the digest of any value

# What Python makes copies with. They count as names: these are the digests of their code in Python 3.11, which were
# recorded once; in another version the code is another one, and what it makes is the same.
_COPIERS = {
    copyreg.__newobj__: "614a1cd01143f5fa89916fe3b79a14ad38202e6e3483f104ff1e40b94cbec8bc",  # type: ignore[attr-defined]
    copyreg.__newobj_ex__: "c922809c52aea337b2185e44ae46c1187b44d259532764ddf4a387140e04a3f8",  # type: ignore[attr-defined]
    copyreg._reconstructor: "f4ff7671beb9f5e44d476d482ce29918eec162d339038ca14465c09fbf9b1d42",  # type: ignore[attr-defined]
}


def callable_digest(value: Any, of: Of) -> bytes | None:
    """None for what is no function, method, class, module or ufunc.

    Raises: InvalidParameter, for a ufunc that its name does not lead to.
    """
    if isinstance(value, FunctionType):
        return _function(value, of)
    if isinstance(value, MethodType):
        return hashed("method", of(value.__func__), of(value.__self__))
    if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType | None):
        return hashed("bound", value.__name__.encode(), of(value.__self__))
    if isinstance(value, np.ufunc):
        return _name("numpy" if getattr(np, value.__name__, None) is value else _home(value), value.__name__)
    if isinstance(value, ModuleType):
        return _name("", value.__name__)
    if isinstance(value, type | BuiltinFunctionType):
        return _name(getattr(value, "__module__", None) or "numpy", value.__qualname__)
    return None


def copier_digest(value: Any, of: Of) -> bytes:
    """What makes a copy of an object, by its name: of the object it says the kind."""
    if isinstance(value, FunctionType):
        if value in _COPIERS:
            return bytes.fromhex(_COPIERS[value])
        if found_under(value.__module__, value.__qualname__) is value:
            return hashed("copier", f"{value.__module__}.{value.__qualname__}".encode())
    return of(value)


def global_digest(value: Any, name: str, of: Of) -> bytes:
    """What is copied by the name under which it is found.

    Raises: InvalidParameter, where something else is found, or nothing.
    """
    kind, home = f"{type(value).__module__}.{type(value).__qualname__}", pickle.whichmodule(value, name)  # type: ignore[attr-defined]
    if (wrapped := getattr(value, "__wrapped__", None)) is not None:  # a cache around a function
        return hashed("wrapped", kind.encode(), of(wrapped))
    if found_under(home, name) is not value:
        raise InvalidParameter(f"a {kind} goes by its name, and under '{home}.{name}' it is not found; leave it out")
    place = "" if home == type(value).__module__ else f" of {home}"
    return hashed("global", f"{kind} {name}{place}".encode())


def found_under(module: str | None, name: str) -> Any:
    """What this name leads to, or None."""
    try:
        return attrgetter(name)(sys.modules[module or ""])
    except (KeyError, AttributeError):
        return None


def _name(home: str, name: str) -> bytes:
    return hashed("name", f"{home}.{name}".encode())


def _home(ufunc: np.ufunc) -> str:
    """Where a ufunc that is not numpy's is found; those of scipy count under numpy's name, unless numpy has another."""
    name = ufunc.__name__
    if found_under("scipy.special", name) is ufunc:
        return "scipy.special" if hasattr(np, name) else "numpy"
    raise InvalidParameter(
        f"the ufunc '{name}' goes by its name, and it is not found under it; give the function itself"
    )


def _function(value: FunctionType, of: Of) -> bytes:
    """Code, defaults, what it closes over and what is hung on it."""
    given = [value.__defaults__, value.__kwdefaults__, vars(value)]
    cells = [_cell(cell, value, of) for cell in value.__closure__ or ()]
    return hashed("function", value.__qualname__.encode(), _code(value.__code__, of), of(given), *cells)


def _cell(cell: CellType, function: FunctionType, of: Of) -> bytes:
    try:
        held = cell.cell_contents
    except ValueError:  # nothing was put in yet
        return hashed("empty cell")
    return hashed("itself") if held is function else of(held)


def _code(code: CodeType, of: Of) -> bytes:
    """What is executed and how it is called, without where it was written."""
    called = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags]
    names = [code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars]
    constants = [_code(c, of) if isinstance(c, CodeType) else of(c) for c in code.co_consts]
    return hashed("code", code.co_code, code.co_exceptiontable, of([called, names]), *constants)
