"""What every tabular learner shares: records, tombstones, plan, forget, units, digest, save and load.

A learner says how it learns from rows (`_learn`), how it unlearns some of them (`_unlearn`), and what it has learned
(`_learned`, `_restore`). The rest is here, so that all of them refuse the same requests for the same reasons.
"""

import copy
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from expunge.core import Deletion, Equality, Guarantee, Plan, Promise, Route, TouchedUnit, Unit
from expunge.core.digests import digest_json
from expunge.core.errors import (
    AlreadyForgotten,
    DigestMismatch,
    NothingLeft,
    NotReady,
    UnreadableModel,
)
from expunge.exact._learner import parts as _parts
from expunge.exact._learner.equality import TOLERANCE, difference
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.salt import checked_salt, salt_name, secret_of
from expunge.exact._learner.typed import readable, typed

RETRAIN_ABOVE = 0.8  # of the cost of a fit: above it nothing is saved, and a fit leaves no question
WHOLE = "whole"
_CONSTANT = (bool, int, float, str, type(None))  # values that nobody can change in place


class NotFitted(NotReady, NotFittedError):
    """The learner is not fitted yet."""


class Learner(BaseEstimator):
    """An estimator that can forget: after `forget`, all that it holds except tombstones equals a fit without the records.

    `equality` says in which sense; `salt` is the secret behind opaque names and every random draw. Its bytes are
    never saved: keep `salt_`, `load` needs it.
    """

    equality: ClassVar[Equality] = Equality.BITWISE
    route: ClassVar[Route] = Route.SUBTRACT
    assumptions: ClassVar[tuple[str, ...]] = ("requests do not depend on published outputs",)
    adaptive_safe: ClassVar[bool] = False
    changeable: ClassVar[tuple[str, ...]] = ()  # parameters that say how requests are answered, not what is learned
    random_state: Any
    salt: bytes | None
    _rows: Rows
    _known_digest: str | None
    _leaving: Positions | None  # unlearned, but not yet overwritten in the rows
    _fitted_with: dict[str, Any]
    _given: dict[str, Any]
    _on_disk: bool  # saved or loaded, so that there may be copies

    # -- what a learner says of itself ---------------------------------------------------------------------------

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Data as the learner wants it, or ValueError. Sets `n_features_in_`, and `classes_` where there are classes."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        return X, y

    def _learn(self, rows: Rows) -> None:
        """Learn from all live rows, replacing what was learned before."""
        raise NotImplementedError

    def _unlearn(self, rows: Rows, gone: Positions) -> None:
        """Change what was learned into what `_learn` gives without these rows, which are still in `rows`."""
        raise NotImplementedError

    def _learned(self) -> dict[str, Any]:
        """What was learned, as arrays and JSON values that are equal whenever the learned state is."""
        raise NotImplementedError

    def _compared(self) -> dict[str, Any]:
        """What has to agree to 1e-10 where equality is numeric: each array against its largest entry."""
        return self._learned()

    def _restore(self, learned: dict[str, Any], rows: Rows) -> None:
        """Take over what `_learned` gave."""
        raise NotImplementedError

    def _cost(self, rows: Rows, gone: Positions) -> float:
        """Predicted work of unlearning these rows, as a fraction of a fit without them."""
        return len(gone) / max(1, rows.n - len(gone))

    def _refuse(self, rows: Rows, gone: Positions) -> None:
        """Raise NothingLeft where no fit without these rows exists."""

    # -- fit and forget ------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, *, subjects: Any = None, records: Any = None) -> Self:
        """Learn. `subjects` says who each row is about (one name, or several as a tuple); `records` gives it an id.

        Without `records` a row is named by its number, and keeps that number when others leave.

        Raises: InvalidData, for NaN, wrong shapes, missing subjects or ids that are not unique; InvalidParameter.
        """
        with self._whole_or_not_at_all():
            with typed():
                X, y = self._check(X, y)
            salt = secret_of(self, named=subjects is not None or records is not None)
            rows = Rows(X, y, salt, subjects, records)
            self._learn(rows)
            self._begin(salt, rows, on_disk=False)
        return self

    def plan(self, subjects: Any = None, records: Any = None) -> Plan:
        """What forgetting these subjects or records would do and cost. Changes nothing.

        Raises: NotFitted; EmptyForgetSet; UnknownSubject; UnknownRecord; AlreadyForgotten; NothingLeft; NotReady, where a
        parameter was changed after `fit`.
        """
        return self._planned(self._find(subjects, records))

    def forget(self, subjects: Any = None, records: Any = None, *, digests: bool = False) -> Deletion:
        """Forget these subjects, these records, or both, for good. On any error nothing has changed.

        With `digests` the result carries the digest of the state before and after.

        Raises: as `plan`.
        """
        gone = self._find(subjects, records)
        plan = self._planned(gone)
        before = self.digest() if digests else None
        began = time.perf_counter()
        self._known_digest = None
        with self._whole_or_not_at_all():
            if plan.route is Route.RETRAIN:
                rows = self._rows.without(gone)
                self._learn(rows)
                self._rows = rows
            else:
                self._unlearn(self._rows, gone)
                self._leaving = gone
        try:
            self._wipe()
        except KeyboardInterrupt:  # it is unlearned already: the rows follow, then the interrupt is heard
            self._wipe()
            raise
        elapsed = time.perf_counter() - began
        return Deletion(
            plan=plan,
            digest_before=before,
            digest_after=self.digest() if digests else None,
            cost=plan.cost,
            elapsed_s=elapsed,
            destroyed=plan.purge,
        )

    def promise(self) -> Promise:
        return Promise(
            guarantee=Guarantee.EXACT,
            equality=self.equality,
            adaptive_safe=self.adaptive_safe,
            scope="full state: what was learned, the records held, their opaque names",
            assumptions=self.assumptions,
        )

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def n_records(self) -> int:
        """How many records the learner holds now."""
        return self._fitted().n

    @property
    def tombstones(self) -> tuple[str, ...]:
        """Opaque names of all records that were ever forgotten."""
        return tuple(sorted(name.hex() for name in self._fitted().tombstones))

    def units(self) -> tuple[Unit, ...]:
        """The parts of the fitted model; one, unless the learner says otherwise."""
        return (Unit(WHOLE, (self._fitted().n,), _parts.digest(self._learned_part())),)

    def parameters(self) -> dict[str, Any]:
        """What was asked for, without secrets, as JSON."""
        asked = {k: v for k, v in self.get_params(deep=False).items() if k != "salt"}
        if "random_state" in asked and not isinstance(asked["random_state"], int | np.integer | None):
            asked["random_state"] = None  # its draws are in the salt by now
        return {k: plain(v) for k, v in asked.items()}

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage, as JSON and digests."""
        return {
            "kind": self._kind(),
            "parameters": self.parameters(),
            "units": [{**asdict(u), "slices": list(u.slices)} for u in self.units()],
            "rows": _parts.digest(_parts.pack(self._as_asked().packed())),
        }

    def digest(self) -> str:
        """One digest of the whole state: equal digests mean equal bits everywhere.

        Raises: NotFitted; NotReady, where a parameter was changed after `fit`.
        """
        self._as_asked()
        if self._known_digest is None:
            self._known_digest = digest_json("learner", self.state())
        return self._known_digest

    def equals(self, other: Self) -> bool:
        """Whether two fitted learners are equal in the sense that `equality` states: same bits, or numbers to 1e-10."""
        if self.equality is Equality.NUMERIC:
            same_rows = self.state()["rows"] == other.state()["rows"]
            return same_rows and difference(self._compared(), other._compared()) <= TOLERANCE
        return self.digest() == other.digest()

    def save(self, folder: str | Path) -> list[str]:
        """Write the state, replacing what is in `folder` in one step; the names of the parts that were destroyed.

        No pickle, no salt, no name of a subject or record is in it; values of the records are.

        Raises: NotFitted; NotReady; AlreadyForgotten, where another copy of this learner has forgotten records and was
        saved here meanwhile, which this save would bring back; StorageFull. The old state is then still in place.
        """
        rows = self._as_asked()
        self._refuse_to_bring_back(Path(folder))
        parts = {
            **self._learned_parts(),
            "rows": _parts.pack(rows.packed()),
            "lineage": _parts.pack(rows.lineage()),
        }
        description = {
            "kind": self._kind(),
            "parameters": self.parameters(),
            "features": [int(self.n_features_in_), plain(getattr(self, "feature_names_in_", None))]
            if hasattr(self, "n_features_in_")
            else None,
            "digest": self.digest(),
            "salt": salt_name(self.salt_),
        }
        removed = _parts.write(Path(folder), description, parts)
        self._on_disk = True
        return removed

    @classmethod
    def load(cls, folder: str | Path, *, salt: bytes, **given: Any) -> Self:
        """A saved learner; `salt` is its `salt_`, and `given` are parameters that no file can hold.

        A removal that a kill cut short is finished first.

        Raises: UnreadableModel; DigestMismatch, if bits are not the recorded ones or the salt is another.
        """
        salt = checked_salt(salt)
        described, parts = _parts.read(Path(folder))
        if described["kind"] != cls._kind():
            raise DigestMismatch(
                f"{folder} holds a '{described['kind']}', not a '{cls._kind()}'; use expunge.exact.load"
            )
        if described.get("salt") != salt_name(salt):
            raise DigestMismatch(f"the salt given is not the one that the learner in {folder} was fitted with")
        with readable(folder):
            self = cls(**{**described["parameters"], "salt": salt, **given})
            rows = Rows.unpacked({**_parts.unpack(parts["rows"]), **_parts.unpack(parts["lineage"])}, salt)
            if described["features"]:
                self.n_features_in_, names = described["features"]
                if names is not None:
                    self.feature_names_in_ = np.array(names, dtype=object)
            self._restore_parts(parts, rows)
            self._begin(salt, rows, on_disk=True)
            if self.digest() != described["digest"]:
                raise DigestMismatch(f"the state in {folder} does not add up to its digest; restore it from a backup")
        _parts.sweep(Path(folder))  # not before: a damaged description names too few parts
        return self

    def _learned_part(self) -> bytes:
        return _parts.pack(self._learned())

    def _learned_parts(self) -> dict[str, bytes]:
        return {"learned": self._learned_part()}

    def _restore_parts(self, parts: dict[str, bytes], rows: Rows) -> None:
        self._restore(_parts.unpack(parts["learned"]), rows)

    # -- internals -----------------------------------------------------------------------------------------------

    def _begin(self, salt: bytes, rows: Rows, on_disk: bool) -> None:
        """Hold these records, under the parameters of now."""
        self.salt_, self._rows, self._known_digest, self._leaving = salt, rows, None, None
        self._fitted_with, self._on_disk = self.parameters(), on_disk
        self._given = {k: v for k, v in self.get_params(deep=False).items() if k not in ("salt", *self.changeable)}

    def _as_asked(self) -> Rows:
        """The records. A model of one alpha that forgets under another would equal no fit, so that is refused.

        Raises: NotFitted; NotReady.
        """
        rows = self._fitted()
        if all(isinstance(v, _CONSTANT) and getattr(self, k) is v for k, v in self._given.items()):
            return rows  # nothing to write down and compare, which takes as long as a deletion
        asked = {k: v for k, v in self.parameters().items() if k not in self.changeable}
        if changed := [k for k, v in asked.items() if repr(v) != repr(self._fitted_with.get(k))]:
            raise NotReady(f"{', '.join(changed)} changed since fit; fit again, or set it back")
        return rows

    def _wipe(self) -> None:
        """Overwrite the records that were unlearned last. Interrupted, it is done before anything else is."""
        if self._leaving is not None:
            self._rows.wipe(self._leaving)
            self._leaving = None

    def _refuse_to_bring_back(self, folder: Path) -> None:
        """Two copies of one learner on disk may forget in turn; the later save must not undo the earlier."""
        if not self._on_disk or not (folder / _parts.DESCRIPTION).exists():
            return
        try:
            with readable(folder):
                described, parts = _parts.read(folder, only=("lineage",))
                forgotten = set(_parts.unpack(parts["lineage"])["tombstones"])
        except (UnreadableModel, DigestMismatch):
            return  # nothing to be brought back from; this save repairs the folder
        lost = forgotten - set(self.tombstones)
        if lost and described.get("salt") == salt_name(self.salt_) and described["kind"] == self._kind():
            raise AlreadyForgotten(
                f"the model in {folder} has forgotten {len(lost)} records of which this copy does not know; "
                "load it and forget there, or save to another folder"
            )

    def _planned(self, gone: Positions) -> Plan:
        cost = self._cost(self._rows, gone)
        return Plan(
            route=Route.RETRAIN if cost > RETRAIN_ABOVE else self.route,
            promise=self.promise(),
            units=(TouchedUnit(WHOLE, len(gone), 1),),
            n_removed=len(gone),
            cost=min(cost, 1.0),
        )

    def _find(self, subjects: Any, records: Any) -> Positions:
        rows = self._as_asked()
        gone = rows.find(subjects, records)
        if len(gone) == rows.n:
            raise NothingLeft(
                f"all {rows.n} records would leave; there is no model of nothing. Delete the model instead"
            )
        self._refuse(rows, gone)
        return gone

    def _asked(self, X: Any, **settings: Any) -> Any:
        """Rows to predict for, checked against those of `fit`.

        Raises: NotFitted; ValueError, as scikit-learn's estimators do.
        """
        self._fitted()
        return validate_data(self, X, reset=False, **{"dtype": np.float64, **settings})

    def _fitted(self) -> Rows:
        if not hasattr(self, "_rows"):
            raise NotFitted(f"this {type(self).__name__} is not fitted; call fit first")
        self._wipe()
        return self._rows

    @contextmanager
    def _whole_or_not_at_all(self) -> Iterator[None]:
        before = dict(self.__dict__)
        try:
            yield
        except BaseException:
            self.__dict__ = before
            raise

    @classmethod
    def _kind(cls) -> str:
        return cls.__module__.rpartition(".")[2]

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """As scikit-learn's, without the secret."""
        return str(BaseEstimator.__repr__(self._masked(), N_CHAR_MAX))

    def _html_repr(self) -> str:
        return str(BaseEstimator._html_repr(self._masked()))

    def _masked(self) -> Self:
        masked = copy.copy(self)
        masked.salt = None if self.salt is None else b"secret"
        return masked

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_rows")


def load(folder: str | Path, *, salt: bytes, **given: Any) -> Any:
    """A saved learner of any kind; see `Learner.load`.

    Raises: UnreadableModel; DigestMismatch; UnknownMethod, for a kind that this version does not know.
    """
    from expunge.exact._registry import learners

    return learners.get(_parts.read(Path(folder))[0]["kind"]).load(folder, salt=salt, **given)


def plain(value: Any) -> Any:
    """A parameter as JSON: numpy's numbers and arrays as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(v) for v in value] if isinstance(value, tuple | list) else value
