"""One service as a Bento: built by the make target, served by `bentoml serve` from BentoML's store, asked both ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import httpx

from tests import serving

KIND = serving.KINDS["classify"]


def test_a_bento_answers_on_both_ports(tmp_path: Path) -> None:
    home = tmp_path / "bentoml"
    home.mkdir()
    ports = serving.free_ports(2)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAQUETTE_") and key != "PYTHONPATH"}
    environment |= {"BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "True", "MAQUETTE_THREADS": "1"}
    environment |= {"MAQUETTE_HTTP_PORT": str(ports[0]), "MAQUETTE_GRPC_PORT": str(ports[1])}
    # This environment is the one that the tests run in: nothing is installed anew.
    build = ["make", "--old-file", f"{sys.prefix}/.serve", f"VENV={sys.prefix}", "bento-classify"]
    subprocess.run(build, cwd=serving.ROOT, env=environment, check=True, capture_output=True)
    [bento] = (home / "bentos" / "maquette-classify").glob("*/bento.yaml")
    tag = f"maquette-classify:{bento.parent.name}"
    log = tmp_path / "log"
    with log.open("wb") as stream:
        served = subprocess.Popen(
            [f"{sys.prefix}/bin/bentoml", "serve", tag],
            cwd=tmp_path,
            env=environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", timeout=60) as client:

            def ready() -> bool:
                try:
                    return client.get("/readyz").status_code == httpx.codes.OK
                except httpx.TransportError:
                    return False

            serving.until(ready, lambda: log.read_text(errors="replace"), served)
            photograph = (serving.ROOT / "samples" / "statue.jpg").read_bytes()
            response = client.post(KIND.path, content=photograph, headers={"content-type": "image/jpeg"})
        with grpc.insecure_channel(f"127.0.0.1:{ports[1]}") as channel:
            message = KIND.stub(channel).Classify(KIND.request(photograph), timeout=60)
        answers = [serving.read(response), serving.as_dict(message)]
        for answer in answers:
            del answer["request_id"]
        assert serving.alike(*answers)
        assert answers[0]["predictions"][0]["label"] == "figure"
        served.terminate()
        assert served.wait(60) == 0
    finally:
        if served.poll() is None:
            os.killpg(served.pid, signal.SIGKILL)
            served.wait()
