import pytest

from expunge.approximate import methods
from expunge.testing import contract


@pytest.mark.parametrize("claim", contract.CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("name", methods.names())
def test_every_method_keeps(name: str, claim: contract.Claim) -> None:
    claim(methods.get(name)())


def test_the_contract_refuses_a_method_that_does_nothing() -> None:
    with pytest.raises(AssertionError, match="forget set is as likely as before"):
        contract.makes_the_forget_set_less_likely(contract.DoesNothing())


def test_the_model_of_the_contract_knows_what_is_to_be_forgotten() -> None:
    assert contract._forget_logp(contract.trained().model) > -2.0
