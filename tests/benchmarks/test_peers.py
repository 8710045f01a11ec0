"""The peers of `make bench` answer what our service answers, or the comparison would be of different work."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import numpy as np
import pytest
from PIL import Image

from benchmarks.peers import __main__ as peers


@pytest.mark.parametrize("size", [0.4, 12.0])
def test_photographs_have_the_size_they_are_called_by(size: float) -> None:
    with Image.open(io.BytesIO(peers.photograph(size))) as picture:
        assert round(picture.width * picture.height / 1e6, 1) == size


@pytest.mark.parametrize("peer", [peers.fastapi, peers.litserve])
def test_a_peer_answers_as_our_service_does(peer: Callable[[], AbstractContextManager[peers.Server]]) -> None:
    sent = {"content": peers.form(peers.photograph(0.4))}
    kind = {"content-type": f"multipart/form-data; boundary={peers.BOUNDARY}"}
    with peer() as theirs, peers.ours("classify", "float32") as ours:
        found, wanted = (httpx.post(server.url, headers=kind, **sent).json()["predictions"] for server in (theirs, ours))
    assert [one["label"] for one in found] == [one["label"] for one in wanted]
    assert np.allclose([one["probability"] for one in found], [one["probability"] for one in wanted], atol=1e-5)
