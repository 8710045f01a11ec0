"""Twenty calls by a client that openapi-python-client generated: ``twenty_calls.py FOLDER PORTS GOOD``.

``FOLDER`` holds a package for each service, ``PORTS`` is their ports as JSON, ``GOOD`` a photograph. Any answer that is not
what the document says of it raises.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FOLDER, PORTS, GOOD = Path(sys.argv[1]), json.loads(sys.argv[2]), Path(sys.argv[3]).read_bytes()
sys.path.insert(0, str(FOLDER))
made = 0


class Service:
    """The generated package of one service; its types by name."""

    def __init__(self, name: str) -> None:
        self._name = name
        package = importlib.import_module(name)
        self.client = package.Client(base_url=f"http://127.0.0.1:{PORTS[name]}", timeout=60)
        self.types: Any = SimpleNamespace(
            **vars(importlib.import_module(f"{name}.models")), File=importlib.import_module(f"{name}.types").File
        )

    def call(self, operation: str, **arguments: Any) -> Any:
        """The parsed answer; the status must be one that the document has."""
        global made
        made += 1
        module = importlib.import_module(f"{self._name}.api.{self._name}.{operation}")
        response = module.sync_detailed(client=self.client, **arguments)
        assert response.parsed is not None, (operation, response)
        return response.parsed

    def file(self, data: bytes = GOOD, name: str = "a.png") -> Any:
        return self.types.File(io.BytesIO(data), name, "application/octet-stream")

    def form(self, body: str) -> Any:
        return getattr(self.types, body)(image=self.file())

    def many(self, body: str, **ids: Any) -> Any:
        files = [self.file(name="a.png"), self.file(b"no image", "b.png"), self.file(name="c.png")]
        return getattr(self.types, body)(images=files, **ids)


def check_batch(lines: Any) -> None:
    assert [(line.index, line.file, line.id) for line in lines] == [(0, "a.png", "1"), (1, "b.png", "2"), (2, "c.png", "3")]
    assert lines[1].error.code == "IMAGE_UNDECODABLE"
    assert not lines[0].error and not lines[2].error


IDS = ["1", "2", "3"]

one = Service("classify")
answer = one.call("classify", body=one.form("ClassifyFilesBody"), top_k=2, id="record 17")
assert (len(answer.predictions), answer.id) == (2, "record 17")
assert one.call("classify", body=one.file()).predictions[0].label == answer.predictions[0].label
sure = one.call("classify", body=one.form("ClassifyFilesBody"), confidence=1.0)
assert sure.abstained and sure.abstention_reason == "ABSTENTION_REASON_UNSURE_OF_TYPE", sure
assert one.call("classify", body=one.file(b"no image")).code == "IMAGE_UNDECODABLE"
check_batch(one.call("classify_batch", body=one.many("ClassifyBatchBody", id=IDS), top_k=1))
assert one.call("get_model").model.input_.resize_rule == "RESIZE_RULE_SQUASH"

one = Service("cluster_assign")
answer = one.call("assign", body=one.form("AssignFilesBody"), neighbours=2)
assert len(answer.neighbours) == 2 and answer.cluster.id == answer.assignments[0].cluster
check_batch(one.call("assign_batch", body=one.many("AssignBatchBody", id=IDS)))
page = one.call("list_clusters", page_size=2)
assert len(page.clusters) == 2
assert len(one.call("list_clusters", page_size=2, page_token=page.next_page_token).clusters) == 1
assert one.call("list_clusters", page_token="none").code == "PARAMETER_INVALID"

one = Service("embed_latent")
answer = one.call("embed", body=one.form("EmbedFilesBody"), features=True)
assert answer.latent and answer.features
check_batch(one.call("embed_batch", body=one.many("EmbedBatchBody", id=IDS)))
space = one.call("get_space", page_size=1)
drawn = one.call("decode", body=one.types.DecodeRequest(latent=space.prior_mean))
assert len(drawn.images) == 1 and drawn.width
assert one.call("get_model").model.create_time.year >= 2026

one = Service("remove_background")
answer = one.call("remove_background", body=one.form("RemoveBackgroundFilesBody"))
assert answer.mask and not answer.cutout and not answer.report.empty
both = one.call("remove_background", body=one.form("RemoveBackgroundFilesBody"), output=one.types.RemoveBackgroundOutput.BOTH)
assert both.mask == answer.mask and both.cutout
check_batch(one.call("remove_background_batch", body=one.many("RemoveBackgroundBatchBody", id=IDS), threshold=0.5))
colmap = one.types.RemoveBackgroundArchiveFor.COLMAP
archive = one.call("remove_background_archive", body=one.many("RemoveBackgroundArchiveBody"), for_=colmap)
assert zipfile.ZipFile(archive.payload).namelist() == ["a.png.png", "c.png.png", "masks.jsonl"]
assert made == 20, made
