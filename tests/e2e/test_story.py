"""One person's request from the first command to the checked certificate, and what the project remembers afterwards."""

import csv
import gzip
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import conftest as e2e


def test_x(verified):
    print(verified)
