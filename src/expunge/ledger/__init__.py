"""What data trained what, and who asked to leave: datasets, models, requests, tombstones. Never torch."""

from expunge.ledger.copies import Copy, CopyState
from expunge.ledger.datasets import DatasetInfo
from expunge.ledger.deadlines import Calendar, Regulation
from expunge.ledger.erasure import Erasure
from expunge.ledger.evidence import AuditInfo, CertificateInfo
from expunge.ledger.features import Feature
from expunge.ledger.following import Followed
from expunge.ledger.generation import Stamp
from expunge.ledger.growing import Growth
from expunge.ledger.keys import Keyring
from expunge.ledger.learned import LearnedFrom, LearnedVersion
from expunge.ledger.ledger import FILE as LEDGER_FILE
from expunge.ledger.ledger import Ledger
from expunge.ledger.lifecycle import DenialReason, Verb
from expunge.ledger.live import LiveData, LiveRow
from expunge.ledger.members import UnitMembers
from expunge.ledger.models import UNKNOWN, ModelVersion, VersionState
from expunge.ledger.planted import Planted
from expunge.ledger.requests import Event, Request, RequestState
from expunge.ledger.sources import Columns, read_records
from expunge.ledger.steps import Step, StepState
from expunge.ledger.targets import Decision, Target

__all__ = [
    "LEDGER_FILE",
    "UNKNOWN",
    "AuditInfo",
    "Calendar",
    "CertificateInfo",
    "Columns",
    "Copy",
    "CopyState",
    "DatasetInfo",
    "Decision",
    "DenialReason",
    "Erasure",
    "Event",
    "Feature",
    "Followed",
    "Growth",
    "Keyring",
    "LearnedFrom",
    "LearnedVersion",
    "Ledger",
    "LiveData",
    "LiveRow",
    "ModelVersion",
    "Planted",
    "Regulation",
    "Request",
    "RequestState",
    "Verb",
    "Stamp",
    "Step",
    "StepState",
    "Target",
    "UnitMembers",
    "VersionState",
    "read_records",
]
