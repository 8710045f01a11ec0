"""``cluster_assign`` as its callers see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image

from services.cluster_assign.predictor import Predictor
from services.common import models
from services.common.models import BundleError
from tests import tiny
from tests.files import encode
from tests.serving import Refused, Served, as_dict, on_both, read


@pytest.fixture
def served(running: dict[str, Served]) -> Served:
    return running["cluster_assign"]


def test_both_transports_agree(served: Served) -> None:
    for seed in range(4):
        for parameters in ({}, {"neighbours": 0}, {"neighbours": 50}):
            http, grpc = (served.call(transport, tiny.picture(seed), **parameters) for transport in ("http", "grpc"))
            assert http.pop("request_id") != grpc.pop("request_id")
            assert http == grpc


@on_both
def test_q_sums_to_one_largest_first(served: Served, transport: str) -> None:
    answer = served.call(transport, tiny.picture(1))
    shares = [assignment["q"] for assignment in answer["assignments"]]
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert shares == sorted(shares, reverse=True)
    assert sorted(assignment["cluster"] for assignment in answer["assignments"]) == [0, 1, 2]
    assert answer["cluster"]["id"] == answer["assignments"][0]["cluster"]
    assert answer["between"] is (shares[0] - shares[1] < 0.1)


@on_both
@pytest.mark.parametrize(("colour", "cluster"), [("red", 0), ((0, 255, 0), 1), ("blue", 2)])
def test_q_is_student_s_t(served: Served, transport: str, colour: str | tuple[int, int, int], cluster: int) -> None:
    """On a centroid the distances are 0 and twice 2, so that q is 1, 1/3 and 1/3 over their sum (DEC, equation 1)."""
    answer = served.call(transport, encode(Image.new("RGB", (30, 30), colour)))
    assert answer["cluster"]["id"] == cluster
    assert [assignment["q"] for assignment in answer["assignments"]] == pytest.approx([0.6, 0.2, 0.2], abs=1e-6)
    assert answer["cluster"] == {
        "id": cluster,
        "size": 4,
        "silhouette": 0.5,
        "exemplars": [f"work{cluster}.jpg"],
        "outliers": [f"work{cluster + 3}.jpg"],
    }
    assert answer["embedding"] == pytest.approx(np.eye(3)[cluster], abs=1e-6)
    assert answer["between"] is False


@on_both
def test_between_groups(served: Served, transport: str) -> None:
    assert served.call(transport, encode(Image.new("RGB", (30, 30), (90, 90, 90))))["between"] is True


@on_both
def test_neighbours_are_the_nearest_works(served: Served, transport: str) -> None:
    works = np.random.default_rng(1).random((12, 3), dtype=np.float32)
    answer = served.call(transport, tiny.picture(4), neighbours=12)
    distances = np.linalg.norm(works - np.array(answer["embedding"], np.float32), axis=1)
    assert [neighbour["id"] for neighbour in answer["neighbours"]] == [f"work{i}.jpg" for i in np.argsort(distances)]
    assert [neighbour["distance"] for neighbour in answer["neighbours"]] == pytest.approx(np.sort(distances), abs=1e-5)
    for neighbour in answer["neighbours"]:
        assert neighbour["cluster"] == works[int(neighbour["id"][4:-4])].argmax()


@on_both
def test_how_many_neighbours(served: Served, transport: str) -> None:
    counts = {count: len(served.call(transport, tiny.picture(), neighbours=count)["neighbours"]) for count in (0, 1, 50)}
    assert counts == {0: 0, 1: 1, 50: 12}
    assert len(served.call(transport, tiny.picture())["neighbours"]) == 5


@on_both
def test_the_space_is_named_everywhere(served: Served, transport: str) -> None:
    assert served.call(transport, tiny.picture())["embedding_space"] == "tiny-space"
    assert served.get(transport, "/v1/clusters")["embedding_space"] == "tiny-space"
    assert served.get(transport, "/v1/model")["model"]["embedding_space"] == "tiny-space"


@on_both
def test_clusters(served: Served, transport: str) -> None:
    answer = served.get(transport, "/v1/clusters")
    assert [cluster["id"] for cluster in answer["clusters"]] == [0, 1, 2]
    assert sum(cluster["size"] for cluster in answer["clusters"]) == 12
    assert answer["model_version"] == "0.0.1"
    assert served.get(transport, "/v1/model")["model"]["clusters"] == 3


def test_a_bundle_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="clusters"):
        Predictor(models.load(tiny.classify(tmp_path)))


def page(served: Served, transport: str, **asked: Any) -> dict[str, Any]:
    if transport == "http":
        return read(served.http.get("/v1/clusters", params=asked))
    try:
        return as_dict(served.stub.ListClusters(served.kind.pb.ListClustersRequest(**asked), timeout=60))
    except grpc.RpcError as error:
        raise Refused.from_grpc(error) from None


@on_both
def test_clusters_in_pages(served: Served, transport: str) -> None:
    whole = page(served, transport)
    assert whole["next_page_token"] == ""
    first = page(served, transport, page_size=2)
    second = page(served, transport, page_size=2, page_token=first["next_page_token"])
    assert first["clusters"] + second["clusters"] == whole["clusters"]
    assert (len(first["clusters"]), second["next_page_token"]) == (2, "")
    for token in ("none", "OTkuOS85", first["next_page_token"] + "=", "\u00fc"):
        with pytest.raises(Refused) as caught:
            page(served, transport, page_token=token)
        assert caught.value.code == "PARAMETER_INVALID"
