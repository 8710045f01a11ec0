"""The table of docs/peers.md is what the servers answered, and our services still answer so."""

from __future__ import annotations

import json

import httpx

from benchmarks.contract_peers.__main__ import BROKEN, CUT, GOOD, table
from tests.serving import ROOT, Served

ROWS = json.loads((ROOT / "benchmarks" / "results" / "contract_peers.json").read_text("utf-8"))["rows"]


def test_the_page_has_the_answers_of_the_run() -> None:
    assert table(ROWS) in (ROOT / "docs" / "peers.md").read_text("utf-8")


def test_ours_still_answer_so(running: dict[str, Served]) -> None:
    row = next(row for row in ROWS if row["server"] == "Maquette classify")
    for question, image in (("a photograph", GOOD), ("bytes that are no image", BROKEN), ("a JPEG cut in half", CUT)):
        response: httpx.Response = running["classify"].http.post("/v1/classifications", files={"image": image})
        status, _, code = row[question]["answer"].partition(" ")
        assert str(response.status_code) == status
        assert response.is_success or f"`{response.json()['code']}`" == code
