"""The bulk job as Ray Data has it, for `benchmarks/bulk.py`: SOURCE RESULTS SERVER, in an environment with Ray.

Photographs are asked for by actors in batches; Ray begins a batch again whose worker died; Parquet files are the records.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import ray
from fsspec.core import url_to_fs

WORKERS, BATCH = 4, 64


class Ask:
    def __init__(self, source: str, server: str) -> None:
        from maquette import Client

        self.fs, self.root = url_to_fs(source)
        self.client = Client(server)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        from maquette.records.records import as_dict

        names = list(batch["item"])
        answers = self.client.classify_many(self.fs.cat_file(f"{self.root}/{name}") for name in names)
        records = []
        for name, answer in zip(names, answers, strict=True):
            record = {"file": name, "sha256": answer.sha256}
            if answer.error:
                record["error"] = {"code": answer.error.code, "detail": answer.error.detail}
            else:
                record |= as_dict(answer.result())
            records.append(json.dumps(record))
        return {"file": names, "record": records}


def main(source: str, results: str, server: str) -> None:
    ray.init(num_cpus=WORKERS, include_dashboard=False, logging_level="WARNING")
    fs, root = url_to_fs(source)
    names = sorted(path.removeprefix(f"{root}/") for path in fs.find(root) if path.endswith(".jpg"))
    data = ray.data.from_items(names, override_num_blocks=-(-len(names) // BATCH))
    asked = data.map_batches(
        Ask, fn_constructor_args=(source, server), batch_size=BATCH, compute=ray.data.ActorPoolStrategy(size=WORKERS)
    )
    asked.write_parquet(results)


if __name__ == "__main__":
    main(*sys.argv[1:])
