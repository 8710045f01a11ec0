"""Runs in a pod of the cluster: classify calls through the client until told to stop, counted; exit 1 when one failed.

Arguments: SERVER CALLERS SECONDS. The picture comes on standard input.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from maquette import Client, MaquetteError


def main(server: str, callers: int, seconds: float) -> int:
    picture = sys.stdin.buffer.read()
    end = time.monotonic() + seconds
    failures: list[str] = []

    def call(client: Client) -> int:
        count = 0
        while time.monotonic() < end:
            try:
                client.classify(picture)
            except MaquetteError as error:
                failures.append(str(error))
            count += 1
        return count

    with Client(server) as client, ThreadPoolExecutor(callers) as pool:
        answered = sum(pool.map(call, [client] * callers))
    print(f"{answered} calls, {len(failures)} failed", *failures[:5], sep="\n", flush=True)
    return int(bool(failures) or answered == 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
