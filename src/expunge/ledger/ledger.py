"""The ledger of a project directory: what data trained what, and who asked to leave."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select

from expunge.core.durable import link_durably, place_beside, remove_durably
from expunge.core.errors import InvalidData, UnknownName
from expunge.ledger import (
    approvals,
    asked_for,
    chain,
    copies,
    datasets,
    erasure,
    evidence,
    following,
    growing,
    learned,
    lifecycle,
    live,
    models,
    origins,
    planted,
    record_requests,
    requests,
    serving,
    signers,
    steps,
    subjects,
    suppression,
    targets,
)
from expunge.ledger.database import Database
from expunge.ledger.generation import Stamp, Witness, check_moment
from expunge.ledger.keys import Keyring
from expunge.ledger.migrations import revision, upgrade
from expunge.ledger.secret_files import private_folder
from expunge.ledger.store import Store
from expunge.ledger.tables import ProjectRow, SubjectRow

FILE = "ledger.db"


class Ledger(Store):
    """`ledger.db`, `manifests/`, `members/` and `keys/` below one folder, and what can be done with them."""

    @classmethod
    def create(cls, root: Path) -> "Ledger":
        """Make a ledger in a folder. A call that was stopped half-way may be repeated.

        Raises: InvalidData, if there is a ledger already.
        """
        if (root / FILE).exists():
            raise InvalidData(f"there is a ledger in {root} already; open it, or choose another folder")
        for folder in ("manifests", "members"):
            private_folder(root / folder)
        Keyring.make(root / "keys")
        if Witness(root / "keys").count():
            raise InvalidData(
                f"{root} holds keys/ of a {FILE} that is gone; restore it from the backup of the same moment"
            )
        # Made under a name of its own, which is linked last: a ledger that is there has its tables, and none is replaced.
        with place_beside(root / FILE, 0o600) as draft:
            database = Database(draft)
            upgrade(database)
            database.scrub()
            try:
                link_durably(draft, root / FILE)
            except FileExistsError as e:
                raise InvalidData(f"another process has just made a ledger in {root}; open that one") from e
        return cls.open(root)

    @classmethod
    def open(cls, root: Path, *, restored: bool = False, shown: Callable[[], Stamp | None] | None = None) -> "Ledger":
        """Open the ledger of a folder, and bring an older one to this version's schema.

        `restored` goes on with parts that are not of one moment, where there are no others: what the database does not know is
        set aside, and nothing is destroyed. `shown` reads what `expunge.toml` shows, where there is one.

        Raises: UnknownName, if there is none; InvalidData, if a newer Expunge wrote it, if it is empty, if people's keys are
        missing, or if database and keys are not of one moment; UnsafeKeyFile.
        """
        if not (root / FILE).is_file():
            raise UnknownName(f"no ledger in {root}; run `expunge init` there, or go to a project directory")
        keys = Keyring(root / "keys")
        database = Database(root / FILE)
        if revision(database) is None:
            raise InvalidData(
                f"{root / FILE} holds no ledger, as after a full disk; restore it from a backup of the same moment as "
                "keys/, manifests/ and members/, which were left as they are"
            )
        witness = Witness(keys.folder)
        if not restored:
            check_moment(witness, database.stamp, shown)
        upgrade(database)
        opened = cls(root, database, keys)
        if restored:
            _reconcile(opened, witness)
            keys.subjects.unsettle()
        _check_keys(opened)
        database.witness = witness
        chain.begin_chain(opened)
        return opened

    def note_shown(self, stamp: Stamp) -> None:
        """`expunge.toml` shows this stamp from now on, and one that shows less is an older one."""
        Witness(self.keys.folder).shown(stamp)

    # What trained
    add_dataset = datasets.add_dataset
    dataset = datasets.dataset
    dataset_history = datasets.dataset_history
    datasets = datasets.datasets
    planting_secret = planted.planting_secret
    planted = planted.read_planted
    grow_dataset = growing.grow_dataset
    note_origins = origins.note_origins
    dataset_origins = origins.dataset_origins
    unrecorded = growing.unrecorded
    follow_file = following.follow_file
    asked_for = asked_for.asked_for
    live_records = live.live_records
    live_data = live.live_data
    entombed = live.entombed
    find_subjects = subjects.find_subjects
    count_subjects = subjects.count_subjects
    count_records = subjects.count_records
    datasets_that_hold = subjects.datasets_that_hold

    # What was trained
    record_model_version = models.record_model_version
    model_version = models.model_version
    model_versions = models.model_versions
    current_version = models.current_version
    unit_members = models.unit_members
    models = models.models
    set_current = serving.set_current
    quarantine = serving.quarantine
    mark_purged = serving.mark_purged
    restore_current = serving.restore_current
    units_that_learned_from = learned.units_that_learned_from
    models_that_learned_from = learned.models_that_learned_from
    models_that_hold = learned.models_that_hold
    records_of = learned.records_of
    register_copy = copies.register_copy
    mark_copy = copies.mark_copy
    copies = copies.copies

    # Who asked to leave, and what became of it
    open_request = requests.open_request
    request_commitments = record_requests.request_commitments
    count_requested = record_requests.count_requested
    count_requested_of_others = record_requests.count_requested_of_others
    get_request = requests.get_request
    live_subjects = requests.live_subjects
    extend_request = requests.extend_request
    require = lifecycle.require
    no_return = lifecycle.no_return
    identify_request = lifecycle.identify_request
    deny_request = lifecycle.deny_request
    cancel_request = lifecycle.cancel_request
    hold_request = lifecycle.hold_request
    release_request = lifecycle.release_request
    need_attention = lifecycle.need_attention
    go_on = lifecycle.go_on
    approve = approvals.approve
    approvals = approvals.approvals
    append_event = requests.append_event
    events = requests.events
    requests = requests.requests
    entomb = erasure.entomb
    finish_erasure = erasure.finish_erasure
    finished_erasure = erasure.finished_erasure
    decide = targets.decide
    begin_attempt = targets.begin_attempt
    finish_target = targets.finish_target
    reopen_target = targets.reopen_target
    targets = targets.targets
    suppress = suppression.suppress
    returning = suppression.returning
    count_suppressed = suppression.count_suppressed
    step = steps.step
    claim_step = steps.claim_step
    heartbeat_step = steps.heartbeat_step
    beat_step = steps.beat_step
    finish_step = steps.finish_step
    fail_step = steps.fail_step
    drop_step = steps.drop_step
    steps = steps.steps
    record_certificate = evidence.record_certificate
    certificates = evidence.certificates
    record_audit = evidence.record_audit
    audits = evidence.audits
    check_events = chain.check_events
    signer = signers.signer
    record_signer = signers.record_signer
    log_head = signers.log_head
    begin_log = signers.begin_log
    keep_checkpoint = signers.keep_checkpoint


def _reconcile(store: Store, witness: Witness) -> None:
    """Database and keys are of one moment from here on, later than either knew."""
    remove_durably(witness.path)  # it may be damaged
    with store.database.write() as session:
        row = session.scalars(select(ProjectRow)).one()
        row.id, row.generation = str(uuid4()), row.generation + 1
        session.flush()
        stamp = Stamp(row.id, row.generation)
        witness.before(stamp)
    witness.after(stamp)


def _check_keys(store: Store) -> None:
    """Raises: InvalidData, where fewer people have keys than are live: keys come first, and go last."""
    with store.database.read() as session:
        live = int(session.scalar(select(func.count()).where(SubjectRow.state == "live")) or 0)
    found = store.keys.subjects.count() + store.keys.n_lost()
    if found < live:
        raise InvalidData(
            f"{live} people are recorded and {found} have keys; restore keys/subjects.db from the backup of the same moment as "
            f"{FILE}, or {FILE} from that of the keys"
        )
