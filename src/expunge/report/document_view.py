"""What surrounds the methods → strings: request, delivery, certificate, recall. What is missing is a word here."""

from collections.abc import Mapping
from typing import Any

from expunge.report.marks import Mark, flag_mark
from expunge.report.words import NOT_RUN, UNKNOWN, decimals, items, mapping, moment, text


def made_words(document: Mapping[str, Any], unknown: str = UNKNOWN) -> str:
    """When the document was made, and by which tool."""
    tool = mapping(document.get("tool"))
    by = f"{text(tool.get('name'))} {text(tool.get('version'))}" if tool else unknown
    return f"Created {moment(document.get('created'))} · {by}"


def recall_table(document: Mapping[str, Any]) -> dict[str, list[Any]] | None:
    """Numbers between 0 and 1 get two decimals; what is missing was not run."""
    table = mapping(document.get("recall_table"))
    if not table:
        return None
    body = [[_cell(cell) for cell in items(line)] for line in items(table.get("rows"))]
    return {"columns": [text(column) for column in items(table.get("columns"))], "rows": body}


def _cell(value: object) -> str:
    return decimals(value, NOT_RUN) if isinstance(value, float) else text(value, NOT_RUN)


def request_view(document: Mapping[str, Any]) -> dict[str, Any] | None:
    request = mapping(document.get("request"))
    if not request:
        return None
    events = [mapping(event) for event in items(request.get("events"))]
    return {
        "facts": [
            ("Request", text(request.get("id"))),
            ("State", text(request.get("state")).replace("_", " ")),
            ("Received", moment(request.get("received_at"))),
            ("Due", moment(request.get("due_at"))),
            ("Subjects", text(request.get("n_subjects"))),
            ("Records", text(request.get("n_records"))),
        ],
        "events": [(moment(e.get("at")), text(e.get("kind")).replace("_", " ")) for e in events],
    }


TARGET_COLUMNS = ("target", "held", "decision", "came of it")


def targets_view(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row for each thing that held or may hold something of the request."""
    rows = [mapping(one) for one in items(document.get("targets"))]
    return [
        (
            text(row.get("target")),
            text(row.get("holds")),
            text(row.get("stands"), text(row.get("decision"))),
            text(row.get("result")) if row.get("ended") else f"{text(row.get('result'))}, not ended",
        )
        for row in rows
    ]


def delivery_view(document: Mapping[str, Any]) -> list[tuple[str, list[str], str]] | None:
    """(heading, entries, what to say without entries); a list that is missing is unknown, an empty one is empty."""
    delivery = document.get("delivery")
    if not isinstance(delivery, Mapping):
        return None
    return [
        (heading, [text(item) for item in items(delivery.get(key))], UNKNOWN if delivery.get(key) is None else empty)
        for key, heading, empty in _DELIVERY
    ]


_DELIVERY = (
    ("delivered", "Delivered", "Nothing was delivered."),
    ("purged", "Purged", "Nothing was purged."),
    (
        "unreachable",
        "Not reached",
        "No registered copy was out of reach. Copies that nobody registered are not counted.",
    ),
    (
        "released",
        "Old versions that left the house",
        "None, as was said. Whoever holds an old version and the new one can tell from both what was removed.",
    ),
    ("residuals", "Residuals", "None were named."),
)


def override_view(document: Mapping[str, Any]) -> Mark | str:
    """The flag that delivery overrode, or the words for none."""
    delivery = mapping(document.get("delivery"))
    if "override" not in delivery:
        return UNKNOWN
    override = delivery["override"]
    return flag_mark(text(override)) if override else "none"


def certificate_view(document: Mapping[str, Any]) -> dict[str, Any] | None:
    certificate = mapping(document.get("certificate"))
    if not certificate:
        return None
    named = {"path": "File", "digest": "Digest", "log_index": "Index in the log", "origin": "Log", "signer": "Signer"}
    return {
        "facts": [(label, text(certificate.get(key))) for key, label in named.items()],
        "command": f"expunge check {text(certificate.get('path'), 'CERT')} --trust pub.pem --log-key log.vkey",
    }
