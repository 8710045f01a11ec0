"""Every rendered object against the API's own schemas, strictly, at the oldest and the newest version we support."""

from __future__ import annotations

import functools
import json

import kubernetes_validate
import pytest

from tests.k8s import rendered

OLDEST, NEWEST = "1.29", "1.37"
# Kinds that come with an operator of the cluster's own; their required fields are held by test_rules.
FOREIGN = {"HTTPRoute", "GRPCRoute", "ServiceMonitor", "PrometheusRule", "ScaledObject"}


@functools.cache
def _validate(thing: str, version: str) -> None:
    """Once for each different object: most are the same in every overlay."""
    kubernetes_validate.validate(json.loads(thing), version, strict=True)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("what", rendered.EVERYTHING)
def test_objects_fit_the_schema(what: str, version: str) -> None:
    own = [thing for thing in rendered.objects(what) if thing["kind"] not in FOREIGN]
    assert own
    for thing in own:
        _validate(json.dumps(thing), version)


def test_a_field_the_api_does_not_have_is_found() -> None:
    deployment = dict(rendered.of_kind("overlays/local", "Deployment")[0])
    deployment["spec"] = {**deployment["spec"], "replica": 3}
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(deployment, NEWEST, strict=True)


@pytest.mark.parametrize("what", rendered.EVERYTHING)
def test_no_object_is_given_twice(what: str) -> None:
    keys = [(thing["apiVersion"], thing["kind"], rendered.name(thing)) for thing in rendered.objects(what)]
    assert len(keys) == len(set(keys))
