"""Our own rules over the rendered manifests: what no schema says and an outage would."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.testing
import yaml

from maquette.batch.job import app as shards_app
from protos.maquette.classify.v1 import classify_pb2
from protos.maquette.cluster_assign.v1 import cluster_assign_pb2
from protos.maquette.embed_latent.v1 import embed_latent_pb2
from protos.maquette.remove_background.v1 import remove_background_pb2
from services.common import grpc_server, lifecycle, models, settings
from tests.k8s import rendered
from tests.k8s.rendered import EVERYTHING, Object, bytes_of, environment, labels, name, of_kind, pod

# docs/operations.md, Sizing: what `make test-image` aims at when idle, a pixel in flight with the quarter above it, a message's
# headroom, and a pixel of the largest cut-out.
IDLE_BYTES, BYTES_A_PIXEL, HEADROOM, CUTOUT_PIXEL = 350 * 2**20, 7 * 5 / 4, 16 * 2**20, 11
DEPLOYED = [what for what in EVERYTHING if not what.startswith("jobs/")]
FULL_NAMES = {
    service: next(iter(module.DESCRIPTOR.services_by_name.values())).full_name
    for service, module in {
        "classify": classify_pb2,
        "cluster-assign": cluster_assign_pb2,
        "embed-latent": embed_latent_pb2,
        "remove-background": remove_background_pb2,
    }.items()
}


def container(workload: Object) -> Object:
    [only] = pod(workload)["containers"]
    return dict(only)


def service_of(workload: Object) -> str:
    return labels(workload)["app.kubernetes.io/name"]


def selects(selector: dict[str, str], found: dict[str, str]) -> bool:
    return bool(selector) and selector.items() <= found.items()


def selected(what: str, selector: dict[str, str]) -> list[str]:
    return [name(workload) for workload in of_kind(what, "Deployment") if selects(selector, labels(workload))]


@pytest.mark.parametrize("what", DEPLOYED)
def test_every_service_is_there(what: str) -> None:
    assert {service_of(workload) for workload in of_kind(what, "Deployment")} == set(rendered.SERVICES)


@pytest.mark.parametrize("what", DEPLOYED)
def test_selectors_match_exactly_one_workload(what: str) -> None:
    deployments = {name(workload): workload for workload in of_kind(what, "Deployment")}
    for workload in deployments.values():
        assert selected(what, workload["spec"]["selector"]["matchLabels"]) == [name(workload)]
        for constraint in pod(workload)["topologySpreadConstraints"]:
            assert selected(what, constraint["labelSelector"]["matchLabels"]) == [name(workload)]
    for thing in of_kind(what, "Service"):
        [target] = selected(what, thing["spec"]["selector"])
        assert target.rpartition("-")[0] == name(thing).rpartition("-")[0]
    covered: dict[str, set[str]] = {}
    for thing in of_kind(what, "PodDisruptionBudget"):
        [target] = selected(what, thing["spec"]["selector"]["matchLabels"])
        covered.setdefault(target, set()).add(thing["kind"])
    for thing in of_kind(what, "NetworkPolicy"):
        [target] = selected(what, thing["spec"]["podSelector"]["matchLabels"])
        covered.setdefault(target, set()).add(thing["kind"])
    assert covered == {key: {"PodDisruptionBudget", "NetworkPolicy"} for key in deployments}


@pytest.mark.parametrize("what", DEPLOYED)
def test_ports_are_those_the_service_listens_on(what: str) -> None:
    for workload in of_kind(what, "Deployment"):
        own = settings.SERVICES[rendered.SERVICES[service_of(workload)]]
        ports = {port["name"]: port["containerPort"] for port in container(workload)["ports"]}
        assert ports == own._asdict()
        assert not {"MAQUETTE_HTTP_PORT", "MAQUETTE_GRPC_PORT"} & environment(container(workload)).keys()
    for thing in of_kind(what, "Service"):
        [port] = thing["spec"]["ports"]
        own = settings.SERVICES[rendered.SERVICES[thing["metadata"]["labels"]["app.kubernetes.io/name"]]]
        assert port["name"] == port["targetPort"] == name(thing).rpartition("-")[2]
        # A client of a headless Service dials the pod itself: the two numbers must be one.
        assert port["port"] == own._asdict()[port["name"]]
        assert (thing["spec"].get("clusterIP") == "None") == (port["name"] == "grpc")
    for policy in of_kind(what, "NetworkPolicy"):
        assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == {"http", "grpc"}


@pytest.mark.parametrize("what", DEPLOYED)
def test_probes_ask_what_the_service_answers(what: str) -> None:
    for workload in of_kind(what, "Deployment"):
        this = container(workload)
        grpc_port = next(port["containerPort"] for port in this["ports"] if port["name"] == "grpc")
        secure = "MAQUETTE_TLS_KEY" in environment(this)
        for probe in (this["startupProbe"], this["readinessProbe"]):
            if secure:  # the kubelet's gRPC probe has no TLS
                assert probe["httpGet"] == {"path": "/readyz", "port": "http", "scheme": "HTTPS"}
            else:
                assert probe["grpc"]["port"] == grpc_port
        asked = this["livenessProbe"]["httpGet"]
        assert (asked["path"], asked["port"]) == ("/livez", "http")
        assert (asked.get("scheme") == "HTTPS") == secure
        # A pod busy with a queue of photographs is slow to answer, and must not be killed for it.
        patience = this["livenessProbe"]["periodSeconds"] * this["livenessProbe"]["failureThreshold"]
        assert patience >= float(environment(this)["MAQUETTE_TIMEOUT_SECONDS"]["value"])


# How long a name is remembered: by CoreDNS as kubeadm sets it up, and by a gRPC client that was told nothing else.
DNS_CACHE_SECONDS = GRPC_NAMES_SECONDS = 30


@pytest.mark.parametrize("what", DEPLOYED)
def test_grace_covers_pause_and_drain(what: str) -> None:
    """Also where both transports still have calls at the very end of the drain: they drain at the same time."""
    for workload in of_kind(what, "Deployment"):
        this = container(workload)
        env = environment(this)
        command = this["lifecycle"]["preStop"]["exec"]["command"]
        assert command[0] == "sleep"
        drain = float(env["MAQUETTE_DRAIN_SECONDS"]["value"])
        assert drain >= float(env["MAQUETTE_TIMEOUT_SECONDS"]["value"])
        pause = float(command[1])
        leaving = pause + lifecycle.NOTICE_SECONDS + drain + 2 * grpc_server.SETTLE_SECONDS
        assert pod(workload)["terminationGracePeriodSeconds"] >= leaving + 5
        # Nobody has the pod's address any more, or a connection to it, when its listeners are closed.
        age = 1.1 * float(env["MAQUETTE_CONNECTION_AGE_SECONDS"]["value"])
        assert pause >= DNS_CACHE_SECONDS + max(age, GRPC_NAMES_SECONDS) + 2
        # New pods are found within a minute.
        assert DNS_CACHE_SECONDS + age <= 60
        assert float(env["MAQUETTE_CONNECTION_GRACE_SECONDS"]["value"]) >= 300  # for streams


@pytest.mark.parametrize("what", DEPLOYED)
def test_threads_are_the_cpu_limit(what: str) -> None:
    for workload in of_kind(what, "Deployment"):
        this = container(workload)
        requests, limits = this["resources"]["requests"], this["resources"]["limits"]
        assert requests == limits  # Guaranteed
        assert re.fullmatch(r"[1-9]\d*", str(limits["cpu"])), "whole cores only"
        source = environment(this)["MAQUETTE_THREADS"]["valueFrom"]["resourceFieldRef"]
        assert (source["containerName"], source["resource"], source["divisor"]) == (this["name"], "limits.cpu", "1")


@pytest.mark.parametrize("what", DEPLOYED)
def test_memory_holds_the_pixels_and_bodies_it_is_allowed(what: str) -> None:
    for workload in of_kind(what, "Deployment"):
        this = container(workload)
        env = environment(this)
        values = {
            name: int(env[f"MAQUETTE_{name.upper()}"]["value"]) if f"MAQUETTE_{name.upper()}" in env else field.default
            for name, field in settings.Settings.model_fields.items()
            if name.startswith(("max_", "me"))
        }
        pixels = values["megapixels_in_flight"] * 1_000_000
        # A message is held twice: as it came, and as its fields.
        messages = 2 * values["mebibytes_in_flight"] * 2**20
        streams = 2 * values["max_streams"] * (values["max_mebibytes"] * 2**20 + HEADROOM)
        needed = IDLE_BYTES + messages + BYTES_A_PIXEL * pixels + streams
        assert bytes_of(this["resources"]["limits"]["memory"]) >= needed
        assert 7 * pixels >= CUTOUT_PIXEL * values["max_megapixels"] * 1_000_000


@pytest.mark.parametrize("what", DEPLOYED)
def test_environment_is_understood_by_the_service(what: str) -> None:
    known = {f"{settings.PREFIX}{field.upper()}" for field in settings.Settings.model_fields}
    for workload in of_kind(what, "Deployment"):
        env = environment(container(workload))
        assert env.keys() <= known
        plain = {key.removeprefix(settings.PREFIX).lower(): entry["value"] for key, entry in env.items() if "value" in entry}
        absent = {"models", "api_keys_file", "tls_certificate", "tls_key"}
        settings.Settings.model_validate({key: value for key, value in plain.items() if key not in absent})


@pytest.mark.parametrize("what", EVERYTHING)
def test_images_are_pinned(what: str) -> None:
    for workload in of_kind(what, "Deployment", "Job"):
        spec = pod(workload)
        for this in [*spec["containers"], *spec.get("initContainers", [])]:
            assert re.search(r"(:\d+\.\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})$", this["image"]), this["image"]


@pytest.mark.parametrize("what", EVERYTHING)
def test_pods_meet_the_restricted_standard(what: str) -> None:
    for workload in of_kind(what, "Deployment", "Job"):
        spec = pod(workload)
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert all({"emptyDir", "secret", "persistentVolumeClaim", "configMap"} & volume.keys() for volume in spec["volumes"])
        security = spec["securityContext"]
        assert security["runAsNonRoot"] and security["runAsUser"] >= 10_000 and security["runAsGroup"] >= 10_000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for this in [*spec["containers"], *spec.get("initContainers", [])]:
            assert this["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory", "ephemeral-storage"} <= this["resources"]["limits"].keys()
    for namespace in of_kind(what, "Namespace"):
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for account in of_kind(what, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("what", DEPLOYED)
def test_a_rollout_takes_no_pod_away_first(what: str) -> None:
    accounts = {name(thing) for thing in of_kind(what, "ServiceAccount")}
    for workload in of_kind(what, "Deployment"):
        assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        assert pod(workload)["serviceAccountName"] in accounts
        startup = container(workload)["startupProbe"]
        assert workload["spec"]["progressDeadlineSeconds"] > startup["periodSeconds"] * startup["failureThreshold"]
        assert {constraint["topologyKey"] for constraint in pod(workload)["topologySpreadConstraints"]} == {
            "kubernetes.io/hostname",
            "topology.kubernetes.io/zone",
        }


@pytest.mark.parametrize("what", DEPLOYED)
def test_each_workload_has_one_autoscaler_and_a_budget_that_fits(what: str) -> None:
    scaled: dict[str, int] = {}
    for thing in of_kind(what, "HorizontalPodAutoscaler", "ScaledObject"):
        spec = thing["spec"]
        target = spec["scaleTargetRef"]["name"]
        assert target not in scaled, "two autoscalers would fight over one Deployment"
        low, high = (spec.get(key, spec.get(f"{key[:3]}ReplicaCount")) for key in ("minReplicas", "maxReplicas"))
        assert 1 <= low < high
        scaled[target] = low
    for workload in of_kind(what, "Deployment"):
        assert "replicas" not in workload["spec"], "an apply would set back what the autoscaler chose"
    assert scaled.keys() == {name(workload) for workload in of_kind(what, "Deployment")}
    for budget in of_kind(what, "PodDisruptionBudget"):
        low = scaled[name(budget)]
        # A node can always be drained, and where there are two pods or more one always stays.
        assert budget["spec"]["maxUnavailable"] == 1 and "minAvailable" not in budget["spec"]
        assert low >= 2 or what == "overlays/local" or name(budget).startswith("next-")


@pytest.mark.parametrize("what", DEPLOYED)
def test_policies_let_callers_in_and_nothing_out(what: str) -> None:
    for policy in of_kind(what, "NetworkPolicy"):
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        assert not policy["spec"].get("egress")
        [rule] = policy["spec"]["ingress"]
        wanted = {"matchExpressions": [{"key": "maquette/client", "operator": "In", "values": ["true"]}]}
        assert rule["from"] == [{"podSelector": wanted}, {"namespaceSelector": wanted}]


def backends(route: Object) -> list[tuple[Any, Object]]:
    return [(rule["matches"], backend) for rule in route["spec"]["rules"] for backend in rule["backendRefs"]]


@pytest.mark.parametrize("what", ["components/gateway-api", "overlays/production", "overlays/canary"])
def test_routes_lead_to_ports_that_exist(what: str) -> None:
    ports = {name(thing): thing["spec"]["ports"][0]["port"] for thing in of_kind(what, "Service")}
    [http_route], [grpc_route] = of_kind(what, "HTTPRoute"), of_kind(what, "GRPCRoute")
    for _, backend in [*backends(http_route), *backends(grpc_route)]:
        assert ports[backend["name"]] == backend["port"]
    for matches, backend in backends(grpc_route):
        service = backend["name"].removeprefix("next-").removesuffix("-grpc")
        assert [match["method"]["service"] for match in matches] == [FULL_NAMES[service]]
    for matches, backend in backends(http_route):
        service = backend["name"].removeprefix("next-").removesuffix("-http")
        assert {match["path"]["type"] for match in matches} == {"Exact"}
        paths = {match["path"]["value"] for match in matches}
        assert f"/v1/models/{service}" in paths or paths == {f"/{service}/v1/model"}


def test_canary_splits_calls_between_two_versions() -> None:
    what = "overlays/canary"
    [http_route], [grpc_route] = of_kind(what, "HTTPRoute"), of_kind(what, "GRPCRoute")
    for route, suffix in ((http_route, "http"), (grpc_route, "grpc")):
        weights = {backend["name"]: backend.get("weight") for backend in route["spec"]["rules"][0]["backendRefs"]}
        assert weights == {f"classify-{suffix}": 90, f"next-classify-{suffix}": 10}
    images = {name(workload): container(workload)["image"] for workload in of_kind(what, "Deployment")}
    stable, following = images["classify-server"], images["next-classify-server"]
    assert stable.rpartition(":")[0] == following.rpartition(":")[0] and stable != following


def test_ingress_leads_to_the_services() -> None:
    what = "components/ingress-nginx"
    ports = {name(thing): thing["spec"]["ports"][0]["name"] for thing in of_kind(what, "Service")}
    paths = {}
    for ingress in of_kind(what, "Ingress"):
        for path in ingress["spec"]["rules"][0]["http"]["paths"]:
            target = path["backend"]["service"]
            assert ports[target["name"]] == target["port"]["name"]
            paths[path["path"]] = target["name"]
    for service, full_name in FULL_NAMES.items():
        assert paths[f"/v1/models/{service}"] == f"{service}-http"
        assert paths[f"/{full_name}/"] == f"{service}-grpc"


def test_model_version_is_one_variable_on_a_read_only_volume() -> None:
    for workload in of_kind("components/models-volume", "Deployment"):
        env = environment(container(workload))
        [mount] = [mount for mount in container(workload)["volumeMounts"] if mount["name"] == "models"]
        assert mount["readOnly"] and mount["mountPath"] == env["MAQUETTE_MODELS"]["value"]
        service = name(workload).removesuffix("-server").replace("-", "_")
        assert models.latest(rendered.ROOT / "exported_models", service).name == env["MAQUETTE_MODEL_VERSION"]["value"]
        assert workload["spec"]["revisionHistoryLimit"] >= 2  # what `kubectl rollout undo` goes back to


def test_production_wants_a_key() -> None:
    for workload in of_kind("overlays/production", "Deployment"):
        reference = environment(container(workload))["MAQUETTE_API_KEY"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": "maquette-api-key", "key": "api-key"}, "never optional: without it anyone may call"


def test_bulk_job_tells_each_pod_its_shard() -> None:
    [job] = of_kind("jobs/bulk", "Job")
    [collecting] = of_kind("jobs/bulk-collect", "Job")
    assert job["spec"]["completionMode"] == "Indexed"
    shards = str(job["spec"]["completions"])
    for one in (job, collecting):
        arguments = container(one)["args"]
        assert arguments[arguments.index("--shards") + 1] == shards
        # An image's entry point is the service; the client is beside it.
        assert container(one)["command"] == ["python", "-m", "maquette.batch.job"]
        claims = {v["persistentVolumeClaim"]["claimName"] for v in pod(one)["volumes"] if "persistentVolumeClaim" in v}
        assert claims == {name(claim) for claim in of_kind("jobs/bulk", "PersistentVolumeClaim")}
        assert pod(one)["serviceAccountName"] in {name(account) for account in of_kind("jobs/bulk", "ServiceAccount")}
        # What the services' network policies and the bulk's own ask for.
        assert labels(one)["maquette/client"] == "true"
        [policy] = of_kind("jobs/bulk", "NetworkPolicy")
        assert selects(policy["spec"]["podSelector"]["matchLabels"], labels(one))
    server = environment(container(job))["MAQUETTE_SERVER"]["value"]
    assert server in {name(thing) for thing in of_kind("overlays/production", "Service")}
    assert typer.testing.CliRunner().invoke(shards_app, [container(job)["args"][0], "--help"]).exit_code == 0


@pytest.mark.parametrize("service", settings.SERVICES)
def test_bentofile_takes_in_what_its_service_reads(service: str) -> None:
    content = yaml.safe_load((rendered.ROOT / "services" / service / "bentofile.yaml").read_text())
    module, _, attribute = content["service"].partition(":")
    assert module == f"services.{service}.service"
    assert f"class {attribute}:" in (rendered.ROOT / "services" / service / "service.py").read_text()
    taken = {
        path.relative_to(rendered.ROOT).as_posix() for pattern in content["include"] for path in rendered.ROOT.glob(pattern)
    }
    assert {f"services/{service}/service.py", "services/common/settings.py", "protos/maquette.binpb"} <= taken
    assert f"exported_models/{service}/*/*" in content["include"]
