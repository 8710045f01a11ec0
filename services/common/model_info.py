"""The public part of a manifest, for ``GetModel`` and ``GET /v1/models/NAME`` of every service."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from protos.maquette.common.v1 import common_pb2
from services.common.models import GRAPH, Bundle


def message(bundle: Bundle) -> common_pb2.Model:
    """Manifest -> proto. The command, the seed and the files stay in the bundle."""
    manifest = bundle.manifest
    return common_pb2.Model(
        name=manifest.service,
        version=manifest.version,
        sha256=manifest.files[GRAPH],
        architecture=manifest.architecture,
        input=common_pb2.ModelInput(
            height=manifest.input.height,
            width=manifest.input.width,
            resize=manifest.input.resize.value,
            resize_rule=f"RESIZE_RULE_{manifest.input.resize.name}",
        ),
        labels=[
            common_pb2.Label(id=label.id, name=label.name, uri=label.uri, broader=label.broader) for label in manifest.labels
        ],
        clusters=len(manifest.details["clusters"]) if "clusters" in manifest.details else None,
        embedding_space=manifest.embedding_space,
        metrics=manifest.metrics,
        training_data=[
            common_pb2.TrainingData(name=data.name, items=data.items, licence=data.licence, note=data.note)
            for data in manifest.training_data
        ],
        licence=manifest.licence,
        intended_use=manifest.intended_use,
        not_for=manifest.not_for,
        created=manifest.created,
        create_time=_timestamp(manifest.created),
        provider=bundle.session.get_providers()[0],
        precision=bundle.precision,
    )


def _timestamp(created: str) -> Timestamp:
    """ISO 8601, UTC where it does not say -> a timestamp."""
    time = datetime.fromisoformat(created)
    stamp = Timestamp()
    stamp.FromDatetime(time if time.tzinfo else time.replace(tzinfo=UTC))
    return stamp
