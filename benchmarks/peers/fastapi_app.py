"""The peer that anyone writes in an afternoon: ``uvicorn --workers 2 benchmarks.peers.fastapi_app:app``."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, UploadFile

from benchmarks.peers.model import Model

app = FastAPI()
model = Model()


@app.post("/predict")
def predict(image: UploadFile) -> dict[str, Any]:
    return model.answer(image.file.read())
