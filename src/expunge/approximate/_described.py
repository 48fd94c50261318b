"""What an edit is: what a state left behind by a kill is known by, alike in another process."""

from collections.abc import Sequence
from typing import Any

from expunge.approximate._settings import Edit
from expunge.core.digests import digest_json
from expunge.engine import digest_config, digest_model, digest_tokenizer, digest_value


def edit_key(
    model: Any, tokenizer: Any, forget: Sequence[Any], retain: Sequence[Any], method: Any, settings: Edit
) -> str:
    """The digest of all that the result depends on: weights and what is computed with them, rows, method and settings.

    Raises: InvalidParameter, where a method holds what has no digest.
    """
    configured = hasattr(getattr(model, "config", None), "to_dict")
    computed = [repr(model), digest_config(model) if configured else None]
    read = None if tokenizer is None else digest_tokenizer(tokenizer)
    rest = digest_value([list(forget), list(retain), method, settings])
    return digest_json("edit", [digest_model(model), computed, read, rest])
