"""Tell forgotten from hidden: attacks on an original, an unlearned model and a control, and only the claim they carry."""

from expunge.verify.audit import Audit, audit
from expunge.verify.battery import Arm, Beside, attack_arm
from expunge.verify.commitment import check_commitment, commitment
from expunge.verify.findings import TAU
from expunge.verify.power import Power, power
from expunge.verify.probes import Probes, read_probes

__all__ = [
    "TAU",
    "Arm",
    "Audit",
    "Beside",
    "Power",
    "Probes",
    "attack_arm",
    "audit",
    "check_commitment",
    "commitment",
    "power",
    "read_probes",
]
