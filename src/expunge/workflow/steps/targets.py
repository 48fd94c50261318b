"""Everything that holds, or may hold, something of a request, with what was decided about each and what came of it.

Found anew each time from what the ledger knows now, so that a model which is trained, or a copy which is registered, while a
request is under way is not missed.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from expunge.core.errors import UnknownName
from expunge.ledger import CopyState, Decision, Target, VersionState
from expunge.report.words import plural
from expunge.workflow.project.project import Project

DATASET, MODEL, COPY = "dataset", "model", "copy"
NOTHING = "nothing any more"
GONE = "what it learned from is UNKNOWN, and the records themselves can no longer be had"


@dataclass(frozen=True)
class Held:
    """A target, how many of a request's records it holds (None: nobody knows), and that in words."""

    target: Target
    n_records: int | None
    words: str

    @property
    def name(self) -> str:
        return self.target.name


def find_targets(project: Project, request: str) -> list[Held]:
    """Datasets, models and copies, in this order. Changes nothing. Raises: UnknownName."""
    known = {target.name: target for target in project.ledger.targets(request)}
    found = [*_datasets(project, request), *_models(project, request), *_copies(project, request)]
    held = {one.name: replace(one, target=_merged(one.target, known.get(one.name))) for one in found}
    for name, target in known.items():
        if name not in held:
            held[name] = Held(target, 0, NOTHING)
    return list(held.values())


def left_undone(found: Iterable[Held]) -> list[Held]:
    """What has not ended, and holds something: while there is any, nobody's key is destroyed."""
    return [one for one in found if not one.target.ended and one.n_records != 0]


def exceptions(found: Iterable[Held]) -> list[Held]:
    """What was not done, whether that is decided or open. A dataset that waits for the rest to end is none of its own."""
    return [
        one
        for one in found
        if not one.target.done
        and one.n_records != 0
        and (one.target.kind, one.target.decision) != (DATASET, Decision.DO)
    ]


def named(found: Iterable[Held], names: Collection[str], kind: str = "") -> list[Held]:
    """Those named, in full or by what follows the kind; without names all.

    Raises: UnknownName.
    """
    held = list(found)
    of_kind = [one for one in held if one.target.kind == kind or not kind]
    if not names:
        return of_kind
    chosen = [one for one in of_kind if one.name in names or one.target.of in names]
    if missing := [name for name in names if not any(name in (one.name, one.target.of) for one in chosen)]:
        known = ", ".join(one.name for one in of_kind) or "none"
        raise UnknownName(f"this request has no target '{missing[0]}' here; it has: {known}")
    return chosen


def targets_of(held: Collection[Held]) -> list[dict[str, Any]]:
    """Targets as a certificate and a page show them."""
    return [
        {
            "target": one.name,
            "decision": one.target.decision.value,
            **{
                key: one.target.detail[key]
                for key in ("until", "article", "reason", "owner")
                if key in one.target.detail
            },
            "result": "done" if one.target.done else "nothing held" if one.n_records == 0 else "left",
            "ended": one.target.ended or one.n_records == 0,
        }
        for one in held
    ]


def _merged(found: Target, known: Target | None) -> Target:
    """What the ledger wrote down; of a target that was never decided what is true of it by itself."""
    if known is None or (known.decision is Decision.DO and not known.done and found.decision is not Decision.DO):
        return replace(found, attempt=known.attempt if known else 0)
    return known


def _datasets(project: Project, request: str) -> Iterable[Held]:
    info = project.ledger.get_request(request)
    if info.about_nobody:
        return
    erased = project.ledger.finished_erasure(request)
    for name in info.datasets:
        left = erased is not None and name in erased.datasets
        records = 0 if left else project.ledger.count_requested(request, name)
        yield Held(
            Target(request=request, name=f"{DATASET}:{name}"),
            records,
            plural(records, "record") if records else NOTHING,
        )


def _models(project: Project, request: str) -> Iterable[Held]:
    """Models of which a version in use learned from the records, or may have: of itself, or through what it was made from."""
    learned = project.ledger.models_that_hold(request)
    datasets = (None, *project.ledger.get_request(request).datasets)
    records: dict[str, int | None] = {}
    for found in learned.versions:
        records[found.version.model] = max(found.n_records, records.get(found.version.model) or 0)
    for version in learned.unknown:
        if version.dataset in datasets:
            records.setdefault(version.model, None)
    made_from = origins(project)
    earlier = {target.of for target in project.ledger.targets(request) if target.kind == MODEL}
    for child in descendants(made_from, {*records, *earlier}):
        records.setdefault(child, None)
    erased = project.ledger.finished_erasure(request) is not None
    for model, n in records.items():
        words = "may hold something: what it learned from is UNKNOWN" if n is None else plural(n, "record")
        if model in made_from:
            words += f"; made from '{made_from[model]}'"
        target = Target(request=request, name=f"{MODEL}:{model}")
        if n is None and erased:
            target = replace(target, decision=Decision.UNREACHABLE, detail={"reason": GONE})
        yield Held(target, n, words)


def origins(project: Project) -> dict[str, str]:
    """Of every model in use that was made from another one of this project: which."""
    found = {}
    for model in project.ledger.models():
        for version in project.ledger.model_versions(model):
            if version.state is not VersionState.PURGED and (origin := version.recipe.get("derived_from")):
                found[model] = str(origin["model"])
    return found


def descendants(made_from: Mapping[str, str], models: Collection[str]) -> list[str]:
    """Every model that was made from one of these, at whatever remove.

    >>> descendants({"b": "a", "c": "b", "d": "x"}, ["a"])
    ['b', 'c']
    """
    found = list[str]()
    while more := [child for child, parent in made_from.items() if parent in {*models, *found} and child not in found]:
        found += more
    return [child for child in found if child not in models]


def _copies(project: Project, request: str) -> Iterable[Held]:
    """Copies, not known to be gone, of any version of those models that is not known to hold nothing.

    Of a purged version nobody knows any more what it held.
    """
    learned = project.ledger.models_that_hold(request)
    holding = {found.version.digest for found in learned.versions}
    dealt_with = [target.of for target in project.ledger.targets(request) if target.kind == MODEL]
    for model in dict.fromkeys([*(held.target.of for held in _models(project, request)), *dealt_with]):
        for version in project.ledger.model_versions(model):
            in_use = version.state is not VersionState.PURGED
            if in_use and version.members_known and version.digest not in holding:
                continue
            for copy in project.ledger.copies(model, version.digest):
                if copy.state is not CopyState.PURGED:
                    decision = Decision.DO if copy.reachable else Decision.UNREACHABLE
                    detail = {} if copy.reachable else {"reason": "nothing here can empty it"}
                    target = Target(request=request, name=f"{COPY}:{copy.id}", decision=decision, detail=detail)
                    yield Held(target, None, f"{copy.kind} of '{model}' at {copy.uri}")
