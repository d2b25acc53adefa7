"""What is deployed by: compose, the chart and the unit say what the gateway knows, and are safe as they come.

No engine is asked: the files are parsed. ``helm`` lints and renders the chart, and ``tests/chart.py``, which knows
the part of the template language that the chart uses, renders the same without it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from chart import TemplateError, parse, render_chart
from dragoman import __version__
from dragoman.config.load import known_names
from dragoman.config.settings import Settings, check_serving

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "dragoman"
UNIT = (ROOT / "deploy" / "systemd" / "dragoman.service").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
RECIPE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
EVERYTHING = {
    "config": "format = 1\n[aliases]\nfast = 'groq/llama-3.3-70b-versatile'\n",
    "ingress": {"enabled": True, "className": "nginx", "tlsSecretName": "tls"},
    "autoscaling": {"enabled": True},
    "podAnnotations": {"a/b": "c"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "service": {"annotations": {"x": "why"}},
}

# --------------------------------------------------------------------------- the image


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in RECIPE.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


@pytest.mark.req("R-DEV-007", "R-SEC-004")
def test_the_recipe_keeps_to_the_rules_of_good_images():
    told = instructions()
    words = [word for word, _ in told]
    assert set(words) <= {
        *("FROM", "WORKDIR", "RUN", "COPY", "USER", "VOLUME", "ENV", "EXPOSE", "HEALTHCHECK"),
        *("ENTRYPOINT", "CMD"),
    }
    bases = [said.split(" AS ")[0] for word, said in told if word == "FROM"]
    assert all(":" in base and not base.endswith(":latest") for base in bases)
    assert all(base.endswith("-slim") for base in bases)
    run = " ".join(said for word, said in told if word == "RUN")
    for forbidden in ("sudo", "curl", "wget", "apt-get install", "chmod 777", "--trusted-host"):
        assert forbidden not in run
    for pip in re.findall(r"pip install[^&]*", run):
        assert "--no-cache-dir" in pip
        assert "--require-hashes" in pip or "--no-deps" in pip
    assert [said for word, said in told if word == "USER"][-1] not in {"root", "0"}
    assert words.index("USER") < words.index("ENTRYPOINT")
    for word, said in told:
        if word in {"ENTRYPOINT", "CMD"}:
            assert json.loads(said), "in exec form: a shell would keep the signals"
        if word == "ENV":
            assert not re.search(r"KEY|SECRET|PASSWORD|TOKEN|DATABASE_URL", said)
    assert sum(word == "HEALTHCHECK" for word in words) == 1


# --------------------------------------------------------------------------- compose

_SERVICE = {
    *("build", "image", "environment", "env_file", "ports", "volumes", "depends_on", "restart"),
    *("stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt", "healthcheck"),
    *("command", "user"),
}
"""Of the members that the compose specification has, those that we mean to use."""


@pytest.mark.req("R-DEV-007")
def test_compose_says_only_what_the_specification_has():
    assert set(COMPOSE) == {"services", "volumes"}
    assert set(COMPOSE["services"]) == {"dragoman", "postgres", "redis"}
    for name, service in COMPOSE["services"].items():
        assert set(service) <= _SERVICE, name
        assert ("build" in service) != ("image" in service), name
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in COMPOSE["volumes"], name
    used = {v.split(":")[0] for s in COMPOSE["services"].values() for v in s.get("volumes", ())}
    assert used == set(COMPOSE["volumes"])


def test_compose_waits_for_stores_that_say_that_they_are_healthy():
    gateway = COMPOSE["services"]["dragoman"]
    assert set(gateway["depends_on"]) == {"postgres", "redis"}
    for name, how in gateway["depends_on"].items():
        assert how == {"condition": "service_healthy"}
        probe = COMPOSE["services"][name]["healthcheck"]
        assert probe["test"][0] == "CMD"
        assert {"interval", "timeout", "retries"} <= set(probe)
    assert any(word == "HEALTHCHECK" for word, _ in instructions())


@pytest.mark.req("R-SEC-004")
def test_compose_publishes_the_gateway_to_this_machine_alone_and_the_stores_to_nobody():
    published = {name: s.get("ports", []) for name, s in COMPOSE["services"].items()}
    assert published == {"dragoman": ["127.0.0.1:8080:8080"], "postgres": [], "redis": []}
    for name, service in COMPOSE["services"].items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged")
    assert COMPOSE["services"]["dragoman"]["read_only"] is True


def filled(text: str, said: dict[str, str]) -> str:
    """``${NAME:-default}`` as compose fills it in, inner ones first."""
    inner = re.compile(r"\$\{([A-Z_]+):-((?:[^{}$])*)\}")
    while inner.search(text):
        text = inner.sub(lambda found: said.get(found[1]) or found[2], text)
    return text


def test_compose_names_settings_that_there_are_and_stores_that_it_starts(monkeypatch):
    services = COMPOSE["services"]
    environment = services["dragoman"]["environment"]
    assert set(environment) <= known_names()
    for name, value in environment.items():
        monkeypatch.setenv(name, filled(value, {}))
    settings = Settings()
    assert settings.mode == "local"
    store = {n: filled(v, {}) for n, v in services["postgres"]["environment"].items()}
    user, password, base = (store[f"POSTGRES_{n}"] for n in ("USER", "PASSWORD", "DB"))
    assert settings.database_url == f"postgresql://{user}:{password}@postgres:5432/{base}"
    assert settings.redis_url is not None
    assert settings.redis_url.get_secret_value().startswith("redis://redis:6379/")
    said = {"POSTGRES_PASSWORD": "other"}
    assert "dragoman:other@" in filled(environment["DATABASE_URL"], said)
    assert filled(environment["DATABASE_URL"], {"DATABASE_URL": "sqlite:///x"}) == "sqlite:///x"


# --------------------------------------------------------------------------- the chart


def rendered(values: dict) -> dict[str, dict]:
    documents = [each for found in render_chart(CHART, "gw", values).values() for each in found]
    found = {document["kind"]: document for document in documents}
    assert len(found) == len(documents)
    return found


def test_the_chart_is_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["apiVersion"] == "v2"
    assert chart["appVersion"] == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])


def test_as_it_comes_it_makes_what_replicas_need():
    assert set(rendered({})) == {"Deployment", "Service", "PodDisruptionBudget"}
    whole = rendered(EVERYTHING)
    assert set(whole) == {
        *("Deployment", "Service", "PodDisruptionBudget", "Ingress", "ConfigMap"),
        "HorizontalPodAutoscaler",
    }
    assert rendered({"podDisruptionBudget": {"enabled": False}}).keys() == {
        "Deployment",
        "Service",
    }


@pytest.mark.parametrize("values", [{}, EVERYTHING])
def test_what_names_another_object_names_one_that_is_there(values):
    found = rendered(values)
    deployment = found["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert found["Service"]["spec"]["selector"].items() <= labels.items()
    budget = found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]
    assert budget.items() <= labels.items()
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert found["Service"]["spec"]["ports"][0]["targetPort"] in ports
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}
    if values:
        assert "replicas" not in deployment["spec"], "the autoscaler says how many"
        target = found["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
        assert target["name"] == deployment["metadata"]["name"]
        (rule,) = found["Ingress"]["spec"]["rules"]
        backend = rule["http"]["paths"][0]["backend"]["service"]
        assert backend["name"] == found["Service"]["metadata"]["name"]
        assert found["Ingress"]["spec"]["tls"][0]["hosts"] == [rule["host"]]
        text = found["ConfigMap"]["data"]["dragoman.toml"]
        assert tomllib.loads(text) == tomllib.loads(EVERYTHING["config"])
    else:
        assert deployment["spec"]["replicas"] == 2


@pytest.mark.req("R-SEC-004")
@pytest.mark.parametrize("values", [{}, EVERYTHING])
def test_its_pods_have_no_rights_and_no_secret_of_their_own(values):
    pod = rendered(values)["Deployment"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    uid = re.search(r"useradd .*--uid (\d+)", RECIPE)
    assert uid is not None
    assert pod["securityContext"]["runAsUser"] == int(uid[1])
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    names = {entry["name"] for entry in container["env"]}
    secret = {name for name in names if re.search(r"KEY|SECRET|PASSWORD|URL$", name)}
    assert secret == set()
    assert container["envFrom"] == [{"secretRef": {"name": "dragoman"}}]


@pytest.mark.req("R-SEC-002", "R-ENV-001")
def test_its_settings_are_ours_and_with_the_secret_production_starts(monkeypatch):
    (container,) = rendered(EVERYTHING)["Deployment"]["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert set(environment) <= known_names()
    assert all(isinstance(value, str) for value in environment.values())
    for name, value in {
        **environment,
        "DATABASE_URL": "postgresql://db/dragoman",
        "FERNET_KEY": "k",
    }.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    check_serving(settings)
    assert settings.mode == "prod"
    assert settings.port == container["ports"][0]["containerPort"]


def test_its_pods_are_told_apart_by_their_probes_and_end_in_peace():
    pod = rendered({})["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    paths = {n: container[f"{n}Probe"]["httpGet"]["path"] for n in ("liveness", "readiness")}
    assert paths == {"liveness": "/health", "readiness": "/ready"}
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    delay, drain = (float(environment[n]) for n in ("DRAIN_DELAY_S", "DRAIN_TIMEOUT_S"))
    readiness = container["readinessProbe"]
    assert delay > readiness["periodSeconds"] * readiness["failureThreshold"]
    assert pod["terminationGracePeriodSeconds"] > delay + drain
    rolling = rendered({})["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_changed_file_begins_a_rollout():
    def annotations(config: str) -> dict:
        values = {"config": config}
        return rendered(values)["Deployment"]["spec"]["template"]["metadata"]["annotations"]

    assert annotations("format = 1\n") != annotations("")


def test_every_value_is_used_and_every_used_value_is_said():
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    text = "".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir())
    for name in values:
        assert re.search(rf"\.Values\.{name}\b", text), name


def test_the_small_renderer_refuses_what_it_does_not_know(tmp_path):
    folder = tmp_path / "chart"
    shutil.copytree(CHART, folder)
    (folder / "templates" / "odd.yaml").write_text("a: {{ lookup .Values.image }}\n")
    with pytest.raises((TemplateError, ValueError)):
        render_chart(folder, "gw", {})
    (folder / "templates" / "odd.yaml").write_text("a: {{ .Values.nowhere }}\n")
    with pytest.raises(TemplateError, match="nowhere"):
        render_chart(folder, "gw", {})
    with pytest.raises(TemplateError, match="not closed"):
        parse("{{ if .Values.a }}x", {})


@pytest.mark.parametrize("values", [{}, EVERYTHING])
def test_helm_lints_it_and_renders_the_same(values, tmp_path):
    # It comes with what developing needs; the environment's programs are not on every path.
    beside = Path(sys.executable).parent / "helm"
    helm = str(beside) if beside.exists() else shutil.which("helm")
    if helm is None:
        had = (sys.platform, platform.machine()) == ("linux", "x86_64")  # as requirements-dev.txt
        assert not (had and os.environ.get("CI")), "helm is missing, though `make ci` installs it"
        pytest.skip("helm is not installed, and is not had by `make ci` on this machine")
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values), encoding="utf-8")
    subprocess.run([helm, "lint", "--strict", str(CHART), "-f", str(file)], check=True, timeout=60)
    done = subprocess.run(
        [helm, "template", "gw", str(CHART), "-f", str(file)],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    theirs = {each["kind"]: each for each in yaml.safe_load_all(done.stdout) if each}
    ours = rendered(values)
    for found in (theirs, ours):
        # The sum is of a text that two writers of YAML may break differently.
        found["Deployment"]["spec"]["template"]["metadata"]["annotations"].pop("checksum/settings")
    assert theirs == ours


# --------------------------------------------------------------------------- the unit


def unit() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.splitlines():
        name, mark, value = line.partition("=")
        if mark and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.req("R-SEC-004")
def test_the_unit_has_no_rights_and_knows_no_secret():
    said = unit()
    for name in (
        *(
            "NoNewPrivileges",
            "PrivateTmp",
            "PrivateDevices",
            "ProtectHome",
            "ProtectKernelTunables",
        ),
        *("ProtectKernelModules", "ProtectControlGroups", "RestrictNamespaces", "LockPersonality"),
        *("RestrictSUIDSGID", "RestrictRealtime", "DynamicUser"),
    ):
        assert said[name] == ["yes"], name
    assert said["ProtectSystem"] == ["strict"]
    assert said["CapabilityBoundingSet"] == [""]
    assert said["UMask"] == ["0077"]
    names = {value.split("=")[0] for value in said["Environment"]}
    assert names <= known_names()
    assert not [name for name in names if re.search(r"KEY|SECRET|PASSWORD", name)]


def test_the_unit_waits_for_streams_and_reloads_by_a_hang_up():
    said = unit()
    patience = int(said["TimeoutStopSec"][0].removesuffix("s"))
    assert patience > Settings().drain_timeout_s + Settings().drain_delay_s
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert said["KillMode"] == ["mixed"]
    assert said["ExecStart"][0].endswith("dragoman serve")
    assert said["RestartPreventExitStatus"] == ["2"], "a wrong configuration stays wrong"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_knows_every_line_of_the_unit(tmp_path):
    there = tmp_path / "dragoman.service"
    # What it starts is not installed here, which is the one thing that may be found fault with.
    there.write_text(
        UNIT.replace("/opt/dragoman/bin/dragoman serve", "/bin/true"), encoding="utf-8"
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(there)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
