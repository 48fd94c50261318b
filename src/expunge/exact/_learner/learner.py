"""What every tabular learner shares: records, tombstones, plan, forget, units, digest, save and load.

A learner says how it learns from rows (`_learn`), how it unlearns some of them (`_unlearn`) and how it reads back what
it learned (`_restore`); and, where there is a shorter way than a fit of all, how it learns further rows (`_extend`). What
was learned is a value, a `Learned`, which says what of it is saved and compared. The rest is here, so that all of them
refuse the same requests for the same reasons.
"""

import copy
import os
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import validate_data

from expunge.core import Deletion, Equality, Guarantee, Plan, Promise, Route, TouchedUnit, Unit
from expunge.core.digests import digest_json
from expunge.core.errors import (
    AlreadyForgotten,
    DigestMismatch,
    InvalidData,
    InvalidParameter,
    NothingLeft,
    NotReady,
    UnknownMethod,
    UnreadableModel,
)
from expunge.core.recipe import WITHOUT_CANARY, Recipe
from expunge.exact._learner import parts as _parts
from expunge.exact._learner.canary import fixed_rows, fixed_targets
from expunge.exact._learner.equality import TOLERANCE, difference
from expunge.exact._learner.fitted import WHOLE, FittedState, Parts
from expunge.exact._learner.rows import Positions, Rows
from expunge.exact._learner.salt import checked_salt, salt_name, secret_of
from expunge.exact._learner.typed import WrongType, readable, typed
from expunge.exact._registry import learners

RETRAIN_ABOVE = 0.8  # of the cost of a fit: above it nothing is saved, and a fit leaves no question
_CONSTANT = (bool, int, float, str, type(None))  # values that nobody can change in place
_FEATURES = ("n_features_in_", "feature_names_in_")
_OTHER_COLUMNS = "these records have other columns than those of the fit"


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
    modes_matter: ClassVar[bool] = False  # whether what a program may set between two rebuilds reaches the bits
    changeable: ClassVar[tuple[str, ...]] = ()  # parameters that say how requests are answered, not what is learned
    unsaid: ClassVar[
        Mapping[str, Any]
    ] = {}  # parameters that came later, at values that change nothing of older models
    random_state: Any
    salt: bytes | None
    _state: FittedState | None = None

    # -- what a learner says of itself ---------------------------------------------------------------------------

    def _check(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Data as the learner wants it, or ValueError. What it sets on `self` is dropped, but for names of features."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        return X, y

    def _learn(self, rows: Rows) -> Any:
        """What is learned from all live rows, a `Learned`."""
        raise NotImplementedError

    def _unlearn(self, learned: Any, rows: Rows, gone: Positions) -> Any:
        """What `_learn` gives without these rows, which are still in `rows`; made from what was learned with them.

        `learned` stays as it is: forgetting may still fail, or be interrupted. `Forest` says what else it takes.
        """
        raise NotImplementedError

    def _extend(self, learned: Any, rows: Rows, kept: Positions) -> Any:
        """What `_learn` gives of these rows, made from what was learned of the first `len(kept)` of them, which had these
        places then; the rest is new. `learned` stays as it is.

        None, where there is no shorter way than a fit of all.
        """
        return None

    def _restore(self, values: dict[str, Any], rows: Rows, parts: Parts) -> Any:
        """What was learned, from what its `packed` gave, and from its `parts` where it saved more than that."""
        raise NotImplementedError

    def _cost(self, learned: Any, rows: Rows, gone: Positions) -> float:
        """Predicted work of unlearning these rows, as a fraction of a fit without them.

        Raises: NothingLeft, where no fit without them exists.
        """
        return len(gone) / max(1, rows.n - len(gone))

    def _planned(self, learned: Any, rows: Rows, gone: Positions) -> tuple[Plan, Any]:
        """The plan; and what `_unlearn` would return, where planning had to find that out, else None."""
        cost = self._cost(learned, rows, gone)
        plan = Plan(
            route=Route.RETRAIN if cost > RETRAIN_ABOVE else self.route,
            promise=self.promise(),
            units=(TouchedUnit(WHOLE, len(gone), 1),),
            n_removed=len(gone),
            cost=min(cost, 1.0),
        )
        return plan, None

    def _recipe(self, learned: Any, rows: Rows) -> Recipe:
        """What decides the bits of a fit besides records, salt and parameters, as it is in this process.

        Arithmetic gives the same bits under many versions and on many machines, so nothing is named: the canary tells. Where
        equality is numeric, bits may differ from machine to machine, and nothing is asked.
        """
        if self.equality is Equality.NUMERIC:
            return Recipe()
        return Recipe().tried(lambda: self._learned_from_fixed(rows))

    # -- fit and forget ------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None, *, subjects: Any = None, records: Any = None, **unknown: Any) -> Self:
        """Learn. `subjects` says who each row is about (one name, or several as a tuple); `records` gives it an id.

        Without `records` a row is named by its number, and keeps that number when others leave.

        Raises: InvalidData, for NaN, wrong shapes, missing subjects or ids that are not unique; InvalidParameter.
        """
        if unknown:
            raise WrongType(
                f"{type(self).__name__}.fit takes X, y, subjects and records, got {', '.join(sorted(unknown))} as well"
                + "; Sisa takes weights, of estimators that weigh their records" * ("sample_weight" in unknown)
            )
        return self._fit(X, y, subjects, records, self._learn)

    def _fit(self, X: Any, y: Any, subjects: Any, records: Any, learn: Callable[[Rows], Any]) -> Self:
        X, y, features = self._checked(X, y)
        salt = secret_of(self, named=subjects is not None or records is not None)
        rows = Rows(X, y, salt, subjects, records)
        learned = learn(rows)
        recipe = learned.recipe or self._recipe(learned, rows)
        self._state = FittedState(rows, learned, self.parameters(), features, recipe)
        return self

    def _checked(self, X: Any, y: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Data as the learner wants it, and the number and names of its features; `self` stays as it is."""
        unfitted = copy.copy(self)
        unfitted._state = None
        with typed():
            X, y = unfitted._check(X, y)
        return X, y, {name: getattr(unfitted, name) for name in _FEATURES if hasattr(unfitted, name)}

    def add(self, X: Any, y: Any = None, *, subjects: Any = None, records: Any = None) -> Self:
        """Learn from further records. All that is held then equals one fit of the records held, in their order, and these.

        It costs about what forgetting them would, and a copy of the records held, so many records at once are cheaper than
        one by one; where the class knows no such way, or forgetting them would be a refit, it is a fit of all. On any error
        nothing has changed. A record that was forgotten is refused where records have ids; without ids nobody can tell it
        from a new one, and whoever adds must leave it out.

        Raises: as `fit`; NotFitted; NotReady, where a parameter was changed after `fit`; AlreadyForgotten; RecipeMismatch.
        """
        return self._add(X, y, subjects, records, self._extend)

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, *, subjects: Any = None, records: Any = None
    ) -> Self:
        """`fit` at the first call, `add` at every later one: in whatever parts records come, the model is that of one fit.

        `classes`, as scikit-learn's classifiers take them: labels must be among them. A class without records is still
        none of the model's, as in a fit. A fitted learner goes on; call `fit` to begin anew.

        Raises: as `add`; InvalidData, for a label that is not among `classes`.
        """
        self._check_among(y, classes)
        learn = self.fit if self._state is None else self.add
        return learn(X, y, subjects=subjects, records=records)

    def _check_among(self, y: Any, classes: Any) -> None:
        """Raise where labels are not among the classes that are declared with them."""
        if classes is None:
            return
        if not is_classifier(self):
            raise InvalidParameter(f"classes are for classifiers, this {type(self).__name__} is none; leave them out")
        if y is not None and (unknown := set(np.ravel(y).tolist()) - set(np.ravel(classes).tolist())):
            raise InvalidData(
                f"{len(unknown)} labels are not among the {len(np.ravel(classes))} classes; name them all"
            )

    def _add(self, X: Any, y: Any, subjects: Any, records: Any, extend: Callable[[Any, Rows, Positions], Any]) -> Self:
        state = self._unaltered()
        self._check_columns(X)
        X, y, features = self._checked(X, y)
        if {k: plain(v) for k, v in features.items()} != {k: plain(v) for k, v in state.features.items()}:
            raise InvalidData(f"{_OTHER_COLUMNS}; give the same, in the same order")
        state = self._tried(state, retrain=False)
        rows = state.rows.grown(X, y, subjects, records)
        learned = extend(state.learned, rows, state.rows.positions())
        if learned is None:
            state = self._tried(state, retrain=True)
            learned = self._learn(rows)
        self._state = replace(state, rows=rows, learned=learned)
        return self

    def _check_columns(self, X: Any) -> None:
        """Raise InvalidData, with scikit-learn's sentence, for another number of columns or other names than at the fit."""
        if self._fitted().features:
            try:
                validate_data(self, X, reset=False, skip_check_array=True)
            except (ValueError, TypeError) as e:
                raise InvalidData(f"{_OTHER_COLUMNS}: {e}") from e

    def plan(self, subjects: Any = None, records: Any = None) -> Plan:
        """What forgetting these subjects or records would do and cost. Changes nothing.

        Raises: NotFitted; EmptyForgetSet; UnknownSubject; UnknownRecord; AlreadyForgotten; NothingLeft; NotReady, where a
        parameter was changed after `fit`.
        """
        state, gone = self._found(subjects, records)
        return self._planned(state.learned, state.rows, gone)[0]

    def forget(self, subjects: Any = None, records: Any = None, *, digests: bool = False) -> Deletion:
        """Forget these subjects, these records, or both, for good. On any error nothing has changed.

        With `digests` the result carries the digest of the state before and after.

        Raises: as `plan`.
        """
        return self._forget(subjects, records, digests, self._learn, self._unlearn)

    def _forget(
        self,
        subjects: Any,
        records: Any,
        digests: bool,
        learn: Callable[[Rows], Any],
        unlearn: Callable[[Any, Rows, Positions], Any],
    ) -> Deletion:
        state, gone = self._found(subjects, records)
        plan, learned = self._planned(state.learned, state.rows, gone)
        before = self.digest() if digests else None
        began = time.perf_counter()
        retrain, rows = plan.route is Route.RETRAIN, state.rows
        state = self._tried(state, retrain)
        if retrain:
            rows = rows.without(gone)
            learned = learn(rows)
        elif learned is None:
            learned = unlearn(state.learned, rows, gone)
        leaving = None if retrain else gone
        self._state = replace(state, rows=rows, learned=learned, leaving=leaving)
        try:
            self._fitted()
        except KeyboardInterrupt:  # it is unlearned already: the rows follow, then the interrupt is heard
            self._fitted()
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

    def _tried(self, state: FittedState, retrain: bool) -> FittedState:
        """The state, once it is seen that records learned from here give the bits of the fit; sums need no such look."""
        if retrain or (self.route is Route.REBUILD and (self.modes_matter or state.tried_by != os.getpid())):
            self.check_recipe()
            return replace(state, tried_by=os.getpid())
        return state

    def check_recipe(self) -> None:
        """See that a fit here gives the bits that it gave where this learner was fitted.

        Raises: RecipeMismatch.
        """
        state = self._fitted()
        state.recipe.require(self._recipe(state.learned, state.rows))

    def promise(self) -> Promise:
        return Promise(
            guarantee=Guarantee.EXACT,
            equality=self.equality,
            adaptive_safe=self.adaptive_safe,
            scope="full state: what was learned, the records held, their opaque names",
            assumptions=(*self.assumptions, *([WITHOUT_CANARY] if self._unwatched() else [])),
        )

    def _unwatched(self) -> bool:
        """Whether bits are promised that no canary was run for."""
        state = self._state
        return state is not None and self.equality is Equality.BITWISE and state.recipe.canary is None

    # -- state ---------------------------------------------------------------------------------------------------

    @property
    def n_records(self) -> int:
        """How many records the learner holds now."""
        return self._fitted().rows.n

    def places(self, records: Any) -> list[int]:
        """Where each of these records is among those held, from 0; `Place(k)` names the record at k, also where ids are not known.

        Raises: UnknownRecord; AlreadyForgotten.
        """
        rows = self._fitted().rows
        found = [int(rows.find(None, [record])[0]) for record in records]
        return [int(k) for k in np.searchsorted(rows.positions(), found)]

    @property
    def tombstones(self) -> tuple[str, ...]:
        """Opaque names of all records that were ever forgotten."""
        return tuple(sorted(name.hex() for name in self._fitted().rows.tombstones))

    def unlink_tombstones(self) -> Self:
        """Give the forgotten random names in place of those that the salt leads to: who they were can then be told by nobody.

        What it costs: `add` would take them again. It is for those who keep tombstones elsewhere, as a project's ledger does.
        """
        state = self._unaltered()
        rows = copy.copy(state.rows)
        rows.tombstones = {secrets.token_bytes(len(name)) for name in rows.tombstones}
        self._state = replace(state, rows=rows)
        return self

    @property
    def salt_(self) -> bytes:
        """The secret of the fit."""
        return self._fitted().rows.salt

    def units(self) -> tuple[Unit, ...]:
        """The parts of the fitted model; one, unless the learner says otherwise."""
        return self._fitted().units

    def parameters(self) -> dict[str, Any]:
        """The parameters, without secrets, as JSON."""
        parameters = {k: v for k, v in self.get_params(deep=False).items() if k != "salt"}
        if "random_state" in parameters and not isinstance(parameters["random_state"], int | np.integer | None):
            parameters["random_state"] = None  # its draws are in the salt by now
        return {k: plain(v) for k, v in parameters.items()}

    def _said(self) -> dict[str, Any]:
        """The parameters as models are described and saved, so that those of earlier releases keep their digests."""
        return {k: v for k, v in self.parameters().items() if k not in self.unsaid or v != self.unsaid[k]}

    def state(self) -> dict[str, Any]:
        """Everything persisted except tombstones and lineage, as JSON and digests; the canary where there is one."""
        state = self._unaltered()
        return {
            **({} if state.recipe.canary is None else {"canary": state.recipe.canary}),
            "kind": self._kind(),
            "parameters": self._said(),
            "units": [{**asdict(u), "slices": list(u.slices)} for u in state.units],
            "rows": state.rows_digest,
        }

    def digest(self) -> str:
        """One digest of the whole state: equal digests mean equal bits everywhere.

        Raises: NotFitted; NotReady, where a parameter was changed after `fit`.
        """
        return digest_json("learner", self.state())

    def equals(self, other: Self) -> bool:
        """Whether two fitted learners are equal in the sense that `equality` states: same bits, or numbers to 1e-10.

        A model of which no canary is known, as those of 0.1.0, is compared in all else.
        """
        if self.equality is Equality.NUMERIC:
            a, b = self._unaltered(), other._unaltered()
            apart = difference(a.learned.compared(), b.learned.compared(), b.learned.least())
            return a.rows_digest == b.rows_digest and apart <= TOLERANCE
        mine, theirs = self.state(), other.state()
        if None in (mine.get("canary"), theirs.get("canary")):
            mine, theirs = ({k: v for k, v in state.items() if k != "canary"} for state in (mine, theirs))
        return digest_json("learner", mine) == digest_json("learner", theirs)

    def save(self, folder: str | Path) -> list[str]:
        """Write the state, replacing what is in `folder` in one step; the names of the parts that were destroyed.

        No pickle, no salt, no name of a subject or record is in it; values of the records are.

        Raises: NotFitted; NotReady; AlreadyForgotten, where another copy of this learner has forgotten records and was
        saved here meanwhile, which this save would bring back; StorageFull. The old state is then still in place.
        """
        state = self._unaltered()
        self._refuse_to_bring_back(Path(folder), state)
        parts = {
            **state.learned.parts(),
            "rows": _parts.pack(state.rows.packed()),
            "lineage": _parts.pack(state.rows.lineage()),
        }
        description = {
            "kind": self._kind(),
            "parameters": self._said(),
            "features": [plain(state.features.get(name)) for name in _FEATURES] if state.features else None,
            "digest": self.digest(),
            "salt": salt_name(state.rows.salt),
            **({} if state.learned.recipe else {"canary": state.recipe.canary}),
        }
        removed = _parts.write(Path(folder), description, parts)
        self._state = replace(state, on_disk=True)
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
            learned = self._restore(_parts.unpack(parts["learned"]), rows, parts)
            features = _features(described["features"])
            recipe = learned.recipe or Recipe(canary=described.get("canary"))
            self._state = FittedState(rows, learned, self.parameters(), features, recipe, on_disk=True, tried_by=0)
            if self.digest() != described["digest"]:
                raise DigestMismatch(f"the state in {folder} does not add up to its digest; restore it from a backup")
        _parts.sweep(Path(folder))  # not before: a damaged description names too few parts
        return self

    # -- internals -----------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """What scikit-learn's fitted estimators hold in attributes that end in `_` is in the fitted state here."""
        if self._state is None and isinstance(getattr(type(self), name, None), property):
            self._fitted()  # raises NotFitted again: it is an AttributeError, too, and that led here
        if self._state is not None and name.endswith("_") and not name.startswith("_"):
            if name in self._state.features:
                return self._state.features[name]
            if (value := getattr(self._state.learned, name, None)) is not None:
                return value
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _learned_from_fixed(self, rows: Rows) -> str:
        """The digest of what this learner, with its parameters, learns from a fixed table of the form of these rows."""
        y = None if rows.y is None else fixed_targets(is_classifier(self), rows.y.ndim == 2)
        fresh = clone(self)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            X, y = fresh._check(fixed_rows(rows.X), y)
            return _parts.digest(_parts.pack(fresh._learn(Rows(X, y, b"canary", None, None)).packed()))

    def _fitted(self) -> FittedState:
        """The fitted state. Records that were unlearned are overwritten first, if an interrupt kept them from it.

        Raises: NotFitted.
        """
        state = self._state
        if state is None:
            raise NotFitted(f"this {type(self).__name__} is not fitted; call fit first")
        if state.leaving is not None:
            state.rows.wipe(state.leaving)
            self._state = state = replace(state, leaving=None)
        return state

    def _unaltered(self) -> FittedState:
        """The fitted state. A model of one alpha that forgets under another would equal no fit, so that is refused.

        Raises: NotFitted; NotReady.
        """
        state = self._fitted()
        if all(isinstance(v, _CONSTANT) and getattr(self, k) is v for k, v in state.parameters.items()):
            return state  # nothing to write down and compare, which takes as long as a deletion
        now = {k: v for k, v in self.parameters().items() if k not in self.changeable}
        if changed := [k for k, v in now.items() if repr(v) != repr(state.parameters.get(k))]:
            raise NotReady(f"{', '.join(changed)} changed since fit; fit again, or set it back")
        return state

    def _found(self, subjects: Any, records: Any) -> tuple[FittedState, Positions]:
        """The fitted state, and the positions of the records that are to leave."""
        state = self._unaltered()
        gone = state.rows.find(subjects, records)
        if len(gone) == state.rows.n:
            raise NothingLeft(
                f"all {len(gone)} records would leave; there is no model of nothing. Delete the model instead"
            )
        return state, gone

    def _refuse_to_bring_back(self, folder: Path, state: FittedState) -> None:
        """Two copies of one learner on disk may forget in turn; the later save must not undo the earlier."""
        if not state.on_disk or not (folder / _parts.DESCRIPTION).exists():
            return
        try:
            with readable(folder):
                described, parts = _parts.read(folder, only=("lineage",))
                forgotten = set(_parts.unpack(parts["lineage"])["tombstones"])
        except (UnreadableModel, DigestMismatch):
            return  # nothing to be brought back from; this save repairs the folder
        lost = forgotten - set(self.tombstones)
        if lost and described.get("salt") == salt_name(state.rows.salt) and described["kind"] == self._kind():
            raise AlreadyForgotten(
                f"the model in {folder} has forgotten {len(lost)} records of which this copy does not know; "
                "load it and forget there, or save to another folder"
            )

    def _query(self, X: Any, **settings: Any) -> Any:
        """Rows to predict for, checked against those of `fit`.

        Raises: NotFitted; ValueError, as scikit-learn's estimators do.
        """
        self._fitted()
        return validate_data(self, X, reset=False, **{"dtype": np.float64, **settings})

    @classmethod
    def _kind(cls) -> str:
        """The name by which the registry knows the class; of a class beside a recipe, its own."""
        return learners.name_of(cls) or cls.__qualname__

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
        return self._state is not None


def load(folder: str | Path, *, salt: bytes, **given: Any) -> Any:
    """A saved learner of any kind that the registry knows; see `Learner.load`.

    Raises: UnreadableModel; DigestMismatch; UnknownMethod, for a kind that the registry does not know.
    """
    kind = _parts.read(Path(folder), only=())[0]["kind"]
    if kind not in learners.names():
        raise UnknownMethod(
            f"{folder} holds a '{kind}', which neither Expunge nor an installed package offers; call that class's own load"
        )
    return learners.get(kind).load(folder, salt=salt, **given)


def plain(value: Any) -> Any:
    """A parameter as JSON: numpy's numbers and arrays as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(v) for v in value] if isinstance(value, tuple | list) else value


def _features(described: Any) -> dict[str, Any]:
    """Number and names of features, as they are written in a description."""
    if not described:
        return {}
    n, names = described
    return {_FEATURES[0]: n} if names is None else {_FEATURES[0]: n, _FEATURES[1]: np.array(names, dtype=object)}
