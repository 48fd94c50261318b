"""Min-K% and Min-K%++: how likely are the least likely tokens, alone or beside all other tokens there?"""

import torch
from torch import Tensor


def token_scores(logits_NV: Tensor, labels_N: Tensor) -> Tensor:
    """(log p of the token - its expectation) / its standard deviation, per position.

    Source: Zhang et al. (2024), Min-K%++, arXiv:2404.02936, Eq. 3. Variance is kept above 1e-6. Tokens that cannot be said
    (probability 0, as under a mask on the logits) add nothing to either moment.

    >>> token_scores(torch.zeros(1, 4), torch.tensor([2]))  # a uniform model says nothing
    tensor([0.])
    """
    logp_NV = torch.log_softmax(logits_NV, dim=-1)
    p_NV = logp_NV.exp()
    possible_NV = logp_NV.masked_fill(p_NV == 0, 0.0)  # 0 log 0 = 0
    mean_N = (p_NV * possible_NV).sum(-1)
    variance_N = (p_NV * possible_NV**2).sum(-1) - mean_N**2
    return (logp_NV.gather(1, labels_N[:, None])[:, 0] - mean_N) / variance_N.clamp(min=1e-6).sqrt()


def lowest_share(scores_N: Tensor, k: float = 0.2) -> float:
    """Mean of the lowest `k` share of scores, one at least. Higher means more likely a member.

    Of log-probabilities it is Min-K% (Shi et al. 2024, arXiv:2310.16789), of `token_scores` Min-K%++. The number of
    tokens is max(1, int(n k)), as in open-unlearning.

    >>> lowest_share(torch.tensor([-3.0, -1.0, -0.5, -0.1, -0.1]), k=0.4)
    -2.0
    """
    n = max(1, int(len(scores_N) * k))
    return float(scores_N.sort().values[:n].mean())
