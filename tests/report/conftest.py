"""Small hand-written evidence: what an audit's JSON looks like, without a model."""

from collections.abc import Callable
from typing import Any

import pytest

from expunge.core import Assurance

Make = Callable[..., dict[str, Any]]


def _arm(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "setting": "greedy", "per_fact": [mean] * 3}


def _finding(attack: str, recovered: float | None, outcome: str, unlearned: float = 0.05) -> dict[str, Any]:
    known = recovered is not None
    return {
        "attack": attack,
        "family": "plain" if attack == "direct" else "white box",
        "arms": {"original": _arm(0.97), "unlearned": _arm(unlearned), "control": _arm(0.04)} if known else {},
        "contrast_low": 0.9 if known else None,
        "recovered": recovered,
        "low": recovered - 0.05 if recovered is not None else None,
        "high": recovered + 0.05 if recovered is not None else None,
        "outcome": outcome,
        "reason": f"the reason of {attack}",
        "n_facts": 200 if known else 0,
        "facts_needed": 311 if outcome == "INCONCLUSIVE" else None,
        "elapsed_s": 1.0,
    }


def _carrying(level: str) -> list[dict[str, Any]]:
    """Findings that carry this level: every attack it rests on, and those below."""
    from expunge.verify.judgement import REQUIRED

    named = Assurance.__members__.get(level, Assurance.CLAIMED)
    needed = {a for at, groups in REQUIRED.items() if at <= named for group in groups for a in group}
    found = [_finding("direct", 0.01, "NOT_RECOVERED"), _finding("paraphrase", 0.01, "NOT_RECOVERED")]
    found.append(_finding("relearn", 0.03, "NOT_RECOVERED", 0.07))
    return [*found, *(_finding(a, 0.02, "NOT_RECOVERED") for a in sorted(needed - {f["attack"] for f in found}))]


@pytest.fixture
def finding() -> Make:
    return _finding


@pytest.fixture
def audit() -> Make:
    def make(assurance: str = "SUPPRESSED", flags: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
        member = {
            "attack": "membership",
            "family": "membership",
            "arms": {arm: _arm(auc) for arm, auc in (("original", 0.94), ("unlearned", 0.55), ("control", 0.49))},
            "low": -0.02,
            "high": 0.14,
            "recovered": None,
            "outcome": "INCONCLUSIVE",
            "reason": "not measurable below 400 facts",
            "n_facts": 200,
            "facts_needed": 400,
        }
        return {
            "battery": {"name": "standard", "version": 1, "attacks": ["direct", "relearn"], "tau": 0.1},
            "assurance": assurance,
            "flags": list(flags),
            "guarantee": "EXACT" if assurance == "EXACT" else "EMPIRICAL",
            "replay": None,
            "skill": 0.9876,
            "findings": _carrying(assurance),
            "membership": member,
            "power": {"n_facts": 200, "n_people": 10, "detectable": 0.2, "needed": 93},
            "facts": ["facefeed00000001", "facefeed00000002"],
            "elapsed_s": 12.0,
        } | changes

    return make


@pytest.fixture
def row(audit: Make) -> Make:
    def make(**changes: Any) -> dict[str, Any]:
        return {
            "method": "npo",
            "route": "edit",
            "guarantee": "EMPIRICAL",
            "equality": None,
            "cost": 0.08,
            "seconds": 5.1,
            "retrain_seconds": 61.0,
            "digest_before": "sha256:aa11",
            "digest_after": "sha256:bb22",
            "units": [{"id": "shard-03", "n_removed": 12, "first_slice": 2}],
            "replay": None,
            "promise": {
                "guarantee": "EMPIRICAL",
                "adaptive_safe": False,
                "scope": "weights",
                "assumptions": ["one author"],
            },
            "audit": audit(),
            "notes": ["a note"],
        } | changes

    return make


@pytest.fixture
def document(row: Make) -> Make:
    def make(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return {
            "title": "Erasure request req-1",
            "created": "2026-03-02T10:11:12Z",
            "tool": {"name": "expunge", "version": "0.1.0"},
            "request": {
                "id": "req-1",
                "received_at": "2026-03-01T09:00:00Z",
                "due_at": "2026-03-31T09:00:00Z",
                "state": "completed",
                "n_subjects": 1,
                "n_records": 20,
                "events": [{"at": "2026-03-01T09:00:00Z", "kind": "received"}],
            },
            "rows": list(rows or [row()]),
            "recall_table": {"columns": ["adapter", "routed"], "rows": [["shard-03", 0.954], ["shard-05", None]]},
            "delivery": {
                "delivered": ["models/a/current"],
                "purged": ["checkpoint c41"],
                "unreachable": [{"copy": "hub", "why": "no access"}],
                "residuals": [],
                "override": None,
            },
            "unknown": ["training data of the adopted model"],
            "certificate": {"path": "c.json", "digest": "sha256:cc", "log_index": 0, "origin": "log", "signer": "key"},
            "limits": "What comes back is a lower bound.",
        } | changes

    return make
