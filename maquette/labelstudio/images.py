"""The pictures of tasks: from the one Label Studio that the settings name, or from one folder, and from nowhere else."""

from __future__ import annotations

import threading
import time
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from maquette.client.errors import MaquetteError, make

_LOCAL = "/data/local-files/"


class TaskImages:
    """Reads the bytes of a task's picture.

    ``url`` is Label Studio's own address and ``token`` a personal access token, or one of the older kind, of someone who may
    see the tasks. ``local_files`` is the folder that is Label Studio's ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT``: files in it
    are read there. The largest picture has ``most`` bytes, and may take ``seconds`` in all.
    """

    def __init__(self, url: str, token: str, local_files: Path | None, most: int, seconds: float) -> None:
        self._url, self._token, self._most, self._seconds = url.rstrip("/") + "/", token, most, seconds
        self._root = local_files.resolve() if local_files else None
        # No proxy of the environment and no redirect: both are other places than the one that is allowed.
        self._http = httpx.Client(timeout=httpx.Timeout(10.0), follow_redirects=False, trust_env=False)
        self._lock = threading.Lock()
        self._access, self._until = "", 0.0

    def close(self) -> None:
        self._http.close()

    def read(self, value: object) -> bytes:
        """The picture at a task's value, as ``/data/upload/1/a.jpg``. Raises :class:`MaquetteError`."""
        if not isinstance(value, str) or not value:
            raise make("IMAGE_MISSING", "The task has no picture where the labelling page looks for it.")
        try:
            parts, own = urlsplit(urljoin(self._url, value)), urlsplit(self._url)
        except ValueError as error:
            raise make("PARAMETER_INVALID", "The task's picture has no address that can be read.") from error
        if (parts.scheme, parts.netloc) != (own.scheme, own.netloc):
            detail = f"The task's picture is at {parts.scheme}://{parts.netloc}, and pictures are read from Label Studio alone"
            raise make("PARAMETER_INVALID", f"{detail}: import it there, or give its folder as local files.")
        if self._root and parts.path.endswith(_LOCAL):
            return self._from_folder(self._root, parse_qs(parts.query).get("d", [""])[0])
        return self._from_label_studio(parts.geturl())

    def _from_folder(self, root: Path, name: str) -> bytes:
        path = (root / PurePosixPath(name)).resolve()
        if not path.is_relative_to(root):
            raise make("PARAMETER_INVALID", "The task's picture lies outside the folder of --local-files.")
        try:
            with path.open("rb") as stream:
                if path.stat().st_size > self._most:
                    raise self._too_large()
                return stream.read(self._most)
        except OSError as error:
            raise make("FILE_UNREADABLE", f"The task's picture cannot be read: {error.strerror}.") from error

    def _from_label_studio(self, url: str) -> bytes:
        deadline, parts, size = time.monotonic() + self._seconds, [], 0
        try:
            with self._http.stream("GET", url, headers=self._authorization()) as response:
                if response.status_code != httpx.codes.OK:
                    raise make(
                        "FILE_UNREADABLE",
                        f"Label Studio answered {response.status_code} for the task's picture{_why(response)}.",
                    )
                for part in response.iter_bytes():
                    size += len(part)
                    if size > self._most:
                        raise self._too_large()
                    if time.monotonic() > deadline:
                        raise make(
                            "DEADLINE_EXCEEDED", f"Label Studio took longer than {self._seconds:g} s for the task's picture."
                        )
                    parts.append(part)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise make(
                "UNREACHABLE", f"Label Studio does not answer at {self._url}: {error or type(error).__name__}."
            ) from error
        return b"".join(parts)

    def _too_large(self) -> MaquetteError:
        return make("IMAGE_TOO_MANY_BYTES", f"The task's picture has more than {self._most // 2**20} MiB.")

    def _authorization(self) -> dict[str, str]:
        if not self._token:
            return {}
        if self._token.count(".") != 2:  # of the older kind
            return {"Authorization": f"Token {self._token}"}
        with self._lock:  # a personal access token buys tokens of five minutes
            if time.monotonic() > self._until:
                answer = self._http.post(urljoin(self._url, "api/token/refresh"), json={"refresh": self._token})
                if answer.status_code != httpx.codes.OK:
                    raise make("UNAUTHENTICATED", f"Label Studio does not take the token: it answered {answer.status_code}.")
                self._access, self._until = answer.json()["access"], time.monotonic() + 120
            return {"Authorization": f"Bearer {self._access}"}


def _why(response: httpx.Response) -> str:
    if response.is_redirect:
        return ", which leads elsewhere: pictures are read from Label Studio and its local files alone"
    if response.status_code in (401, 403, 404):
        return ": is there a token, MAQUETTE_LABEL_STUDIO_TOKEN, of someone who may see the project?"
    return ""
