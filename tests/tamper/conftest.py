"""The same certificate as in tests/certify, to be altered."""

from tests.certify.conftest import evidence as evidence
