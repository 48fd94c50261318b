import subprocess
import sys

import pytest

from expunge.approximate import methods
from expunge.core import Registry
from expunge.core.errors import UnknownMethod
from expunge.verify.attacks import attacks


@pytest.mark.parametrize("registry", [methods, attacks], ids=lambda r: r.package)
def test_every_file_of_a_package_is_a_method_under_its_own_name(registry: Registry) -> None:
    for name in registry.names():
        assert registry.get(name).__module__ == f"{registry.package}.{name}"


def test_a_near_miss_is_hinted_at() -> None:
    with pytest.raises(UnknownMethod, match=r"no method 'npoo' in expunge.approximate; did you mean 'npo'\?"):
        methods.get("npoo")


def test_a_far_miss_lists_what_there_is() -> None:
    with pytest.raises(UnknownMethod, match=f"available: {', '.join(methods.names())}"):
        methods.get("zzz")


@pytest.mark.parametrize("name", ["_edit", "__init__", "", "npo.NPO", "../npo"])
def test_what_is_not_a_method_file_is_not_a_method(name: str) -> None:
    with pytest.raises(UnknownMethod):
        methods.get(name)


def test_listing_methods_imports_none_of_them() -> None:
    code = (
        "import sys; from expunge.approximate import methods; methods.names(); "
        "from expunge.exact import learners; learners.names(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
