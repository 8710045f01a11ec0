"""The local overlay on a real cluster: updates, evictions and mistakes, none of which a caller notices."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path

import pytest

from tests import serving, tiny
from tests.cluster.conftest import NAMESPACE, Cluster
from tests.k8s import rendered

DEPLOYMENT, CALLERS = "classify-server", 2
# From the moment that a pod is asked to leave: `preStop`, the drain, and some calls after it.
SECONDS = 180


def load(cluster: Cluster, name: str) -> None:
    """Start a pod that calls classify for a while in every way there is, under the same restrictions as the services."""
    [deployment] = [thing for thing in rendered.of_kind("overlays/local", "Deployment") if rendered.name(thing) == DEPLOYMENT]
    spec = rendered.pod(deployment)
    script = base64.b64encode((Path(__file__).parent / "load.py").read_bytes()).decode()
    picture = base64.b64encode(tiny.picture(1, (1200, 900), "JPEG")).decode()
    shell = (
        f"echo {script} | base64 -d > /tmp/load.py && "
        f"echo {picture} | base64 -d | "
        f"python /tmp/load.py classify-grpc:50051 classify-http:3001 --callers {CALLERS} --seconds {SECONDS}"
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"maquette/client": "true"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": spec["securityContext"],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "containers": [
                {
                    "name": "load",
                    "image": spec["containers"][0]["image"],
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sh", "-c", shell],
                    "securityContext": spec["containers"][0]["securityContext"],
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    "resources": {"requests": {"cpu": "250m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                }
            ],
        },
    }
    cluster.do("apply", "--filename", "-", stdin=json.dumps(pod))
    cluster.do("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


def no_call_failed(cluster: Cluster, name: str) -> None:
    serving.until(
        lambda: cluster.get("pod", name)["status"]["phase"] in ("Succeeded", "Failed"), lambda: f"{name} does not end"
    )
    said = cluster.do("logs", name, "--tail=1")
    print(f"\n{name}: {said}")
    failed = {kind: count for kind, count in json.loads(said).items() if count["failed"] or not count["calls"]}
    assert not failed
    assert cluster.get("pod", name)["status"]["phase"] == "Succeeded", said


def replicas(cluster: Cluster, count: int) -> None:
    patch = {"spec": {"minReplicas": count, "maxReplicas": count + 1}}
    cluster.do("patch", f"horizontalpodautoscaler/{DEPLOYMENT}", "--patch", json.dumps(patch))
    serving.until(
        lambda: len(cluster.running("classify")) >= count, lambda: f"fewer than {count} pods: {cluster.do('get', 'pods')}"
    )


def test_a_rolling_update_fails_no_call(cluster: Cluster) -> None:
    replicas(cluster, 3)
    before = set(cluster.running("classify"))
    load(cluster, "during-update")
    cluster.do("rollout", "restart", f"deployment/{DEPLOYMENT}")
    cluster.rolled_out(DEPLOYMENT)
    no_call_failed(cluster, "during-update")
    assert not before & set(cluster.running("classify"))


def test_deleted_pods_fail_no_call(cluster: Cluster) -> None:
    replicas(cluster, 3)
    load(cluster, "during-delete")
    for name in cluster.running("classify")[:2]:
        cluster.do("delete", "pod", name, "--wait=false")
        serving.until(lambda: len(cluster.running("classify")) >= 3, lambda: cluster.do("get", "pods"))
    no_call_failed(cluster, "during-delete")


def test_a_drained_node_fails_no_call(cluster: Cluster) -> None:
    nodes = [node["metadata"]["name"] for node in cluster.get("nodes")["items"] if not node["spec"].get("unschedulable")]
    if len(nodes) < 2:
        pytest.skip("the cluster has one node alone")
    replicas(cluster, 3)
    load(cluster, "during-drain")
    away = cluster.get("pod", "during-drain")["spec"]["nodeName"]
    node = next(name for name in nodes if name != away)
    words = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=240s")
    try:
        cluster.do("drain", node, "--pod-selector=app.kubernetes.io/name=classify", *words)
    finally:
        cluster.do("uncordon", node)
    no_call_failed(cluster, "during-drain")


def test_new_pods_are_found_by_open_connections(cluster: Cluster) -> None:
    """Within a minute of their start they answer a third of the calls, when there were as many before."""
    replicas(cluster, 2)
    before = set(cluster.running("classify"))
    load(cluster, "during-growth")
    replicas(cluster, 2 * len(before))
    new = set(cluster.running("classify")) - before

    def counts() -> tuple[int, int]:
        return sum(answered(cluster, pod) for pod in before), sum(answered(cluster, pod) for pod in new)

    time.sleep(60)  # what the aim allows
    first = counts()
    time.sleep(15)
    at_old, at_new = (now - was for now, was in zip(counts(), first, strict=True))
    no_call_failed(cluster, "during-growth")
    assert at_new >= (at_old + at_new) / 3


def answered(cluster: Cluster, pod: str) -> int:
    """The photographs that the pod has answered, by its own metrics."""
    script = "import urllib.request as u; print(u.urlopen('http://localhost:3001/metrics').read().decode())"
    text = cluster.do("exec", pod, "--", "python", "-c", script)
    return sum(int(float(count)) for count in re.findall(r'^maquette_items_total\{.*code="OK".* (\S+)$', text, re.M))


def test_an_eviction_against_the_budget_is_refused(cluster: Cluster) -> None:
    replicas(cluster, 3)
    load(cluster, "during-eviction")
    first, second, *_ = cluster.running("classify")
    outcomes = []
    for name in (first, second):
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": NAMESPACE}}
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        outcomes.append(cluster.run("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction)))
    assert outcomes[0].returncode == 0, outcomes[0].stderr
    assert outcomes[1].returncode != 0 and "disruption budget" in outcomes[1].stderr
    no_call_failed(cluster, "during-eviction")


def test_a_bad_image_leaves_the_old_pods_serving_and_is_rolled_back(cluster: Cluster) -> None:
    cluster.rolled_out(DEPLOYMENT)
    good = set(cluster.running("classify"))
    load(cluster, "during-mistake")
    cluster.do("set", "image", f"deployment/{DEPLOYMENT}", "server=localhost/maquette/classify:0.0.0-missing")

    def reasons() -> set[str]:
        pods = cluster.get("pods", "--selector", "app.kubernetes.io/name=classify")["items"]
        states = [s["state"] for pod in pods for s in pod["status"].get("containerStatuses", ())]
        return {state["waiting"]["reason"] for state in states if "waiting" in state}

    serving.until(lambda: reasons() & {"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}, lambda: str(reasons()))
    assert good <= set(cluster.running("classify"))
    cluster.do("rollout", "undo", f"deployment/{DEPLOYMENT}")
    cluster.rolled_out(DEPLOYMENT)
    assert good <= set(cluster.running("classify"))
    no_call_failed(cluster, "during-mistake")
