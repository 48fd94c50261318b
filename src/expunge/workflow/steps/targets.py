"""Everything that holds, or may hold, something of a request, with what was decided about each and what came of it.

Found anew each time from what the ledger knows now, so that a model which is trained, or a copy which is registered, while a
request is under way is not missed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from expunge.core.errors import InvalidParameter, UnknownName
from expunge.ledger import CopyState, Decision, LearnedFrom, Target, VersionState
from expunge.report.words import plural
from expunge.workflow.project.leaving import members_of
from expunge.workflow.project.project import Project

DATASET, MODEL, COPY = "dataset", "model", "copy"
NOTHING = "nothing any more"
NAMES_NOBODY = "what was made from these records cannot be found in it; make it anew from what stays"
GONE = "what it learned from is UNKNOWN, and the records themselves can no longer be had"


@dataclass(frozen=True)
class Held:
    """A target, how many of a request's records it holds (None: nobody knows), and that in words.

    `derived`: what was made from the records cannot be found in it one by one, so that it can be made anew or left, not done.
    """

    target: Target
    n_records: int | None
    words: str
    derived: bool = False

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def to_do(self) -> bool:
        """Whether it holds something, or may, and nobody decided otherwise: what `forget` works on."""
        return self.target.decision is Decision.DO and not self.target.done and self.n_records != 0


def find_targets(project: Project, request: str) -> list[Held]:
    """Datasets, models and copies, in this order. Changes nothing. Raises: UnknownName."""
    known = {target.name: target for target in project.ledger.targets(request)}
    learned = project.ledger.models_that_hold(request)
    models = list(_models(project, request, learned))
    holding = {found.version.digest for found in learned.versions}
    copies = _copies(project, request, models, holding)
    found = [*_datasets(project, request), *_derived_datasets(project, request), *models, *copies]
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


def decide_target(project: Project, request: str, name: str, decision: Decision, detail: Mapping[str, Any]) -> Target:
    """Write down what is to become of a target, by its name in the plan.

    Raises: UnknownName; InvalidParameter, for a decision that lacks what it needs, or cannot be carried out; NotReady, once the
    target is done.
    """
    (held,) = named(find_targets(project, request), [name])
    if held.derived and decision is Decision.DO:
        how = "destroy it, or train it again on" if held.target.kind == MODEL else "make it anew from"
        raise InvalidParameter(
            f"'{held.name}' {held.words}; nothing of these people can be found in it one by one, so it cannot be done: {how} what "
            f"stays (`expunge data add FILE --name … --from …` after `expunge forget {request}`), or decide exempt, refused or "
            "unreachable"
        )
    return project.ledger.decide(request, held.name, decision, detail)


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
            "result": _result(one),
            "ended": one.target.ended or one.n_records == 0,
        }
        for one in held
    ]


def _result(one: Held) -> str:
    if one.target.result is not None:
        return "declared gone" if "declared" in one.target.result else "done"
    return "nothing held" if one.n_records == 0 else "left"


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
    made_from = project.ledger.dataset_origins()
    for name in info.datasets:
        left = erased is not None and name in erased.datasets
        records = 0 if left else project.ledger.count_requested(request, name)
        words = plural(records, "record") if records else NOTHING
        if records and (shared := project.ledger.count_requested_of_others(request, name)):
            words += f", {shared} of them about other people too, which leave for all"
        if name in made_from:
            words += f"; made from {_quoted(made_from[name])}"
        yield Held(Target(request=request, name=f"{DATASET}:{name}"), records, words)


def _derived_datasets(project: Project, request: str) -> Iterable[Held]:
    """Datasets that were made from those that hold the records, at whatever remove, and name none of the people themselves."""
    done = {target.of for target in project.ledger.targets(request) if target.kind == DATASET and target.done}
    for name, origins in derived_from(project, request).items():
        words = f"may hold something: made from {_quoted(origins)}" if name not in done else NOTHING
        target = Target(
            request=request,
            name=f"{DATASET}:{name}",
            decision=Decision.UNREACHABLE,
            detail={"reason": NAMES_NOBODY},
        )
        yield Held(target, 0 if name in done else None, words, derived=True)


def derived_from(project: Project, request: str) -> dict[str, tuple[str, ...]]:
    """Of every dataset that was made from a request's, and that the request itself is not about: which ones it was made from."""
    info = project.ledger.get_request(request)
    if info.about_nobody:
        return {}
    made_from, found = project.ledger.dataset_origins(), dict[str, tuple[str, ...]]()
    while more := {
        name: origins
        for name, origins in made_from.items()
        if name not in found and name not in info.datasets and {*origins} & {*info.datasets, *found}
    }:
        found |= more
    return found


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _models(project: Project, request: str, learned: LearnedFrom) -> Iterable[Held]:
    """Models of which a version in use learned from the records, or may have: of itself, or through what it was made from."""
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
    yield from _derived_models(project, request, records)


def _derived_models(project: Project, request: str, besides: Collection[str]) -> Iterable[Held]:
    """Models that learned from a derived dataset; of one that was made anew, those that hold what it had before."""
    done = {target.of for target in project.ledger.targets(request) if target.kind == DATASET and target.done}
    derived = derived_from(project, request)
    for model in project.ledger.models() if derived else ():
        for version in project.ledger.model_versions(model):
            dataset = version.dataset
            if version.state is VersionState.PURGED or dataset not in derived or model in besides:
                continue
            if dataset in done and not members_of(project, version) & project.ledger.entombed(dataset):
                continue
            words = f"may hold something: learned from '{dataset}', which was made from {_quoted(derived[dataset])}"
            target = Target(
                request=request,
                name=f"{MODEL}:{model}",
                decision=Decision.UNREACHABLE,
                detail={"reason": NAMES_NOBODY},
            )
            yield Held(target, None, words, derived=True)
            break


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


def _copies(project: Project, request: str, models: Sequence[Held], holding: Set[str]) -> Iterable[Held]:
    """Copies, not known to be gone, of any version of those models that is not known to hold nothing.

    Of a purged version nobody knows any more what it held.
    """
    dealt_with = [target.of for target in project.ledger.targets(request) if target.kind == MODEL]
    derived = {held.target.of for held in models if held.derived}
    for model in dict.fromkeys([*(held.target.of for held in models), *dealt_with]):
        for version in project.ledger.model_versions(model):
            in_use = version.state is not VersionState.PURGED
            if in_use and version.members_known and version.digest not in holding and model not in derived:
                continue
            for copy in project.ledger.copies(model, version.digest):
                if copy.state is not CopyState.PURGED:
                    decision = Decision.DO if copy.reachable else Decision.UNREACHABLE
                    detail = {} if copy.reachable else {"reason": copy.reason or "nothing here can empty it"}
                    if not copy.reachable and copy.owner and copy.until:
                        detail |= {"owner": copy.owner, "until": copy.until}
                    target = Target(request=request, name=f"{COPY}:{copy.id}", decision=decision, detail=detail)
                    yield Held(target, None, f"{copy.kind} of '{model}' at {copy.uri}")
