"""Was it in the training data? Statistics of one model, of many models, and the check that the question is fair.

One sign for all: a higher score means more likely a member, so AUC = P(member scores above non-member), 0.5 is chance and
below 0.5 is leakage as well (what was pushed away can be told apart too). open-unlearning scores the other way round but
labels non-members 1, so its AUCs agree with these; MUSE publishes 1 - AUC.
"""

from expunge.verify.membership.blind import BlindBaseline, blind_auc, blind_baseline
from expunge.verify.membership.likelihood_ratio import log_likelihood_ratio
from expunge.verify.membership.lira import lira, log_odds, logit_confidence, offline_lira
from expunge.verify.membership.rmia import rmia
from expunge.verify.membership.shadows import Shadows, shadow_models
from expunge.verify.membership.u_lira import cross_u_lira, u_lira

__all__ = [
    "BlindBaseline",
    "Shadows",
    "blind_auc",
    "blind_baseline",
    "cross_u_lira",
    "lira",
    "log_likelihood_ratio",
    "log_odds",
    "logit_confidence",
    "offline_lira",
    "rmia",
    "shadow_models",
    "u_lira",
]
