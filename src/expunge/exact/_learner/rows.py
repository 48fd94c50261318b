"""The records that a learner holds: values, opaque names, and who they are about, in the order they were given.

Positions are stable: a record that leaves is overwritten at once and its place stays empty, so that kernels may keep
positions. What is saved or digested is compact, and equals that of the records that stay, given alone.
"""

import copy
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from expunge.core.errors import (
    AlreadyForgotten,
    EmptyForgetSet,
    InvalidData,
    InvalidParameter,
    UnknownRecord,
    UnknownSubject,
)
from expunge.core.identity import canonical_identity, identity_of, is_missing

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """A record by its place, from 0, among those that a learner holds: for whoever knows which record is where, and no ids."""

    number: int


_NAME = 16  # bytes of an opaque name


class Rows:
    """Records of one fit.

    `X` is an array, also of objects or of fields (`as_fields`), a sparse matrix or a list; `y` an array or None.
    `subjects` holds one name, or a tuple or list of several, per record; `records` one id per record, by default its row number.
    """

    def __init__(self, X: Any, y: Any, salt: bytes, subjects: Any = None, records: Any = None) -> None:
        self.X = X.copy() if hasattr(X, "copy") else list(X)
        self.y: Any = None if y is None else np.array(y)
        if self.y is not None and self.y.dtype.kind == "f":
            self.y += 0.0  # -0.0 is 0.0: which of the two stands for both must not be up to a record that leaves
        self.size = int(X.shape[0]) if hasattr(X, "shape") else len(X)
        self.salt = salt
        self.alive = np.ones(self.size, dtype=bool)
        self.n = self.size
        self.tombstones: set[bytes] = set()
        self._number = np.arange(self.size)  # ids by default, ascending
        self._id_names = _record_names(records, self.size, salt)
        self._place = {name: i for i, name in enumerate(self._id_names)} if self._id_names is not None else None
        self._names, self._start, self._of = _subject_index(subjects, self.size, salt)
        self._code = {name: i for i, name in enumerate(self._names)} if self._names is not None else None

    # -- what is there -------------------------------------------------------------------------------------------

    def positions(self) -> Positions:
        """Where the live records are, in order."""
        return np.flatnonzero(self.alive)

    def live(self) -> tuple[Any, Any]:
        """Values of the live records, without gaps."""
        if self.n == self.size:
            return self.X, self.y
        keep = self.positions()
        return take(self.X, keep), None if self.y is None else self.y[keep]

    def retained(self, gone: Positions) -> tuple[Any, Any]:
        """Values of the records that stay when these leave."""
        keep = self.alive.copy()
        keep[gone] = False
        places = np.flatnonzero(keep)
        return take(self.X, places), None if self.y is None else self.y[places]

    def behind(self, kept: Positions) -> tuple[Any, Any]:
        """Values of the records behind as many as were kept."""
        X: Any = self.X
        return X[len(kept) :], None if self.y is None else self.y[len(kept) :]

    def subject_names(self) -> list[list[bytes]]:
        """Opaque names of the subjects of every live record; empty lists without subjects."""
        named: list[list[bytes]] = [[] for _ in range(self.size)]
        for name, code in (self._code or {}).items():
            for i in self._of[self._start[code] : self._start[code + 1]]:
                named[i].append(name)
        return [sorted(named[i]) for i in self.positions()]

    def placement_keys(self, first: int = 0) -> list[bytes]:
        """For every position from `first` on, what decides where the record is placed, and nothing about other records does.

        The smallest opaque name of its own subjects; without subjects its id, where ids were given; else a keyed hash
        of its values, since a row number is another one in a fit without the rows before it.
        """
        if self._code is not None:
            start, codes = self._codes_by_row()
            names = self._names or []
            return [min(names[c] for c in codes[start[i] : start[i + 1]]) for i in range(first, self.size)]
        if self._id_names is not None:
            return list(self._id_names[first:])
        return [_opaque(self.salt, "content", _content(self.X, i)) for i in range(first, self.size)]

    def content_keys(self, weights: NDArray[np.float64] | None = None, first: int = 0) -> list[bytes]:
        """For every position from `first` on, a keyed hash of its placement key and values, X, y and weight; zeros where none is.

        Two records share it only if they are the same in all that a learner sees of them.
        """
        y = None if self.y is None else self.y.astype(object) if self.y.dtype.kind in "US" else self.y
        keys = [bytes(_NAME)] * (self.size - first)
        for i, place in enumerate(self.placement_keys(first), start=first):
            if self.alive[i]:
                label = "" if y is None else repr(y[i]) if y.dtype == object else bytes(y[i].tobytes()).hex()
                weight = "" if weights is None or weights[i] == 1 else f"|{weights[i].hex()}"
                keys[i - first] = _opaque(self.salt, "row", f"{place.hex()}|{label}|{_content(self.X, i)}{weight}")
        return keys

    def record_name(self, i: int) -> bytes:
        """Opaque name of a record's id."""
        return self._id_names[i] if self._id_names is not None else _opaque(self.salt, "record", int(self._number[i]))

    # -- who leaves ----------------------------------------------------------------------------------------------

    def find(self, subjects: Any, records: Any) -> Positions:
        """Positions of live records, ascending, by subject or by record id.

        Raises: EmptyForgetSet; UnknownSubject; UnknownRecord; AlreadyForgotten.
        """
        found = [*self._by_subject(named(subjects, "subjects")), *self._by_record(named(records, "records"))]
        if not found:
            raise EmptyForgetSet("no subjects or records were named; forgetting needs at least one")
        return found[0] if len(found) == 1 else np.unique(np.concatenate(found))

    def _by_subject(self, subjects: Sequence[Any]) -> list[Positions]:
        if subjects and self._code is None:
            raise UnknownSubject("this model was fitted without subjects; forget by records=, or fit with subjects=")
        found, unknown = [], 0
        for subject in subjects:
            code = (self._code or {}).get(_subject_name(self.salt, identity_of(subject)))
            if code is None:
                unknown += 1
                continue
            of = self._of[self._start[code] : self._start[code + 1]]
            found.append(of[self.alive[of]])
        if unknown:
            raise UnknownSubject(
                f"{unknown} of {len(subjects)} subjects have no record in this model; it holds {self.n} records, "
                f"and {len(self.tombstones)} were forgotten before. Check the spelling; nothing was forgotten"
            )
        return found

    def _by_record(self, records: Sequence[Any]) -> list[Positions]:
        if not len(records):
            return []
        places = np.array([self._place_of(record) for record in records], dtype=np.int64)
        if (missing := int((places < 0).sum())) == 0:
            return [places if len(places) == 1 else np.unique(places)]
        before = sum(
            _opaque(self.salt, "record", r) in self.tombstones
            for r, place in zip(records, places, strict=True)
            if place < 0
        )
        if before == missing:
            raise AlreadyForgotten(f"{before} of {len(records)} records were forgotten before; nothing was changed")
        raise UnknownRecord(
            f"{missing - before} of {len(records)} records were never in this model, which holds {self.n}; records are "
            "named by the ids given to fit, or by their row numbers there. Nothing was forgotten"
        )

    def _place_of(self, record: Any) -> int:
        if isinstance(record, Place):
            return self._position(record.number)
        if self._place is not None:
            return self._place.get(_opaque(self.salt, "record", record), -1)
        if isinstance(record, bool) or not isinstance(record, int | np.integer):
            return -1
        i = int(np.searchsorted(self._number, record)) if self.size else 0
        return i if i < self.size and self._number[i] == record and self.alive[i] else -1

    def _position(self, number: int) -> int:
        """Where the record is that is `number`th of those held, from 0; -1: there are not so many."""
        if not 0 <= number < self.n:
            return -1
        if self.n == self.size:
            return number
        if self._live is None or len(self._live) != self.n:  # records leave, and none comes back
            self._live = self.positions()
        return int(self._live[number])

    _live: Positions | None = None

    # -- leaving -------------------------------------------------------------------------------------------------

    def wipe(self, gone: Positions) -> None:
        """Overwrite these records; nothing but a tombstone stays. Interrupted, it may be done again."""
        for i in gone.tolist():
            if name := self.record_name(i):
                self.tombstones.add(name)
            if self._place is not None and self._id_names is not None:
                self._place.pop(name, None)
                self._id_names[i] = b""
        self.alive[gone] = False
        self.n = int(np.count_nonzero(self.alive))
        self.X = _overwritten(self.X, gone)
        if self.y is not None:
            self.y[gone] = np.zeros((), self.y.dtype) if self.y.dtype != object else None
        if self._code is not None:
            self._drop_subjects(gone)

    def _drop_subjects(self, gone: Positions) -> None:
        """Forget the names of subjects who have no live record left."""
        names = self._names or []
        for code in np.unique(self._codes_of(gone)).tolist():
            if (name := names[code]) and not self.alive[self._of[self._start[code] : self._start[code + 1]]].any():
                (self._code or {}).pop(name, None)
                names[code] = b""

    def _codes_by_row(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._codes is None:
            self._codes = _inverse(self._start, self._of, self.size)
        return self._codes

    def _codes_of(self, gone: Positions) -> NDArray[np.int64]:
        start, codes = self._codes_by_row()
        return np.concatenate([codes[start[i] : start[i + 1]] for i in gone.tolist()])

    _codes: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def without(self, gone: Positions) -> "Rows":
        """A copy that never held these records, but for their tombstones."""
        rows = copy.deepcopy(self)
        rows.wipe(gone)
        return rows

    # -- growing -------------------------------------------------------------------------------------------------

    def grown(self, X: Any, y: Any, subjects: Any = None, records: Any = None) -> "Rows":
        """The live records, in their order, and these behind them, as one fit of all would hold them.

        Raises: InvalidData, for other columns, ids that are there already, or subjects and ids where there are none, or none
        where there are; AlreadyForgotten, for ids of records that were forgotten: they must never be learned again.
        """
        new = Rows(X, y, self.salt, subjects, records)
        for what, old, given in (("subjects", self._code, new._code), ("records", self._place, new._place)):
            if (old is None) is not (given is None):
                raise InvalidData(f"the model was fitted with{'out' if old is None else ''} {what}=; add records alike")
        if new._id_names is None:
            new._number = self._numbers_for(new.size)
        else:
            self._refuse_known(new._id_names)
        kept, (old_X, old_y) = self.positions(), self.live()
        grown = copy.copy(self)
        grown.X, grown.y = _joined(old_X, new.X), None if new.y is None else _joined(old_y, new.y)
        grown.size = grown.n = len(kept) + new.size
        grown.alive, grown._codes, grown._live = np.ones(grown.size, dtype=bool), None, None
        grown.tombstones = set(self.tombstones)
        grown._number = np.concatenate([self._number[kept], new._number])
        if new._id_names is not None and self._id_names is not None:
            grown._id_names = [*(self._id_names if self.n == self.size else take(self._id_names, kept)), *new._id_names]
            grown._place = {name: i for i, name in enumerate(grown._id_names)}
        if new._code is not None:
            grown._names, grown._start, grown._of = self._united(new)
            grown._code = {name: code for code, name in enumerate(grown._names) if name}
        return grown

    def _united(self, new: "Rows") -> tuple[list[bytes], NDArray[np.int64], NDArray[np.int64]]:
        """As `_indexed`, of the live records and new ones behind them; names that come with the new are last."""
        names, place, stays = list(self._names or ()), np.cumsum(self.alive) - 1, self.alive[self._of]
        start, of = np.concatenate([[0], np.cumsum(stays)])[self._start], place[self._of[stays]]
        came: dict[int, Positions] = {}
        for k, name in enumerate(new._names or ()):
            code = (self._code or {}).get(name, len(names))
            names += [name] * (code == len(names))
            came[code] = self.n + new._of[new._start[k] : new._start[k + 1]]
        start = np.append(start, np.full(len(names) + 1 - len(start), start[-1]))
        counts, codes = np.zeros(len(names), np.int64), sorted(came)
        counts[codes] = [len(came[code]) for code in codes]
        of = np.insert(of, np.repeat(start[1:], counts), np.concatenate([came[code] for code in codes]))
        return names, start + np.append(0, np.cumsum(counts)), of

    def _numbers_for(self, n: int) -> NDArray[np.int64]:
        """Row numbers that nobody has or had."""
        first = int(self._number[-1]) + 1 if self.size else 0
        while _opaque(self.salt, "record", first) in self.tombstones:
            first += 1
        return np.arange(first, first + n)

    def _refuse_known(self, names: Sequence[bytes]) -> None:
        if forgotten := sum(name in self.tombstones for name in names):
            raise AlreadyForgotten(
                f"{forgotten} of {len(names)} records were forgotten before and must never be learned again; leave them out. "
                "Nothing was added"
            )
        if held := sum(name in (self._place or {}) for name in names):
            raise InvalidData(f"{held} of {len(names)} record ids are in this model already; each record needs its own")

    # -- on disk -------------------------------------------------------------------------------------------------

    def packed(self) -> dict[str, Any]:
        """Everything about the live records, for `_parts.pack`; names are keyed, the salt is not in it."""
        keep, (X, y) = self.positions(), self.live()
        values: dict[str, Any] = {} if y is None else {"y": y}
        if sparse.issparse(X):
            values |= {"X.data": X.data, "X.indices": X.indices, "X.indptr": X.indptr, "X.shape": list(X.shape)}
        elif not isinstance(X, list) and X.dtype.names:
            values |= {f"X.{name}": X[name] for name in X.dtype.names} | {"X.fields": len(X.dtype.names)}
        else:
            values["X"] = X
        if self._id_names is not None:
            values["records"] = [self._id_names[i].hex() for i in keep]
        if self._code is not None:
            values["subjects"] = [[name.hex() for name in names] for names in self.subject_names()]
        return values

    def lineage(self) -> dict[str, Any]:
        """What a fit without the records that left would not have: tombstones, and row numbers with gaps."""
        numbers = {} if self._id_names is not None else {"number": self._number[self.positions()]}
        return {"tombstones": sorted(name.hex() for name in self.tombstones), **numbers}

    @classmethod
    def unpacked(cls, values: dict[str, Any], salt: bytes) -> "Rows":
        if "X" in values:
            X = values["X"]
        elif "X.fields" in values:
            X = as_fields([values[f"X.{k}"] for k in range(values["X.fields"])])
        else:
            parts = (values["X.data"], values["X.indices"], values["X.indptr"])
            X = sparse.csr_matrix(parts, shape=tuple(values["X.shape"]))
        self = cls(X, values.get("y"), salt)
        self.tombstones = {bytes.fromhex(t) for t in values["tombstones"]}
        if "number" in values:
            self._number = values["number"]
        else:
            self._id_names = [bytes.fromhex(r) for r in values["records"]]
            self._place = {name: i for i, name in enumerate(self._id_names)}
        if "subjects" in values:
            named = [tuple(bytes.fromhex(name) for name in names) for names in values["subjects"]]
            self._names, self._start, self._of = _indexed(named, self.size)
            self._code = {name: i for i, name in enumerate(self._names or ())}
        return self


def take(X: Any, places: Positions) -> Any:
    """These rows of an array, a sparse matrix, a data frame or a list."""
    if hasattr(X, "iloc"):
        return X.iloc[places]
    return [X[i] for i in places] if isinstance(X, list) else X[places]


def as_fields(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Columns of different types as one array, a field a column, by number.

    >>> as_fields([np.array([1, 2]), np.array(["a", None], dtype=object)])[1]
    np.void((2, None), dtype=[('0', '<i8'), ('1', 'O')])
    """
    X = np.empty(len(columns[0]), dtype=[(str(k), column.dtype) for k, column in enumerate(columns)])
    for k, column in enumerate(columns):
        X[str(k)] = column
    return X


def _joined(held: Any, new: Any) -> Any:
    """The rows held and new ones behind them, in the form of those held: which form all have must not be up to records that
    may leave again.

    Raises: InvalidData, where the form of those held would make other values of the new.
    """
    if isinstance(held, list):
        return [*held, *new]
    if new.shape[1:] != held.shape[1:]:
        raise InvalidData(
            f"what was learned has values of shape {held.shape[1:]} a record, these have {new.shape[1:]}; give them alike"
        )
    if sparse.issparse(held):
        new = sparse.csr_matrix(new)
        values = _as_type(held.dtype, new.data)
        new = sparse.csr_matrix((values, new.indices, new.indptr), shape=new.shape)
        return sparse.vstack([held, new], format="csr")
    new = new.toarray() if sparse.issparse(new) else new
    return np.concatenate([held, _as_type(held.dtype, new)])


def _as_type(dtype: np.dtype[Any], new: NDArray[Any]) -> NDArray[Any]:
    """New values as this type, if they stay what they are; text may be longer than any before."""
    texts = all(isinstance(value, str) for value in new.ravel().tolist()) if dtype.kind in "UO" else False
    if new.dtype == dtype or (dtype.kind == "O" and (texts or new.dtype.kind in "biuf")):
        return new.astype(dtype)
    if dtype.kind == "U" and texts:
        return new.astype(str)
    if dtype.kind in "biuf" and new.dtype.kind in "biuf":
        with np.errstate(all="ignore"):
            same = new.astype(dtype)
        if np.array_equal(same, new, equal_nan=True):
            return same
    raise InvalidData(
        f"what was learned has values of type {dtype}, which cannot hold these of type {new.dtype}; give them in the type of the "
        "fit, or fit on all records in a type that holds both"
    )


def _content(X: Any, i: int) -> str:
    """A row's values as text that equal rows share, with or without neighbours."""
    if sparse.issparse(X):
        row = slice(X.indptr[i], X.indptr[i + 1])
        return repr((X.indices[row].tolist(), X.data[row].tolist()))
    if isinstance(X, list) or X.dtype.hasobject or X.dtype.names:
        return repr(X[i] if isinstance(X, list) else X[i].tolist())
    return bytes(X[i].tobytes()).hex()


def _overwritten(X: Any, gone: Positions) -> Any:
    if sparse.issparse(X):
        for i in gone.tolist():
            row = slice(X.indptr[i], X.indptr[i + 1])
            X.data[row], X.indices[row] = 0, 0
    elif isinstance(X, list):
        for i in gone.tolist():
            X[i] = None
    else:
        X[gone] = None if X.dtype == object else np.zeros((), X.dtype)
    return X


def named(names: Any, what: str) -> Sequence[Any]:
    """The names in a request, as a list.

    Raises: InvalidParameter, for a single name, whose letters would be taken for names.
    """
    if names is None:
        return ()
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise InvalidParameter(f"{what} must be a list of names, got {type(names).__name__}; write {what}=[...]")
    return list(names)


def _opaque(salt: bytes, what: str, name: Any) -> bytes:
    """A keyed name; 7, numpy's 7 and "7" are one name, as they are in a column of a file."""
    # A lone surrogate is no text, but it is what Python makes of a file name that is none.
    return hmac.digest(salt, f"expunge/{what}/v1\0{name}".encode("utf-8", "surrogatepass"), hashlib.sha256)[:_NAME]


def _subject_name(salt: bytes, subject: str) -> bytes:
    return _opaque(salt, "subject", canonical_identity(subject))


def _one_each(given: Any, n: int, what: str) -> list[Any]:
    """What was given for every row, in their order.

    Raises: InvalidData, for what has no order or another length.
    """
    orderless = isinstance(given, str | bytes | set | frozenset | dict) or not isinstance(given, Iterable)
    if orderless or getattr(given, "ndim", 1) != 1:
        raise InvalidData(f"{what} must be a list with one entry a row, got {type(given).__name__}")
    if len(listed := list(given)) != n:
        raise InvalidData(f"{n} rows need as many {what}, got {len(listed)}")
    return listed


def _record_names(records: Any, n: int, salt: bytes) -> list[bytes] | None:
    if records is None:
        return None
    listed = _one_each(records, n, "record ids")
    if missing := sum(r == "" or is_missing(r) for r in listed):
        raise InvalidData(f"{missing} of {n} record ids are missing; each record needs its own, or leave records= out")
    names = [_opaque(salt, "record", r) for r in listed]
    if len(set(names)) < n:
        raise InvalidData(f"record ids are not unique: {n} rows, {len(set(names))} ids; each record needs its own")
    return names


def _subject_index(subjects: Any, n: int, salt: bytes) -> tuple[list[bytes] | None, Any, Any]:
    if subjects is None:
        return None, None, None
    known: dict[str, bytes] = {}

    def name(subject: Any) -> bytes:
        if not isinstance(subject, str):
            if isinstance(subject, Iterable) and not isinstance(subject, bytes):
                raise InvalidData(f"a subject is one name, or several as a tuple of names; got {subject!r} among them")
            subject = identity_of(subject)
        if subject not in known:  # by the text itself: 1, 1.0 and True are one key of a dict, and three names
            known[subject] = _subject_name(salt, identity_of(subject))
        return known[subject]

    several = [s if isinstance(s, tuple | list | set | frozenset) else (s,) for s in _one_each(subjects, n, "subjects")]
    if not all(several):
        raise InvalidData("a record has no subject; every record needs one, or fit without subjects")
    return _indexed([tuple(sorted({name(s) for s in group})) for group in several], n)


def _indexed(named: Sequence[tuple[bytes, ...]], n: int) -> tuple[list[bytes] | None, Any, Any]:
    """Names, and for each of them the positions of its records, as one array with starts."""
    names = sorted({name for group in named for name in group})
    code = {name: i for i, name in enumerate(names)}
    codes = np.array([code[name] for group in named for name in group], dtype=np.int64)
    rows = np.repeat(np.arange(n), [len(group) for group in named])
    order = np.argsort(codes, kind="stable")
    start = np.searchsorted(codes[order], np.arange(len(names) + 1))
    return names, start, rows[order]


def _inverse(start: Any, of: Any, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each position, the codes of its subjects, as one array with starts."""
    codes = np.repeat(np.arange(len(start) - 1), np.diff(start))
    order = np.argsort(of, kind="stable")
    return np.searchsorted(of[order], np.arange(n + 1)), codes[order]
