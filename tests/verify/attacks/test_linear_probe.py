import torch
from sklearn.linear_model import Ridge

from expunge.verify.attacks.linear_probe import ridge_map


def test_it_is_scikit_learns_ridge_on_standardised_inputs() -> None:
    torch.manual_seed(0)
    x, y, z = torch.randn(40, 5) * 3 + 1, torch.randn(40, 2), torch.randn(7, 5)
    mean, scale = x.double().mean(0), x.double().std(0)
    fitted = Ridge(alpha=0.7).fit(((x.double() - mean) / scale).numpy(), y.double().numpy())
    expected = torch.tensor(fitted.predict(((z.double() - mean) / scale).numpy())).float()
    torch.testing.assert_close(ridge_map(x, y, z, 0.7), expected, rtol=1e-5, atol=1e-5)


def test_a_feature_that_never_changes_is_harmless() -> None:
    x = torch.cat([torch.randn(20, 2), torch.ones(20, 1)], dim=1)
    assert bool(ridge_map(x, x[:, :1], x, 1.0).isfinite().all())
