"""Tell forgotten from hidden: attacks on an original, an unlearned model and a control, and only the claim they carry."""

from expunge.verify.audit import Audit, audit
from expunge.verify.battery import Arm, attack_arm
from expunge.verify.judgement import TAU
from expunge.verify.probes import Probes, read_probes

__all__ = ["TAU", "Arm", "Audit", "Probes", "attack_arm", "audit", "read_probes"]
