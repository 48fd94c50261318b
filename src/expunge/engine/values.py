"""A digest of what an object holds, not of how it was written down: equal values give equal digests.

Bytes of a saved estimator will not do: they hold addresses, times and padding. This walks attributes, arrays, tensors,
random states and whatever else an object gives to be copied, and hashes types and values. It serves whatever has to be
named by its content: estimators, rows of a dataset, settings. It does not bring torch.
"""

import copyreg
import struct
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.engine.callables import callable_digest, copier_digest, global_digest
from expunge.engine.hashed import hashed

_BUNCH = "sklearn.utils._bunch.Bunch"  # a dict, which gives state to be copied that its copies do not take
_DEPTH = 200  # of nesting; deeper than any estimator or row, and short of Python's own limit
_DECIMAL = 14_000  # bits of a number that Python writes in decimal
_PASSING = {"_sklearn_version", "refit_time_", "_stop_words_id"}
_TIMES = {"mean_fit_time", "std_fit_time", "mean_score_time", "std_score_time"}  # of scikit-learn's searches


def digest_value(value: Any) -> str:
    """Digest of a value of any type that can be copied.

    Guaranteed: two values of the same types and contents have the same digest, in any process; order counts in lists,
    arrays and ordered dicts, not in dicts and sets; a NaN equals a NaN of the same bits. A function is its code, defaults
    and what it closes over, under one version of Python, and one that is not of an installed library also its attributes
    and how it is called; a method is also what it is bound to.

    Not covered, so that values which differ in it alone share a digest: globals that a function reads; the code of a
    class, which goes by its name; what a compiled object does not give to be copied; whether two parts are one object;
    order, strides and device of the numbers in an array or tensor, and whether a tensor takes a gradient; what
    scikit-learn writes down of times and addresses. Covered though it says nothing of the value: how an object that lays
    out its own memory did so, as a data frame of several blocks, and what an object has cached in its attributes.

    Raises: InvalidParameter, for a value that cannot be copied, that holds itself, or whose tensors are not here.

    >>> digest_value({"b": 1, "a": np.zeros(2)}) == digest_value({"a": np.zeros(2), "b": 1})
    True
    >>> digest_value(np.zeros(2)) == digest_value(np.zeros(2, dtype=np.float32))
    False
    """
    try:
        return f"sha256:{_of(value, ()).hex()}"
    except ExpungeError:
        raise
    except Exception as e:  # whatever the code of a value's own class raises while it is looked at
        raise InvalidParameter(f"a {_kind(value)} cannot be digested: {type(e).__name__}: {e}; leave it out") from e


def _of(value: Any, above: tuple[int, ...]) -> bytes:
    if (plain := _plain(value)) is not None:
        return plain
    if id(value) in above:
        raise InvalidParameter(f"a {type(value).__name__} holds itself and cannot be digested; leave it out")
    if len(above) > _DEPTH:
        raise InvalidParameter(f"a {type(value).__name__} lies deeper than {_DEPTH} levels; leave it out")
    above = (*above, id(value))
    if (called := callable_digest(value, lambda part: _of(part, above))) is not None:
        return called
    if isinstance(value, np.ma.MaskedArray):
        return hashed("masked", _of([value.filled(), np.ma.getmaskarray(value)], above))
    if isinstance(value, np.ndarray):
        return _array(value, above)
    if isinstance(value, np.void):
        return hashed("void", _array(np.asarray(value), above))
    if sparse.issparse(value):
        return _sparse(value, above)
    kind = type(value)
    if kind in (list, tuple):
        return hashed(kind.__name__, *(_of(v, above) for v in value))
    if kind in (set, frozenset):
        return hashed(kind.__name__, *sorted(_of(v, above) for v in value))
    if kind is dict or _kind(value) == _BUNCH:
        return hashed("dict", *_items(value, above))
    if isinstance(value, np.random.RandomState):
        return hashed("RandomState", _of(value.get_state(legacy=False), above))
    if (tensor := _tensor(value)) is not None:
        return tensor
    if isinstance(value, np.random.Generator):
        given = getattr(getattr(value.bit_generator, "seed_seq", None), "n_children_spawned", 0)
        children = [_of(given, above)] if given else []  # on how many there are depends the next, and no number drawn
        return hashed("Generator", _of(value.bit_generator.state, above), *children)
    return _copied(value, above)


def _plain(value: Any) -> bytes | None:
    """Values without parts."""
    if value is None or isinstance(value, bool) or value is Ellipsis:
        return hashed("constant", repr(value).encode())
    kind = type(value)
    if kind is int:
        return hashed("int", (str(value) if value.bit_length() < _DECIMAL else hex(value)).encode())
    if kind is float:
        return hashed("float", struct.pack(">d", value))
    if kind is str:
        return hashed("str", value.encode(errors="surrogatepass"))
    if kind in (bytes, bytearray):
        return hashed(kind.__name__, bytes(value))
    if kind is memoryview:
        return hashed("memoryview", value.format.encode(), str(value.shape).encode(), value.tobytes())
    if isinstance(value, np.dtype):
        return hashed("dtype", repr(value).encode())
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        return hashed("scalar", _type(value.dtype), _numbers(np.asarray(value)))
    return None


def _array(array: Any, above: tuple[int, ...]) -> bytes:
    if type(array) not in (np.ndarray, np.memmap):  # a class of its own computes in its own way
        own = [f"{type(array).__module__}.{type(array).__qualname__}", getattr(array, "__dict__", {})]
        return hashed("like an array", _array(array.view(np.ndarray), above), _of(own, above))
    shape = str(array.shape).encode()
    if array.dtype.names:  # field by field: between fields there may be padding, which is anything
        fields = [hashed(name, _array(np.asarray(array[name]), above)) for name in array.dtype.names]
        return hashed("fields", shape, *fields)
    if array.dtype == object:
        return hashed("objects", shape, *(_of(v, above) for v in array.ravel().tolist()))
    if array.dtype.hasobject:  # texts of any length, which lie elsewhere
        return hashed("texts", repr(array.dtype).encode(), shape, _of(array.ravel().tolist(), above))
    return hashed("array", _type(array.dtype), shape, _numbers(array))


def _type(dtype: np.dtype[Any]) -> bytes:
    """A type of numbers; several that numpy does not know itself, as bfloat16, are to it but so many bytes."""
    return (dtype.str if dtype.kind != "V" or dtype.type is np.void else f"{dtype.str} {dtype.name}").encode()


def _numbers(array: Any) -> bytes:
    """Their bytes; those of a long double hold padding, which is anything."""
    return repr(array.ravel().tolist()).encode() if array.dtype.char in "gG" else array.tobytes()


def _sparse(value: Any, above: tuple[int, ...]) -> bytes:
    whole = value.tocsr()
    # Of a matrix * is another product than of an array.
    kind = "sparse array" if isinstance(value, sparse.sparray) else "sparse"
    return hashed(kind, _of([value.format, whole.shape, whole.data, whole.indices, whole.indptr], above))


def _tensor(value: Any) -> bytes | None:
    """A tensor by its type, shape and bytes."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(value, torch.Tensor):
        return None
    from expunge.engine.state import bytes_of

    return hashed("tensor", str(value.dtype).encode(), str(tuple(value.shape)).encode(), bytes_of(value))


def _items(value: Mapping[Any, Any], above: tuple[int, ...]) -> list[bytes]:
    return sorted(_of(k, above) + _of(v, above) for k, v in value.items())


def _lasting(value: Any, state: dict[Any, Any]) -> dict[Any, Any]:
    """What is value in the state of an object: not what passes, of scikit-learn's version, times or addresses, by name, nor of
    a model of CatBoost what is another in every fit.
    """
    if "__model" in state and type(value).__module__.startswith("catboost."):
        return _of_no_moment(state)
    base = sys.modules.get("sklearn.base")
    if base is None or not isinstance(value, base.BaseEstimator):
        return state
    lasting = {k: v for k, v in state.items() if k not in _PASSING}
    if isinstance(results := lasting.get("cv_results_"), dict):
        lasting["cv_results_"] = {k: v for k, v in results.items() if k not in _TIMES}
    return lasting


def _of_no_moment(state: dict[Any, Any]) -> dict[Any, Any]:
    """The state of a model of CatBoost without the time of its fit, and a random name."""
    model = sys.modules["catboost"].CatBoost().load_model(blob=state["__model"])
    metadata = model.get_metadata()
    metadata["train_finish_time"] = metadata["model_guid"] = ""
    return {**state, "__model": model._serialize_model()}


def _copied(value: Any, above: tuple[int, ...]) -> bytes:
    """Any other object, by what it gives to be copied."""
    kind, registered = _kind(value), copyreg.dispatch_table.get(type(value))
    try:
        given: Any = registered(value) if registered else value.__reduce_ex__(4)
        if not isinstance(given, str | tuple):
            raise TypeError(f"it gives a {type(given).__name__} to be copied")
    except Exception as e:
        raise InvalidParameter(f"a {kind} cannot be digested: {e}; leave it out") from e
    if isinstance(given, str):
        return global_digest(value, given, lambda part: _of(part, above))
    made, arguments, state, items, pairs, put = list(given) + [None] * (6 - len(given))
    if isinstance(state, dict):
        state = _lasting(value, state)
    held = [] if pairs is None else list(pairs)
    ordered = isinstance(value, OrderedDict) and held
    parts = [
        copier_digest(made, lambda part: _of(part, above)),
        _of(arguments, above),
        _of(state, above),
        _of(None if items is None else list(items), above),
        _of(held, above) if ordered else _of(None if pairs is None else dict(held), above),
    ]
    return hashed("object", kind.encode(), *parts, *([] if put is None else [_of(put, above)]))


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
