"""Callers that ask classify again and again through `maquette.Client`, until standard input ends: SERVER CALLERS TIMEOUT.

A process of its own, so that it can run inside a network namespace. It prints a line a call: the caller's number and ``OK`` or
the error's code.
"""

from __future__ import annotations

import sys
import threading

from maquette import Client, MaquetteError
from tests import tiny


def main(server: str, callers: int, timeout: float) -> None:
    picture = tiny.picture(1, (640, 480), "JPEG")
    stopped = threading.Event()

    def call(client: Client, number: int) -> None:
        while not stopped.is_set():
            try:
                client.classify(picture)
                outcome = "OK"
            except MaquetteError as error:
                outcome = error.code
            sys.stdout.write(f"{number} {outcome}\n")
            sys.stdout.flush()

    with Client(server, timeout=timeout) as client:
        threads = [threading.Thread(target=call, args=(client, number)) for number in range(callers)]
        for thread in threads:
            thread.start()
        sys.stdin.read()
        stopped.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
