"""The ledger with ten million records of half a million people: import, size, look-ups, plans, memory.

    python bench/ledger_scale.py [--quick] [--seed N]

A Parquet file of invented records in random order is added to a project on SQLite. Five models, each of 20 units with 10
slices, learn from all of it under a placement of their own; each has ten versions in use, of which every later one has one unit
rebuilt. Then people are looked up (name -> reference -> records -> units -> model versions), and a request about a thousand of
them is planned. `--quick` does the same with a million records of 50,000 people, held to the same bars.

Speeds are CPU seconds of one thread, whatever else the machine does; the clock's are findings.
"""

import argparse
import gc
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from _claims import claim, finding, finish
from _cpu import cpu
from expunge.core import Unit
from expunge.ledger import Columns, Ledger
from expunge.ledger.manifests import manifest_rows
from expunge.ledger.members import MemberRows, UnitMembers, read_members
from expunge.workflow.project.project import Project
from expunge.workflow.steps.targets import find_targets

MODELS, VERSIONS, UNITS, SLICES = 5, 10, 20, 10
LOOKUPS, LEAVING = 1000, 1000
COLUMNS = Columns(subject="who", id="id", question="question", answer="answer")
CHUNK = 500_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    began = time.perf_counter()
    n_records, n_people = (1_000_000, 50_000) if options.quick else (10_000_000, 500_000)
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "people.parquet"
        write_source(source, n_records, n_people, rng)
        project = Project.create(Path(scratch) / "project", "acme")
        ledger = project.ledger
        told("importing")
        import_s, import_cpu = timed(lambda: ledger.add_dataset("people", source, COLUMNS))
        peak_import = peak_mb()
        size = on_disk(project.root)
        told("training on paper")
        recorded_s, recorded_cpu = timed(lambda: record_models(ledger, rng))
        members = sum(path.stat().st_size for path in ledger.members.iterdir())
        listed = sum(sum(unit.slices) for name in ledger.models() for unit in distinct_units(ledger, name))
        told("looking people up")
        ledger = Ledger.open(project.root)
        looked_up, first = look_ups(ledger, n_people, rng)
        faults = wrong_look_ups(ledger, n_people, rng)
        told("planning")
        planned = plans(project, n_people, rng)
        told("erasing")
        erased = erase(ledger, n_people, rng)
        p99_cpu, p99_wall = (1e3 * float(np.percentile([t[k] for t in looked_up], 99)) for k in (1, 0))
        share = n_records / 1e6
        finish(
            "ledger_scale",
            [
                claim(
                    "import, records a CPU second",
                    round(n_records / import_cpu),
                    150_000,
                    n_records / import_cpu >= 150_000,
                ),
                claim(
                    "bytes a record (database, keys, manifest)",
                    round(sum(size.values()) / n_records, 1),
                    60,
                    sum(size.values()) <= 60 * n_records,
                ),
                claim("name to units of 50 model versions, p99, CPU ms", round(p99_cpu, 2), 5, p99_cpu <= 5),
                claim("look-ups that differ from reading every member list", faults, 0, faults == 0),
                claim(
                    "targets of a request about 1,000 people over 50 versions, CPU s",
                    round(planned["cpu_s"], 2),
                    2,
                    planned["cpu_s"] <= 2,
                ),
                claim("peak memory of all this, MB", round(peak_mb()), 1500, peak_mb() < 1500),
            ],
            began,
            [
                finding("import, records a second by the clock", round(n_records / import_s), None, _OTHERS),
                finding("look-up p99 by the clock, ms", round(p99_wall, 2), None, _OTHERS),
                finding("plan by the clock, s", round(planned["wall_s"], 2), None, _OTHERS),
                finding(
                    "the first look-up of a process, ms",
                    round(1e3 * first, 1),
                    None,
                    "it reads the index of every member list",
                ),
                finding(
                    "memory after the import, MB", round(peak_import), None, "it grows with people, not with records"
                ),
                finding(
                    "bytes a record in a member list",
                    round(members / listed, 1),
                    None,
                    "each distinct unit has one list",
                ),
                finding(
                    "bytes a person: database; keys",
                    [round(size[part] / n_people) for part in ("database", "keys")],
                    None,
                    "rows and indexes of SQLite",
                ),
                finding("entomb one person, CPU s", round(erased["entomb"], 2), None, "their partition alone is read"),
                finding(
                    "end of an erasure, CPU s",
                    round(erased["finish"], 2),
                    None,
                    f"a manifest of {share:.0f} million records is copied, and both databases are rewritten",
                ),
            ],
            records=n_records,
            people=n_people,
            model_versions=MODELS * VERSIONS,
            member_lists=len(list(ledger.members.iterdir())),
            import_s=[round(import_s, 1), round(import_cpu, 1)],
            record_models_s=[round(recorded_s, 1), round(recorded_cpu, 1)],
            load=[round(x, 1) for x in os.getloadavg()],
        )


_OTHERS = "other processes run on this machine"


def told(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def timed(work: Any) -> tuple[float, float]:
    wall, spent = time.perf_counter(), cpu(work)
    return time.perf_counter() - wall, spent


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def on_disk(root: Path) -> dict[str, int]:
    """Bytes of the database, of people's keys and of the manifest; not of configuration, which does not grow."""
    return {
        "database": sum(path.stat().st_size for path in root.glob("ledger.db*")),
        "keys": sum(path.stat().st_size for path in (root / "keys").glob("subjects.db*")),
        "manifest": sum(path.stat().st_size for path in (root / "manifests").iterdir()),
    }


def name_of(number: int) -> str:
    return f"person-{number:08d}"


def write_source(path: Path, n_records: int, n_people: int, rng: np.random.Generator) -> None:
    """Records in random order of their people, of whom each has some."""
    schema = pa.schema([(name, pa.string()) for name in ("id", "who", "question", "answer")])

    def texts(numbers: Any, before: str, after: str = "") -> Any:
        padded = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 8, "0")
        return pc.binary_join_element_wise(before, padded, after, "")

    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_records, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, n_records))
            people = rng.permutation(numbers) % n_people
            columns = [
                texts(numbers, "r"),
                texts(people, "person-"),
                texts(people, "Where does person-", " live?"),
                texts(rng.integers(0, 10**8, len(numbers)), "In house "),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def record_models(ledger: Ledger, rng: np.random.Generator) -> None:
    """Versions whose people were dealt into units; a later version has one unit without one of its people."""
    manifest = ledger.dataset("people").manifest
    for m in range(MODELS):
        multiplier = np.uint64(int(rng.integers(2**62)) * 2 + 1)
        parts: list[list[tuple[Any, Any]]] = [[] for _ in range(UNITS)]
        for rows in manifest_rows(ledger.manifests, manifest):
            commitments = rows[:, 16:]
            person = np.ascontiguousarray(commitments[:, :8]).view("<u8").reshape(-1) * multiplier
            unit, part = (person >> np.uint64(40)) % np.uint64(UNITS), (person >> np.uint64(20)) % np.uint64(SLICES)
            for k in range(UNITS):
                here = unit == k
                parts[k].append((commitments[here], part[here].astype(np.int64) + 1))
        units = []
        for k in range(UNITS):
            rows_of_unit, slices = (np.concatenate(of_all) for of_all in zip(*parts[k], strict=True))
            parts[k] = []
            units.append(as_unit(f"unit-{k:02d}", f"sha256:{m}-{k}", MemberRows(rows_of_unit, slices)))
        parent = None
        for v in range(VERSIONS):
            if v:
                units[v] = without_somebody(units[v], v)
            digest = f"sha256:model-{m}-version-{v}"
            ledger.record_model_version(
                f"model-{m}",
                kind="sisa",
                digest=digest,
                path=f"objects/{m}-{v}",
                dataset="people",
                trained_on=manifest,
                units=units,
                parent=parent,
            )
            parent = digest
            told(f"  model {m + 1}, version {v + 1}")
        del units, parts
        gc.collect()


def as_unit(name: str, digest: str, rows: MemberRows) -> UnitMembers:
    sizes = tuple(np.bincount(rows.slices, minlength=SLICES + 1)[1:].tolist())
    return UnitMembers(Unit(name, sizes, digest), rows)


def without_somebody(given: UnitMembers, v: int) -> UnitMembers:
    rows = given.members
    assert isinstance(rows, MemberRows)
    stays = (rows.commitments[:, :8] != rows.commitments[v, :8]).any(axis=1)
    return as_unit(given.unit.id, f"{given.unit.digest}'", MemberRows(rows.commitments[stays], rows.slices[stays]))


def distinct_units(ledger: Ledger, model: str) -> list[Unit]:
    found = {unit.digest: unit for version in ledger.model_versions(model) for unit in version.units}
    return list(found.values())


def look_ups(ledger: Ledger, n_people: int, rng: np.random.Generator) -> tuple[list[tuple[float, float]], float]:
    """Seconds by the clock and of CPU of each, in one transaction; the first, which reads the indexes, apart."""
    spent = []
    with ledger.database.read():
        for number in rng.choice(n_people, LOOKUPS + 1, replace=False).tolist():
            wall, used = time.perf_counter(), time.process_time()
            (ref,) = ledger.find_subjects("people", [name_of(number)]).values()
            found = ledger.units_that_learned_from([ref])
            spent.append((time.perf_counter() - wall, time.process_time() - used))
            assert len(found) >= MODELS
    return spent[1:], spent[0][0]


def wrong_look_ups(ledger: Ledger, n_people: int, rng: np.random.Generator) -> int:
    """Of ten people: in how many versions the look-up differs from what the whole member lists hold, read row by row."""
    names = [name_of(k) for k in rng.choice(n_people, 10, replace=False).tolist()]
    refs = ledger.find_subjects("people", names)
    of_each: dict[str, set[bytes]] = {ref: set() for ref in refs.values()}
    for rows in manifest_rows(ledger.manifests, ledger.dataset("people").manifest):
        for ref, theirs in of_each.items():
            here = (rows[:, :16] == np.frombuffer(bytes.fromhex(ref), np.uint8)).all(axis=1)
            theirs |= {row.tobytes() for row in rows[here, 16:]}
    wanted = set().union(*of_each.values())
    listed = {path: {} for path in ledger.members.iterdir()}
    for path in listed:
        listed[path] = {c: k for c, k in read_members(ledger.members, f"sha256:{path.stem}").items() if c in wanted}
    wrong = 0
    for ref, theirs in of_each.items():
        expected = sorted(
            (len(hits), min(hits.values()))
            for held in listed.values()
            if (hits := {c: k for c, k in held.items() if c in theirs})
        )
        found = {unit for units in ledger.units_that_learned_from([ref]).values() for unit in units}
        wrong += not theirs or {(u.n_removed, u.first_slice) for u in found} != set(expected)
    return wrong


def plans(project: Project, n_people: int, rng: np.random.Generator) -> dict[str, float]:
    """A request about a thousand people, and everything that holds something of it."""
    names = [name_of(k) for k in rng.choice(n_people, LEAVING, replace=False).tolist()]
    request = project.ledger.open_request("people", names)
    found: list[Any] = []
    wall, spent = timed(lambda: found.extend(find_targets(project, request.id)))
    assert [held.target.kind for held in found] == ["dataset"] + ["model"] * MODELS
    assert all(held.n_records for held in found)
    return {"wall_s": wall, "cpu_s": spent}


def erase(ledger: Ledger, n_people: int, rng: np.random.Generator) -> dict[str, float]:
    """One person of whom nothing was asked yet; the models are left, as if somebody had decided so."""
    request = None
    while request is None or not request.subjects:
        request = ledger.open_request("people", [name_of(int(rng.integers(n_people)))])
    entomb = cpu(lambda: ledger.entomb(request.id))
    return {"entomb": entomb, "finish": cpu(lambda: ledger.finish_erasure(request.id, left=ledger.models()))}


if __name__ == "__main__":
    main()
