"""What is in the image, and that it serves, refuses a wrong model and drains under the production security context."""

from __future__ import annotations

import concurrent.futures
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests import serving, tiny
from tests.image.conftest import IMAGE, Pod, engine

MOST_BYTES = 450_000_000
CALLS = 30


def inside(command: str) -> str:
    return engine("run", "--rm", "--network", "none", "--entrypoint", "sh", IMAGE, "-c", command)


def bundles_bytes(service: str) -> int:
    """What an image takes of exported_models/ (.containerignore)."""
    files = (path for path in (serving.ROOT / "exported_models" / service).rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if "saved_model" not in path.parts)


def test_labels_user_and_size(image: dict, kind: serving.Kind) -> None:
    labels = {key: value for key, value in image["Labels"].items() if key.startswith("org.opencontainers.image.")}
    assert labels["org.opencontainers.image.title"] == f"maquette-{kind.name}"
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    user, _, group = image["Config"]["User"].partition(":")
    assert int(user) >= 10_000 and int(group) >= 10_000
    print(f"\n{IMAGE}: {image['Size'] / 1e6:.0f} MB")
    # The images differ in their model alone, so that this one tells the size of all.
    largest = max(map(bundles_bytes, serving.KINDS))
    assert image["Size"] - bundles_bytes(kind.name) + largest <= MOST_BYTES


def test_nothing_that_serving_does_not_need() -> None:
    assert inside("command -v gcc cc c++ make pip pip3 || true") == ""
    assert (
        inside("ls /opt/maquette/lib/python3*/site-packages | grep -ixE 'torch|tensorflow|keras|cv2|pip|setuptools' || true")
        == ""
    )
    assert inside("ls /models") == IMAGE.rpartition("/")[2].partition(":")[0].replace("-", "_")
    # Nothing that its user could write to, except scratch space and what the kernel and the engine bring.
    assert (
        inside(
            "find / -xdev -writable -not -type l -not -path '/tmp*' -not -path '/var/tmp*' -not -path '/run/lock*' | head -5"
        )
        == ""
    )


def test_what_was_left_out_is_missed_by_no_service() -> None:
    """All images have these same packages; only the model in them differs."""
    modules = ", ".join(f"services.{name}.service" for name in serving.KINDS)
    inside(f"python -c 'import {modules}, maquette.commands.app, maquette.batch.job'")


def test_bill_of_materials_lists_what_is_installed() -> None:
    bill = json.loads(inside("cat /opt/maquette/sbom.cdx.json"))
    assert bill["bomFormat"] == "CycloneDX"
    listed = {component["name"].lower().replace("_", "-") for component in bill["components"]}
    installed = inside("ls -d /opt/maquette/lib/python3*/site-packages/*.dist-info").splitlines()
    names = {Path(line).name.partition("-")[0].lower().replace("_", "-").replace(".", "-") for line in installed}
    assert names and names <= {name.replace(".", "-") for name in listed}


def test_it_answers_a_photograph_over_both_transports(pod: Pod) -> None:
    photograph = (serving.ROOT / "samples" / "statue.jpg").read_bytes()
    response = pod.http.post(pod.kind.path, content=photograph, headers={"content-type": "image/jpeg"})
    with grpc.insecure_channel(pod.address) as channel:
        message = getattr(pod.kind.stub(channel), pod.kind.rpc)(pod.kind.request(photograph), timeout=60)
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    answers = [serving.read(response), serving.as_dict(message)]
    for answer in answers:
        del answer["request_id"]
    assert serving.alike(*answers)
    manifest = json.loads(inside("cat /models/*/*/manifest.json"))
    assert message.model_version == manifest["version"]
    model = pod.http.get("/v1/model").json()["model"]
    assert model["sha256"] == manifest["files"]["model.onnx"]
    for page in ("/", "/docs", "/samples/statue.jpg"):
        assert pod.http.get(page).status_code == httpx.codes.OK, page


def test_a_very_large_photograph_fits_the_memory_limit(start: Callable[..., Pod]) -> None:
    # Patience for a machine that does other things as well; memory is what is tried here.
    pod = start("--env", "MAQUETTE_TIMEOUT_SECONDS=300")
    pod.until_ready()
    # A PNG cannot be shrunk while it is decoded: all 99 megapixels are there at once.
    picture = tiny.picture(4, (11_000, 9_000), "PNG", compress_level=1)
    response = pod.http.post(pod.kind.path, content=picture, headers={"content-type": "image/png"}, timeout=300)
    assert response.status_code == 200, response.text
    assert pod.readiness() == 200
    print(f"\nafter 99 megapixels: resident {pod.memory() / 2**20:.0f} MiB, at most {pod.memory('VmHWM') / 2**20:.0f} MiB")


def test_a_changed_model_is_never_served(start: Callable[..., Pod], tmp_path: Path) -> None:
    engine("create", "--name", f"copy-{tmp_path.name}", IMAGE)
    engine("cp", f"copy-{tmp_path.name}:/models", str(tmp_path / "models"))
    engine("rm", f"copy-{tmp_path.name}")
    [graph] = (tmp_path / "models").rglob("model.onnx")
    graph.write_bytes(graph.read_bytes() + b"\0")
    tampered = start("--volume", f"{tmp_path / 'models'}:/models:ro")
    serving.until(lambda: "the model did not load" in tampered.log, lambda: tampered.log)
    assert "model.onnx: sha256 is" in tampered.log
    assert tampered.readiness() == 503
    tampered.signal("TERM")
    assert tampered.wait() == 0


def test_a_drain_loses_no_call(start: Callable[..., Pod]) -> None:
    draining, other = start(), start()
    draining.until_ready(), other.until_ready()
    kind = draining.kind
    picture = tiny.picture(5, (3000, 2000), "JPEG")
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": [{"service": kind.service.full_name}], "retryPolicy": serving.RETRY}],
    }
    options = [("grpc.service_config", json.dumps(config)), ("grpc.per_rpc_retry_buffer_size", 2**26)]
    stopped = threading.Event()
    answered = {"http": 0, "grpc": 0}

    def over_grpc(channel: grpc.Channel) -> None:
        while not stopped.is_set():
            getattr(kind.stub(channel), kind.rpc)(kind.request(picture), timeout=60)
            answered["grpc"] += 1

    def over_http() -> None:
        with httpx.Client(timeout=60) as client:
            while not stopped.is_set():
                _post(client, [draining, other], kind.path, picture)
                answered["http"] += 1

    # One call's own refusals on its way are seen nowhere; what raises here is a call that was lost.
    with (
        grpc.insecure_channel(f"ipv4:{draining.address},{other.address}", options) as channel,
        concurrent.futures.ThreadPoolExecutor(CALLS) as pool,
        grpc.insecure_channel(draining.address) as direct,
    ):
        health = health_pb2_grpc.HealthStub(direct)
        watched: list[int] = []

        def watch() -> None:
            try:
                watched.extend(message.status for message in health.Watch(health_pb2.HealthCheckRequest()))
            except grpc.RpcError:
                return

        watcher = threading.Thread(target=watch)
        watcher.start()
        calls = [pool.submit(over_grpc, channel) if index % 2 else pool.submit(over_http) for index in range(CALLS)]
        try:
            serving.until(
                lambda: min(answered.values()) >= CALLS, lambda: f"no load: {answered} {[c for c in calls if c.done()]}"
            )
            draining.signal("TERM")
            began = time.monotonic()
            serving.until(lambda: draining.readiness() == 503, lambda: "HTTP readiness was not taken back")
            status = draining.wait()
            seconds = time.monotonic() - began
            after = dict(answered)
            serving.until(
                lambda: min(answered[key] - after[key] for key in after) >= CALLS, lambda: "the other replica is alone"
            )
        finally:
            stopped.set()
        for call in calls:
            call.result()
        watcher.join()
    assert status == 0
    assert watched[:2] == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
    print(f"\ndrained in {seconds:.1f} s with {CALLS} callers; {sum(answered.values())} calls, none lost")


def _post(client: httpx.Client, pods: list[Pod], path: str, picture: bytes) -> None:
    """A call as a balancer with the documented policy makes it: refused or cut connections go to the next replica."""
    for attempt in range(5):
        for pod in pods:
            try:
                url = f"http://127.0.0.1:{pod.http_port}{path}"
                response = client.post(url, content=picture, headers={"content-type": "image/jpeg"})
            except httpx.TransportError:
                continue
            if response.status_code != 503:
                assert response.status_code == 200, response.text
                return
        time.sleep(0.5 * 2**attempt)
    raise AssertionError("no replica answered five attempts")
