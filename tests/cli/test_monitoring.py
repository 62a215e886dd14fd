"""The files that watch it say what the code offers: metrics, labels, jobs, ports and a section for every alert."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from api.http import metrics as of_the_http_layer
from api.monitoring import metrics as of_the_api
from api.webhooks import metrics as of_the_receiver
from cli.installation import ROOT
from storage.gauges import Gauges
from workers import metrics as of_the_workers

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
SCRAPING = ROOT / "deploy" / "prometheus" / "prometheus.yaml"
DASHBOARD = ROOT / "deploy" / "grafana" / "trailgate.json"
RUNBOOK = ROOT / "docs" / "runbook.md"

PROMETHEUS_OWN = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""What Prometheus and its client add to every target."""
TARGET_LABELS = {"job", "instance", "le"}
SUFFIXES = {Counter: ("_total",), Gauge: ("",), Histogram: ("_bucket", "_count", "_sum")}


NEVER = timedelta()
CONDITION = of_the_api.Condition(Gauges(0, NEVER, 0, 0, NEVER, NEVER, 0, NEVER, 0, 0, NEVER, {}), {}, {})


def offered() -> dict[str, set[str]]:
    """Every series that a process can show, with its labels: those that are read, and those that are counted."""
    found = {family.name: set(family._labelnames) for family in of_the_api._Gauges(CONDITION, {}).collect()}
    for module in (of_the_http_layer, of_the_receiver, of_the_workers):
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                for suffix in SUFFIXES[type(metric)]:
                    found[metric._name + suffix] = set(metric._labelnames)
    return found


OFFERED = offered()


def rules() -> list[dict[str, Any]]:
    return [rule for group in YAML(typ="safe").load(ALERTS)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return json.loads(DASHBOARD.read_text())["panels"]


def queries() -> list[tuple[str, str]]:
    return [(rule["alert"], rule["expr"]) for rule in rules()] + [
        (panel["title"], target["expr"]) for panel in panels() for target in panel.get("targets", [])
    ]


NAMED = re.compile(r"\b(trailgate_\w+|up|process_\w+)\b(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\b(?:by|on) ?\(([^)]*)\)")


@pytest.mark.parametrize(("title", "query"), queries())
def test_every_series_and_label_that_is_asked_for_exists(title: str, query: str) -> None:
    named = NAMED.findall(query)
    assert named
    known: set[str] = set(TARGET_LABELS)
    for name, selectors in named:
        assert name in OFFERED.keys() | PROMETHEUS_OWN
        labels = OFFERED.get(name, set()) | TARGET_LABELS
        assert set(re.findall(r"(\w+)=?[=~]", selectors)) <= labels
        known |= labels
    for group in GROUPED.findall(query):
        assert {label.strip() for label in group.split(",")} <= known
    assert query.count("(") == query.count(")")
    counters = [name for name, _ in named if name.endswith(("_total", "_bucket"))]
    assert len(counters) == len(re.findall(r"(?:rate|increase)\((?:trailgate|process)_\w+", query))


def test_every_number_of_ours_is_on_the_dashboard() -> None:
    shown = {name for _, query in queries() for name, _ in NAMED.findall(query)}
    unseen = {name for name in OFFERED if not name.endswith(("_count", "_sum"))} - shown
    assert unseen == set()


def test_alerts_are_whole_and_named_once() -> None:
    alerts = rules()
    assert len({rule["alert"] for rule in alerts}) == len(alerts) >= 10
    for rule in alerts:
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[mh]", rule["for"])
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        if re.match(r"(max|min|sum|absent)\(", rule["expr"]):  # nothing is left of the labels
            assert "$labels" not in rule["annotations"]["summary"]


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    sections = re.findall(r"^## (Trailgate\w+)$", RUNBOOK.read_text(), re.MULTILINE)
    assert [rule["alert"] for rule in rules()] == sections
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("section", re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[2:])
def test_every_section_says_what_it_means_how_to_look_and_what_to_do(section: str) -> None:
    assert [word for word in ("**Means**", "**Look**", "**Do**") if word in section] == [
        "**Means**",
        "**Look**",
        "**Do**",
    ]


def test_what_the_runbook_links_to_exists() -> None:
    text = RUNBOOK.read_text()
    anchors = {f"#{heading.lower().replace(' ', '-')}" for heading in re.findall(r"^## (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert target in anchors or (RUNBOOK.parent / target).exists(), target
    for path in re.findall(r"`(deploy/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


def test_the_commands_and_settings_of_the_runbook_exist(trailgate) -> None:
    text = re.sub(r"\s+", " ", RUNBOOK.read_text())
    settings = set(re.findall(r"TRAILGATE_\w+", trailgate("settings").out))
    assert set(re.findall(r"TRAILGATE_\w+", text)) <= settings
    commands = set(re.findall(r"`trailgate ((?:inbox|outbox) \w+|\w+)", text))
    assert {"doctor", "inbox dead", "outbox dead", "outbox replay"} <= commands
    for command in commands:
        assert trailgate(*command.split(), "--help").status == 0, command


def test_the_jobs_that_alerts_go_by_are_scraped() -> None:
    scraping = YAML(typ="safe").load(SCRAPING)
    jobs = {job["job_name"] for job in scraping["scrape_configs"]}
    named = {
        job
        for _, query in queries()
        for selector in re.findall(r'job=~?"([^"]+)"', query)
        for job in selector.split("|")
    }
    assert named == jobs
    assert [(SCRAPING.parent / name).exists() for name in scraping["rule_files"]] == [True]


def test_compose_and_prometheus_agree_on_the_port_of_the_workers() -> None:
    compose = YAML(typ="safe").load(ROOT / "compose.yaml")
    port = compose["services"]["worker"]["environment"]["TRAILGATE_WORKER_METRICS_PORT"]
    assert compose["services"]["worker"]["expose"] == [port]
    assert "ports" not in compose["services"]["worker"]
    assert f'["127.0.0.1:{port}"]' in SCRAPING.read_text()
    assert f"port: {port}" in SCRAPING.read_text()


def test_the_dashboard_is_whole() -> None:
    board = json.loads(DASHBOARD.read_text())
    rows = [panel["title"] for panel in panels() if panel["type"] == "row"]
    assert {"Webhook receiver", "Inbox and drain", "Ledger", "Outbox and relay", "Sweeps", "API"} <= set(rows)
    assert [variable["type"] for variable in board["templating"]["list"]] == ["datasource"]
    assert len({panel["id"] for panel in panels()}) == len(panels())
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
