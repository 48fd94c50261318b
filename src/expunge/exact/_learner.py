"""What every tabular learner shares: records, tombstones, plan, forget, units, digest, save and load.

A learner says how it learns from rows (`_learn`), how it unlearns some of them (`_unlearn`), and what it has learned
(`_learned`, `_restore`). The rest is here, so that all of them refuse the same requests for the same reasons.
"""

import hashlib
import hmac
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from secrets import token_bytes
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from expunge.core import Deletion, Equality, Guarantee, Plan, Promise, Route, TouchedUnit, Unit
from expunge.core.digests import digest_json
from expunge.core.errors import DigestMismatch, InvalidData, NothingLeft, NotReady
from expunge.exact import _parts
from expunge.exact._equality import TOLERANCE, difference
from expunge.exact._rows import Positions, Rows

RETRAIN_ABOVE = 0.8  # of the cost of a fit: above it nothing is saved, and a fit leaves no question
WHOLE = "whole"


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
    random_state: Any
    salt: bytes | None
    _rows: Rows
    _known_digest: str | None

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
        with _typed():
            X, y = self._check(X, y)
        salt = self._secret(named=subjects is not None or records is not None)
        rows = Rows(X, y, salt, subjects, records)
        with self._whole_or_not_at_all():
            self._learn(rows)
            self.salt_, self._rows, self._known_digest = salt, rows, None
        return self

    def plan(self, subjects: Any = None, records: Any = None) -> Plan:
        """What forgetting these subjects or records would do and cost. Changes nothing.

        Raises: NotFitted; EmptyForgetSet; UnknownSubject; UnknownRecord; AlreadyForgotten; NothingLeft.
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
        if plan.route is not Route.RETRAIN:
            try:
                self._rows.wipe(gone)
            except KeyboardInterrupt:  # it is unlearned already: the rows follow, then the interrupt is heard
                self._rows.wipe(gone)
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
            "rows": _parts.digest(_parts.pack(self._fitted().packed())),
        }

    def digest(self) -> str:
        """One digest of the whole state: equal digests mean equal bits everywhere."""
        self._fitted()
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

        Raises: NotFitted; StorageFull, with the old state in place.
        """
        rows = self._fitted()
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
            "salt": _salt_name(self.salt_),
        }
        return _parts.write(Path(folder), description, parts)

    @classmethod
    def load(cls, folder: str | Path, *, salt: bytes, **given: Any) -> Self:
        """A saved learner; `salt` is its `salt_`, and `given` are parameters that no file can hold.

        A removal that a kill cut short is finished first.

        Raises: UnreadableModel; DigestMismatch, if bits are not the recorded ones or the salt is another.
        """
        described, parts = _parts.read(Path(folder))
        if described["kind"] != cls._kind():
            raise DigestMismatch(
                f"{folder} holds a '{described['kind']}', not a '{cls._kind()}'; use expunge.exact.load"
            )
        if described.get("salt") != _salt_name(salt):
            raise DigestMismatch(f"the salt given is not the one that the learner in {folder} was fitted with")
        _parts.sweep(Path(folder))
        self = cls(**{**described["parameters"], "salt": salt, **given})
        rows = Rows.unpacked({**_parts.unpack(parts["rows"]), **_parts.unpack(parts["lineage"])}, salt)
        if described["features"]:
            self.n_features_in_, names = described["features"]
            if names is not None:
                self.feature_names_in_ = np.array(names, dtype=object)
        self._restore_parts(parts, rows)
        self.salt_, self._rows, self._known_digest = salt, rows, None
        if self.digest() != described["digest"]:
            raise DigestMismatch(f"the state in {folder} does not add up to its digest; restore it from a backup")
        return self

    def _learned_part(self) -> bytes:
        return _parts.pack(self._learned())

    def _learned_parts(self) -> dict[str, bytes]:
        return {"learned": self._learned_part()}

    def _restore_parts(self, parts: dict[str, bytes], rows: Rows) -> None:
        self._restore(_parts.unpack(parts["learned"]), rows)

    # -- internals -----------------------------------------------------------------------------------------------

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
        rows = self._fitted()
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
        return self._rows

    def _secret(self, named: bool) -> bytes:
        """The salt given, or one from `random_state`: repeatable, and for that reason no secret."""
        if self.salt is not None:
            return self.salt
        state = getattr(self, "random_state", None)
        if state is None:
            return token_bytes(32)
        if named:
            warnings.warn(
                "salt=None: placement and opaque names derive from random_state and are not secret", stacklevel=3
            )
        if isinstance(state, int | np.integer):
            return b"expunge/no-salt/" + int(state).to_bytes(8, "big", signed=True)
        return bytes(state.randint(0, 256, size=32, dtype=np.uint8))

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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_rows")


@contextmanager
def _typed() -> Iterator[None]:
    """scikit-learn's sentence about bad data, as one of our errors."""
    try:
        yield
    except ValueError as e:
        if isinstance(e, InvalidData) or type(e) is not ValueError:
            raise
        raise InvalidData(str(e)) from e


def load(folder: str | Path, *, salt: bytes, **given: Any) -> Any:
    """A saved learner of any kind; see `Learner.load`.

    Raises: UnreadableModel; DigestMismatch; UnknownMethod, for a kind that this version does not know.
    """
    from expunge.exact import learners

    return learners.get(_parts.read(Path(folder))[0]["kind"]).load(folder, salt=salt, **given)


def _salt_name(salt: bytes) -> str:
    """Tells one salt from another without saying what it is."""
    return hmac.digest(salt, b"expunge/salt/v1", hashlib.sha256)[:8].hex()


def plain(value: Any) -> Any:
    """A parameter as JSON: numpy's numbers and arrays as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(v) for v in value] if isinstance(value, tuple | list) else value
