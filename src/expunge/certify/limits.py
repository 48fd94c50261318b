"""The fixed wording of what a certificate does not show. Every certificate carries it in `limits`."""

LIMITS = (
    "What this certificate does not show. "
    "(1) Attacks give lower bounds only: one that finds nothing shows that this attack, at this budget, "
    "found nothing; it does not show that nothing is there. "
    "(2) The same weights can result from different data, so weights alone cannot show what they were "
    "trained on; what can "
    "be audited is that the stated algorithm was run (Thudi et al., 2022, arXiv:2110.11891). "
    "(3) Only registered datasets, models and copies were searched and purged. Unregistered copies, "
    "and copies held by others, were not reached. "
    "(4) Erasing files does not cover spare areas of storage media, such as those of solid-state drives, "
    "nor snapshots and backups; backups that are known are listed as residuals with their expiry. "
    "(5) A signature and a log show who stated this and that it was not altered since; not that it is true. "
    "(6) This certificate makes no claim of legal compliance."
)
