"""Alerts and dashboard: they ask for metrics that the services have, fire when they should, and are explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY

from services.common import telemetry
from tests.k8s import rendered

METRIC = re.compile(r"\b(?:maquette|process)_[a-z_]+")
DASHBOARD = rendered.K8S / "components/grafana/maquette.json"


def rules() -> list[rendered.Object]:
    [group] = rendered.of_kind("components/prometheus", "PrometheusRule")[0]["spec"]["groups"]
    return list(group["rules"])


def known() -> set[str]:
    names = {sample for metric in REGISTRY.collect() for sample in (metric.name, *(s.name for s in metric.samples))}
    # Labelled metrics have no samples before their first call.
    for metric in vars(telemetry).values():
        for described in metric.describe() if hasattr(metric, "describe") else ():
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(described.type, [""])
            names |= {described.name + suffix for suffix in suffixes}
    return names


def test_rules_ask_for_metrics_that_exist() -> None:
    for rule in rules():
        asked = set(METRIC.findall(re.sub(r"\{[^}]*\}", "", rule["expr"])))
        assert asked and asked <= known(), rule["alert"]


def test_dashboard_asks_for_metrics_that_exist() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert panels
    for panel in panels:
        for target in panel["targets"]:
            asked = set(METRIC.findall(re.sub(r"\{[^}]*\}", "", target["expr"])))
            assert asked and asked <= known(), panel["title"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(places) == len(set(places))


def test_thresholds_are_those_of_the_manifests() -> None:
    text = {rule["alert"]: rule["expr"] for rule in rules()}
    for workload in rendered.of_kind("overlays/production", "Deployment"):
        [this] = rendered.pod(workload)["containers"]
        pixels = rendered.environment(this)["MAQUETTE_MEGAPIXELS_IN_FLIGHT"]["value"]
        assert f"* {pixels}e6" in text["MaquettePixelsHigh"]
        mebibytes = rendered.bytes_of(this["resources"]["limits"]["memory"]) // 2**20
        assert f"* {mebibytes} * 1024 * 1024" in text["MaquetteMemoryHigh"]


def test_every_alert_is_explained_and_tested() -> None:
    headings = re.findall(r"^#+ (\S+)$", (rendered.ROOT / "docs/operations.md").read_text(), re.M)
    tested = (Path(__file__).parent / "alerts.yaml").read_text()
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["alert"] in headings
        assert tested.count(f"alertname: {rule['alert']}\n") >= 1, "one case in which it fires"


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed; Debian's package `prometheus` has it")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rendered.of_kind("components/prometheus", "PrometheusRule")[0]["spec"]))
    shutil.copy(Path(__file__).parent / "alerts.yaml", tmp_path)
    for command in (["check", "rules", "rules.yaml"], ["test", "rules", "alerts.yaml"]):
        done = subprocess.run([promtool, *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
