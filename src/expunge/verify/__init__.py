"""Tell forgotten from hidden: attacks on an original, an unlearned model and a control, and only the claim they carry."""

from typing import TYPE_CHECKING

from expunge.core.lazily import lazily

if TYPE_CHECKING:
    from expunge.verify.arms import audit as audit
    from expunge.verify.audits import Audit as Audit
    from expunge.verify.audits import ClassifierAudit as ClassifierAudit
    from expunge.verify.batteries import battery_of as battery_of
    from expunge.verify.battery import Arm as Arm
    from expunge.verify.battery import Beside as Beside
    from expunge.verify.battery import attack_arm as attack_arm
    from expunge.verify.commitments import check_commitment as check_commitment
    from expunge.verify.commitments import commitment as commitment
    from expunge.verify.probes import Probes as Probes
    from expunge.verify.probes import read_probes as read_probes
    from expunge.verify.sample_size import Power as Power
    from expunge.verify.sample_size import power as power
    from expunge.verify.scores import ArmScores as ArmScores
    from expunge.verify.thresholds import TAU as TAU

_HOMES = {
    "Arm": "battery",
    "ArmScores": "scores",
    "Audit": "audits",
    "Beside": "battery",
    "ClassifierAudit": "audits",
    "Power": "sample_size",
    "Probes": "probes",
    "TAU": "thresholds",
    "attack_arm": "battery",
    "audit": "arms",
    "battery_of": "batteries",
    "check_commitment": "commitments",
    "commitment": "commitments",
    "power": "sample_size",
    "read_probes": "probes",
}
__all__ = [*_HOMES]
# Names are imported when first used: to name, to judge and to read an audit takes no torch; to attack does.
__getattr__ = lazily(__name__, _HOMES)
