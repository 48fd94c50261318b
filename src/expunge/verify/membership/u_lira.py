"""U-LiRA: was this example trained and then unlearned, or never seen? Asked per example, by running the unlearning itself.

Source: Hayes, Shumailov, Triantafillou, Khalifa, Papernot (2024), arXiv:2403.01218. The two hypotheses are H1 "trained, then
unlearned" and H0 "never trained"; a perfect unlearning gives both the same distribution. Attacks with one threshold for
all examples overstate the protection, since one example's gain hides another's loss.
"""

import numpy as np

from expunge.core.errors import TooFewSamples
from expunge.verify.membership.likelihood_ratio import Bools, Density, Floats, log_likelihood_ratio
from expunge.verify.membership.shadows import Shadows


def u_lira(
    target_N: Floats, phi_KN: Floats, unlearned_KN: Bools, never_KN: Bools, density: Density = "gaussian"
) -> Floats:
    """log p(phi | unlearned) - log p(phi | never seen), per example. Higher: more likely it was there once.

    `phi_KN`: log-odds confidence of K models *after* the audited unlearning algorithm was run on each; the masks say which
    had unlearned and which had never seen an example (models that still hold it count for neither).

    Raises: TooFewSamples, InvalidParameter.
    """
    return log_likelihood_ratio(target_N, phi_KN, unlearned_KN, never_KN, density)


def cross_u_lira(shadows: Shadows, density: Density = "gaussian") -> tuple[list[float], list[float]]:
    """Every model in turn is the audited one and all others are its shadows: scores of unlearned, and of never seen examples.

    Their AUC is the attack's: 0.5 if unlearning equals never having seen. Scores of one model depend on each other, so
    an interval goes over models, not over scores.

    Raises: TooFewSamples.
    """
    if not shadows.unlearned_KN.any():
        raise TooFewSamples("no model has unlearned anything; give `unlearn` to shadow_models")
    unlearned: list[float] = []
    never: list[float] = []
    for k in range(len(shadows.phi_KN)):
        rest = np.arange(len(shadows.phi_KN)) != k
        never_KN = ~shadows.included_KN[rest]
        score_N = u_lira(shadows.phi_KN[k], shadows.phi_KN[rest], shadows.unlearned_KN[rest], never_KN, density)
        unlearned += score_N[shadows.unlearned_KN[k]].tolist()
        never += score_N[~shadows.included_KN[k]].tolist()
    return unlearned, never
