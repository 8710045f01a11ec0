"""``python -m services``: all four from one command, and none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import psutil

from services.common import settings
from tests import tiny
from tests.serving import KINDS, ROOT, until

# A loopback address of its own, so that the default ports are free whatever else runs here.
HOST = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250 + 1}.1" if sys.platform == "linux" else "127.0.0.1"


def test_the_four_start_answer_and_end(bundles: Path, tmp_path: Path) -> None:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MAQUETTE_")}
    environment = inherited | {"MAQUETTE_MODELS": str(bundles), "MAQUETTE_HOST": HOST}
    with (tmp_path / "out").open("w+") as out, (tmp_path / "err").open("w+") as err:
        process = subprocess.Popen([sys.executable, "-m", "services"], cwd=ROOT, env=environment, stdout=out, stderr=err)
        try:
            until(lambda: printed(tmp_path).count("grpc") == 4, lambda: (tmp_path / "err").read_text(), process)
            lines = {line.split()[0]: line.split()[1:] for line in printed(tmp_path).splitlines() if " grpc " in line}
            assert set(lines) == set(KINDS)
            for name, (url, _, address) in lines.items():
                assert url == f"http://{HOST}:{settings.SERVICES[name].http}"
                assert address == f"{HOST}:{settings.SERVICES[name].grpc}"
                answer = httpx.post(url + KINDS[name].path, content=tiny.picture(), timeout=60)
                assert answer.status_code == httpx.codes.OK
                with grpc.insecure_channel(address) as channel:
                    stub = KINDS[name].stub(channel)
                    getattr(stub, KINDS[name].rpc)(KINDS[name].request(tiny.picture()), timeout=60)
            children = psutil.Process(process.pid).children(recursive=True)
            assert len(children) == 4
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, (tmp_path / "err").read_text()
            _, alive = psutil.wait_procs(children, timeout=10)
            assert alive == []
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in (tmp_path / "err").read_text()


def printed(folder: Path) -> str:
    return (folder / "out").read_text()
