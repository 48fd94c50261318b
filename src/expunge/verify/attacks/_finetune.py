"""Train a copy of an arm for a few steps and ask again at given moments."""

from collections.abc import Callable, Sequence

from expunge.core import Fact
from expunge.core.errors import InvalidParameter
from expunge.engine import Schedule, collate, encode, epoch_batches, mean_nll, pad_id, pinned, train
from expunge.verify.attacks._target import CannotRun, Target


def finetune(
    target: Target,
    facts: Sequence[Fact],
    lr: float,
    moments: Sequence[int],
    batch_size: int,
    score: Callable[[Target, int], None],
) -> None:
    """Full fine-tuning on question -> answer at a constant rate; `score` is called after each of `moments` steps.

    Raises: CannotRun, if the loss is no longer a number.
    """
    victim = target.copy()
    rows, pad = encode(target.tokenizer, facts), pad_id(target.tokenizer)
    device = next(victim.model.parameters()).device
    batches: list[list] = []  # type: ignore[type-arg]
    while len(batches) < max(moments):
        batches += epoch_batches(rows, batch_size, b"expunge/finetune/v1", len(batches))
    for p in victim.model.parameters():
        p.requires_grad_(True)
    victim.model.eval()

    def after(done: int, _total: int) -> None:
        if done in moments:
            score(victim, done)

    try:
        with pinned():
            train(
                list(victim.model.parameters()),
                lambda k: mean_nll(victim.model, collate(batches[k], pad).to(device)),
                max(moments),
                Schedule(lr=lr, warmup=2),
                weight_decay=0.0,
                progress=after,
            )
    except InvalidParameter as e:
        raise CannotRun(f"fine-tuning diverged: {e}") from e
