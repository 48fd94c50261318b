"""Attacks on classifiers: torch modules and estimators, three arms in, findings out."""

from expunge.verify.audits import ClassifierAudit
from expunge.verify.classifiers.audit import ATTACKS, attack_classifier, audit_classifier
from expunge.verify.classifiers.class_inversion import ClassInversion
from expunge.verify.classifiers.direct import Direct
from expunge.verify.classifiers.klom import Klom, klom
from expunge.verify.classifiers.membership import Membership
from expunge.verify.classifiers.offset import Offset
from expunge.verify.classifiers.probability import Probability
from expunge.verify.classifiers.relearn_time import RelearnSteps, RelearnTime, relearn_steps
from expunge.verify.classifiers.retain_finetune import RetainFinetune
from expunge.verify.classifiers.rows import Rows, Sets
from expunge.verify.classifiers.shadow_models import ShadowModels
from expunge.verify.classifiers.target import Attack, Classifier, Found
from expunge.verify.classifiers.u_lira import u_lira_aucs

__all__ = [
    "ATTACKS",
    "Attack",
    "ClassInversion",
    "Classifier",
    "ClassifierAudit",
    "Direct",
    "Found",
    "Klom",
    "Membership",
    "Offset",
    "Probability",
    "RelearnSteps",
    "RelearnTime",
    "RetainFinetune",
    "Rows",
    "Sets",
    "ShadowModels",
    "attack_classifier",
    "audit_classifier",
    "klom",
    "relearn_steps",
    "u_lira_aucs",
]
