import contextlib
import os
import random
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from expunge.core.digests import (
    canonical_json,
    digest_bytes,
    digest_folder,
    digest_json,
    digest_table,
    digest_tensors,
    sha256_file,
)
from expunge.core.errors import InvalidData, UnreadableModel


def test_domains_never_meet() -> None:
    assert digest_bytes("a", b"x") != digest_bytes("b", b"x")
    assert digest_json("a", 1) != digest_bytes("a", canonical_json(1))
    assert digest_table({}) != digest_tensors([])


def test_equal_json_values_have_one_digest_whatever_their_key_order() -> None:
    draw = random.Random(0)
    for _ in range(50):
        pairs = [(f"k{i}", draw.choice([None, True, i, 1.5, "é", [i, {"z": i}]])) for i in range(6)]
        shuffled = draw.sample(pairs, len(pairs))
        assert digest_json("d", dict(pairs)) == digest_json("d", dict(shuffled))


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)))))
@example([chr(i) for i in range(0x300)])
@example(["\u2028\u2029\ufeff\U0001f600</script>", ""])
def test_texts_are_written_as_the_standard_says(texts: list[str]) -> None:
    """Against the reference implementation, which is slower: every record's content goes this way."""
    assert canonical_json(texts) == rfc8785.dumps(texts)


def test_a_list_keeps_its_order() -> None:
    assert digest_json("d", [1, 2]) != digest_json("d", [2, 1])


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**60, {1: 2}, b"x", {"a"}, "\ud800", ["\ud800"]], ids=repr
)
def test_a_value_without_a_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(InvalidData, match="canonical"):
        digest_json("d", value)


def test_tensors_differ_by_name_type_shape_and_bytes() -> None:
    variants = [
        [("a", "float32", [2], b"12345678")],
        [("b", "float32", [2], b"12345678")],
        [("a", "int32", [2], b"12345678")],
        [("a", "float32", [1, 2], b"12345678")],
        [("a", "float32", [2], b"12345679")],
        [("a", "float32", [1], b"1234"), ("b", "float32", [1], b"5678")],
        [],
    ]
    assert len({digest_tensors(v) for v in variants}) == len(variants)


def test_table_cells_differ_by_type_and_border() -> None:
    tables: list[Any] = [
        {"x": ["1"]},
        {"x": [1]},
        {"x": [b"1"]},
        {"x": ["1", "2"]},
        {"x": ["12"]},
        {"y": ["1"]},
        {"x": [], "y": []},
        {"x": []},
        {"x": ["end"]},
        {},
    ]
    assert len({digest_table(t) for t in tables}) == len(tables)


def test_a_table_counts_rows_in_order_and_columns_in_none() -> None:
    assert digest_table({"x": [1, 2], "y": [3, 4]}) == digest_table({"y": [3, 4], "x": [1, 2]})
    assert digest_table({"x": [1, 2], "y": [3, 4]}) != digest_table({"x": [2, 1], "y": [4, 3]})


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(InvalidData, match="length"):
        digest_table({"x": [1], "y": [1, 2]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "m"
    (root / "sub").mkdir(parents=True)
    (root / "a.bin").write_bytes(b"abc")
    (root / "sub" / "b.bin").write_bytes(b"")
    return root


def test_any_flipped_byte_changes_a_folder(folder: Path) -> None:
    before = digest_folder(folder)
    for i in range(3):
        for bit in range(8):
            data = bytearray(b"abc")
            data[i] ^= 1 << bit
            (folder / "a.bin").write_bytes(data)
            assert digest_folder(folder) != before
    (folder / "a.bin").write_bytes(b"abc")
    os.utime(folder / "a.bin", (0, 0))
    assert digest_folder(folder) == before


@pytest.mark.parametrize("change", ["rename", "move", "add", "remove", "grow"])
def test_a_folder_changes_with_its_files(folder: Path, change: str) -> None:
    before = digest_folder(folder)
    match change:
        case "rename":
            (folder / "a.bin").rename(folder / "A.bin")
        case "move":
            (folder / "a.bin").rename(folder / "sub" / "a.bin")
        case "add":
            (folder / ".hidden").write_bytes(b"")
        case "remove":
            (folder / "sub" / "b.bin").unlink()
        case "grow":
            (folder / "sub" / "b.bin").write_bytes(b"\0")
    assert digest_folder(folder) != before


def test_two_files_that_swap_contents_change_the_folder(folder: Path) -> None:
    before = digest_folder(folder)
    (folder / "a.bin").write_bytes(b"")
    (folder / "sub" / "b.bin").write_bytes(b"abc")
    assert digest_folder(folder) != before


@pytest.mark.parametrize("target", ["a.bin", "sub", "nowhere"])
def test_a_symbolic_link_is_refused(folder: Path, target: str) -> None:
    (folder / "link").symlink_to(folder / target)
    with pytest.raises(UnreadableModel, match="symbolic link"):
        digest_folder(folder)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("place", [".", "below/deeper"])
def test_what_has_no_bytes_of_its_own_is_refused(folder: Path, kind: str, place: str) -> None:
    (folder / place).mkdir(parents=True, exist_ok=True)
    path = folder / place / "special"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(path.parent):  # a path of a socket is short
            bound.bind(path.name)
    else:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("no device can be made here")
    with pytest.raises(UnreadableModel, match="neither a file nor a folder"):
        digest_folder(folder)


def test_folders_that_hold_nothing_count(folder: Path) -> None:
    before = digest_folder(folder)
    seen = {before}
    for name in ("empty", "empty/deeper", "other"):
        (folder / name).mkdir()
        seen.add(digest_folder(folder))
    assert len(seen) == 4
    for name in ("empty/deeper", "empty", "other"):
        (folder / name).rmdir()
    assert digest_folder(folder) == before


def test_a_missing_or_empty_folder_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(UnreadableModel, match="no folder"):
        digest_folder(tmp_path / "nowhere")
    with pytest.raises(UnreadableModel, match="no files"):
        digest_folder(tmp_path)


def test_a_files_digest_is_the_one_other_tools_print(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
