"""What a shard has written: its parts, the marker that it has finished, and the records of all parts in one order.

RESULTS holds ``job.json`` (which service and source the results are of), ``parts/shard-00001-of-00016-....jsonl``,
``finished/shard-00001-of-00016.json``, ``masks/``, and, while a shard runs, ``unfinished/shard-00001-of-00016/``.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from maquette.batch.store import BatchError, Store
from maquette.records.records import Record

FOLDERS = ("finished", "masks", "parts", "unfinished")
_JOB = "job.json"
_OPEN_FILES = 64  # of the some 1,000 that a process may have


def shard_of(name: str, shards: int) -> int:
    """The shard of a photograph, by its name alone: 0 to ``shards`` - 1."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8]) % shards


def prefix(index: int, shards: int) -> str:
    """The name of a shard, with which the names of its files begin."""
    return f"shard-{index:05d}-of-{shards:05d}"


def encoded(record: Any) -> bytes:
    """A line of JSON. A file name that is not UTF-8 comes out as ``\\udcXX``, which JSON reads back."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def is_final(record: Record) -> bool:
    """Whether asking again cannot help: there is an answer, or the image itself was refused."""
    return "error" not in record or str(record["error"]["code"]).startswith("IMAGE_")


def claim(results: Store, job: dict[str, str]) -> None:
    """Write down whose results these are. Raises :class:`BatchError` when they are another job's."""
    if results.exists(_JOB):
        with results.open(_JOB) as stream:
            there = json.load(stream)
        if there != job:
            told = ", ".join(f"{name} {value}" for name, value in there.items())
            raise BatchError(f"{results.url} holds the results of another job ({told}); choose another folder for RESULTS.")
        return
    with results.whole(_JOB, "unfinished") as file:
        file.write(encoded(job))


def parts_of(results: Store, beginning: str = "") -> list[str]:
    """The parts whose name begins so."""
    return [name for name in results.names("parts") if name.startswith(f"parts/{beginning}") and name.endswith(".jsonl")]


def records_of(results: Store, part: str) -> Iterator[Record]:
    """The records of one part, in order."""
    with results.open(part) as stream:
        for line in stream:
            yield json.loads(line)


def finish(results: Store, index: int, shards: int, photographs: Sequence[str]) -> None:
    """Write the marker: the shard has a record for each of its share of ``photographs``, which are those of all shards."""
    name = prefix(index, shards)
    count = sum(shard_of(one, shards) == index for one in photographs)
    listing = hashlib.sha256(b"\0".join(map(os.fsencode, photographs))).hexdigest()
    with results.whole(_marker(index, shards), f"unfinished/{name}") as stream:
        stream.write(encoded({"photographs": count, "listing": listing}))
    results.remove(f"unfinished/{name}")


def begin(results: Store, index: int, shards: int) -> None:
    """Remove the marker of an earlier run, and what a killed one left unfinished."""
    results.remove(_marker(index, shards))
    results.remove(f"unfinished/{prefix(index, shards)}")


def check_finished(results: Store, shards: int) -> dict[int, int]:
    """How many photographs each shard says it has.

    Raises :class:`BatchError` when one has not finished, or finished when SOURCE held other photographs than for the others.
    """
    there = set(results.names("finished"))
    missing = [index for index in range(shards) if _marker(index, shards) not in there]
    if missing:
        listed = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise BatchError(f"{len(missing)} of {shards} shards have not finished: {listed}.")
    counts: dict[int, int] = {}
    listings: set[str] = set()
    for index in range(shards):
        with results.open(_marker(index, shards)) as stream:
            marker = json.load(stream)
        counts[index] = marker["photographs"]
        listings.add(marker.get("listing", ""))
    if len(listings) > 1:
        raise BatchError(
            "SOURCE has changed between the shards' runs: run all of them again (what is answered is not asked again)."
        )
    return counts


def merged(results: Store, parts: list[str]) -> Iterator[Record]:
    """One record for each photograph, by name, from any number of parts: an answer where one came, else the error.

    At most ``_OPEN_FILES`` are open at a time: more are first merged into fewer, in ``unfinished/``.
    """
    rounds = 0
    while len(parts) > _OPEN_FILES:
        rounds += 1
        longer = []
        for start in range(0, len(parts), _OPEN_FILES):
            name = f"unfinished/merge/{rounds}-{start:08d}.jsonl"
            with results.whole(name, "unfinished/merge") as stream:
                stream.writelines(map(encoded, _merge(results, parts[start : start + _OPEN_FILES])))
            longer.append(name)
        parts = longer
    yield from _merge(results, parts)


def _merge(results: Store, parts: Iterable[str]) -> Iterator[Record]:
    streams = [records_of(results, part) for part in parts]
    by_name = itemgetter("file")
    for _, records in groupby(heapq.merge(*streams, key=by_name), key=by_name):
        yield min(records, key=lambda record: ("error" in record, not is_final(record)))


def _marker(index: int, shards: int) -> str:
    return f"finished/{prefix(index, shards)}.json"
