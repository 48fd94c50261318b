"""A digest of what an object holds, not of how it was written down: equal values give equal digests.

Bytes of a saved estimator will not do: they hold addresses, times and padding. This walks attributes, arrays, tensors,
random states and whatever else an object gives to be copied, and hashes types and values. It serves whatever has to be
named by its content: estimators, rows of a dataset, settings. It does not bring torch.
"""

import hashlib
import struct
import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from scipy import sparse

from expunge.core.errors import InvalidParameter

_BUNCH = "sklearn.utils._bunch.Bunch"  # a dict, which gives state to be copied that its copies do not take
_DEPTH = 200  # of nesting; deeper than any estimator or row, and short of Python's own limit
_PASSING = {"_sklearn_version", "refit_time_", "_stop_words_id"}
_TIMES = {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"}  # of scikit-learn's searches


def digest_value(value: Any) -> str:
    """Digest of a value of any type that can be copied.

    Guaranteed: two values of the same types and contents have the same digest, in any process; order counts in lists
    and arrays, not in dicts and sets; a NaN equals a NaN of the same bits. Not covered: what a compiled object does
    not give to be copied, globals that a function reads, and what scikit-learn writes down of times and addresses.

    Raises: InvalidParameter, for a value that cannot be copied, that holds itself, or whose tensors are not here.

    >>> digest_value({"b": 1, "a": np.zeros(2)}) == digest_value({"a": np.zeros(2), "b": 1})
    True
    >>> digest_value(np.zeros(2)) == digest_value(np.zeros(2, dtype=np.float32))
    False
    """
    return f"sha256:{_of(value, ()).hex()}"


def _hash(kind: str, *parts: bytes) -> bytes:
    state = hashlib.sha256(b"expunge/value/v1\0" + kind.encode() + b"\0")
    for part in parts:
        state.update(struct.pack(">Q", len(part)))
        state.update(part)
    return state.digest()


def _of(value: Any, above: tuple[int, ...]) -> bytes:
    if (plain := _plain(value)) is not None:
        return plain
    if id(value) in above or len(above) > _DEPTH:
        raise InvalidParameter(f"a {type(value).__name__} holds itself and cannot be digested; leave it out")
    above = (*above, id(value))
    if isinstance(value, np.ma.MaskedArray):
        return _hash("masked", _of([value.filled(), np.ma.getmaskarray(value)], above))
    if isinstance(value, np.ndarray):
        return _array(value, above)
    if sparse.issparse(value):
        whole = value.tocsr()
        return _hash("sparse", _of([value.format, whole.shape, whole.data, whole.indices, whole.indptr], above))
    kind = type(value)
    if kind in (list, tuple):
        return _hash(kind.__name__, *(_of(v, above) for v in value))
    if kind in (set, frozenset):
        return _hash(kind.__name__, *sorted(_of(v, above) for v in value))
    if kind is dict or f"{kind.__module__}.{kind.__name__}" == _BUNCH:
        return _hash("dict", *_items(value, above))
    if isinstance(value, FunctionType):
        return _function(value, above)
    if isinstance(value, MethodType):
        return _hash("method", value.__func__.__qualname__.encode(), _of(value.__self__, above))
    if isinstance(value, np.random.RandomState):
        return _hash("RandomState", _of(value.get_state(legacy=False), above))
    if (tensor := _tensor(value)) is not None:
        return tensor
    if isinstance(value, np.random.Generator):
        return _hash("Generator", _of(value.bit_generator.state, above))
    return _copied(value, above)


def _plain(value: Any) -> bytes | None:
    """Values without parts."""
    if value is None or isinstance(value, bool) or value is Ellipsis:
        return _hash("constant", repr(value).encode())
    kind = type(value)
    if kind is int:
        return _hash("int", str(value).encode())
    if kind is float:
        return _hash("float", struct.pack(">d", value))
    if kind is str:
        return _hash("str", value.encode(errors="surrogatepass"))
    if kind in (bytes, bytearray, memoryview):
        return _hash("bytes", bytes(value))
    if isinstance(value, np.dtype):
        return _hash("dtype", repr(value).encode())
    if isinstance(value, np.generic) and value.dtype.kind != "V":
        return _hash("scalar", value.dtype.str.encode(), value.tobytes())
    if isinstance(value, type | BuiltinFunctionType | np.ufunc | ModuleType):
        home = "" if isinstance(value, ModuleType) else getattr(value, "__module__", None) or "numpy"
        return _hash("name", f"{home}.{getattr(value, '__qualname__', value.__name__)}".encode())
    return None


def _array(array: Any, above: tuple[int, ...]) -> bytes:
    shape = str(array.shape).encode()
    if array.dtype.names:  # field by field: between fields there may be padding, which is anything
        fields = [_hash(name, _array(np.asarray(array[name]), above)) for name in array.dtype.names]
        return _hash("fields", shape, *fields)
    if array.dtype == object:
        return _hash("objects", shape, *(_of(v, above) for v in array.ravel().tolist()))
    return _hash("array", array.dtype.str.encode(), shape, np.ascontiguousarray(array).tobytes())


def _tensor(value: Any) -> bytes | None:
    """A tensor by its type, shape and bytes."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return None
    from expunge.engine.state import bytes_of

    return _hash("tensor", str(value.dtype).encode(), str(tuple(value.shape)).encode(), bytes_of(value))


def _items(value: Mapping[Any, Any], above: tuple[int, ...]) -> list[bytes]:
    return sorted(_of(k, above) + _of(v, above) for k, v in value.items())


def _function(value: FunctionType, above: tuple[int, ...]) -> bytes:
    """Code, defaults and what it closes over."""
    closure = [cell.cell_contents for cell in value.__closure__ or ()]
    given = [value.__defaults__, value.__kwdefaults__, closure]
    return _hash("function", value.__qualname__.encode(), _code(value.__code__, above), _of(given, above))


def _code(code: CodeType, above: tuple[int, ...]) -> bytes:
    """What is executed, without where it was written."""
    constants = [_code(c, above) if isinstance(c, CodeType) else _of(c, above) for c in code.co_consts]
    names = [code.co_names, code.co_varnames, code.co_freevars]
    return _hash("code", code.co_code, _of(names, above), *constants)


def _lasting(state: dict[Any, Any]) -> dict[Any, Any]:
    """What is value in the state of an object: not the version that copied it, times on the clock or an address, by name."""
    lasting = {k: v for k, v in state.items() if k not in _PASSING}
    if isinstance(results := lasting.get("cv_results_"), dict):
        lasting["cv_results_"] = {k: v for k, v in results.items() if k not in _TIMES}
    return lasting


def _of_no_moment(state: dict[Any, Any]) -> dict[Any, Any]:
    """The state of a model of CatBoost without what is another in every fit: the time of it, and a random name."""
    model = sys.modules["catboost"].CatBoost().load_model(blob=state["__model"])
    metadata = model.get_metadata()
    metadata["train_finish_time"] = metadata["model_guid"] = ""
    return {**state, "__model": model._serialize_model()}


def _copied(value: Any, above: tuple[int, ...]) -> bytes:
    """Any other object, by what it gives to be copied."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    try:
        given = value.__reduce_ex__(4)
    except (TypeError, AttributeError, ValueError) as e:
        raise InvalidParameter(f"a {kind} cannot be digested: {e}; leave it out") from e
    if isinstance(given, str):
        return _hash("global", f"{kind} {given}".encode())
    parts = list(given) + [None] * (6 - len(given))
    made, arguments, state, items, pairs, _ = parts
    if isinstance(state, dict):
        state = _of_no_moment(state) if "__model" in state and kind.startswith("catboost.") else _lasting(state)
    return _hash(
        "object",
        kind.encode(),
        _of(made, above),
        _of(arguments, above),
        _of(state, above),
        _of(None if items is None else list(items), above),
        _of(None if pairs is None else dict(pairs), above),
    )
