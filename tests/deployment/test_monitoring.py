"""Alerts and dashboard, evaluated by a real Prometheus on the metrics of a service that has had traffic."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.deploy import ROOT
from stack import packages
from stack.process import Server, free_port
from stack.servers import Servers
from tests.http.support import Service, Shop, hold_request, refund_request
from tests.support import PATIENCE_S, Session, eventually, group_of_one

FOLDER = ROOT / "deployment" / "prometheus"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((ROOT / "deployment" / "grafana" / "checkout.json").read_text())
VARIABLES = {"$__rate_interval": "1m", '"$instance"': '".*"'}
SELECTOR = re.compile(r"\b(?:checkout_\w+|up)\b(?:\{[^}]*\})?")


def program(name: str) -> list[str]:
    """The command of a program of Prometheus: on PATH, else Debian's."""
    found = shutil.which(name)
    return [found] if found else packages.command(("prometheus",), f"usr/bin/{name}")


def expressions() -> dict[str, str]:
    """Every expression of the alerts and the dashboard, by the name of its alert or panel."""
    found = {alert["alert"]: alert["expr"] for alert in ALERTS}
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            found[f"{panel['title']}, {target['refId']}"] = expression
    return found


EXPRESSIONS = expressions()


class Prometheus(Server):
    """A private Prometheus that scrapes one service five times per second."""

    def __init__(self, folder: Path, service_url: str) -> None:
        """Write the project's configuration with this target and a shorter interval."""
        self.url = f"http://127.0.0.1:{free_port()}"
        settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        settings["global"] = {"scrape_interval": "200ms", "evaluation_interval": "200ms"}
        settings["rule_files"] = [str(FOLDER / "alerts.yml")]
        settings["scrape_configs"][0]["static_configs"] = [{"targets": [service_url.removeprefix("http://")]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        command = [
            *program("prometheus"),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        super().__init__("Prometheus", command, folder, log=folder / "log")

    def answers(self) -> bool:
        """Whether it has scraped the service at least twice, as a rate needs."""
        try:
            if httpx.get(f"{self.url}/-/ready", timeout=PATIENCE_S, trust_env=False).status_code != 200:
                return False
        except httpx.TransportError:
            return False
        return bool(self.query("count_over_time(checkout_mysql_up[1m]) >= 2"))

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an API response."""
        address = f"{self.url}/api/v1/{path}"
        document = httpx.get(address, params=parameters, timeout=PATIENCE_S, trust_env=False).json()
        assert document.get("status", "success") == "success", document
        return document["data"]

    def query(self, expression: str) -> list[Any]:
        """The current series of an expression."""
        return list(self.get("query", query=expression)["result"])


@pytest.fixture(scope="module")
def busy_service(start_service: Callable[..., Service], servers: Servers, database_url: str) -> Iterator[Service]:
    """A service that has sold, refused, been paid, refunded, lost Redis, waited for a lock and given up.

    Its MySQL is the only member of a group, so that every metric has its series.
    """
    with group_of_one(database_url):
        service = start_service(REQUEST_DEADLINE_S="3")
        keep_busy(service, servers, database_url)
        yield service


def keep_busy(service: Service, servers: Servers, database_url: str) -> None:
    """Cause every event that the service counts."""
    session, dba = Session(database_url), Session(database_url)
    product_id = session.create_product(stock=10)
    with service.client() as client:
        shop = Shop(client)
        for number in range(3):
            order_id = shop.ordered(product_id)
            shop.pay(f"payment {number}", order_id)
        assert client.request(**refund_request(order_id)).status_code == 201
        assert client.request(**hold_request(product_id, 100)).status_code == 409
        shop.available(product_id)
        shop.available(product_id)
        servers.redis.pause()
        shop.available(product_id)
        servers.redis.resume()
        dba.execute("START TRANSACTION")
        dba.query("SELECT 1 FROM stock WHERE product_id = %s FOR UPDATE", product_id)
        assert client.request(**hold_request(product_id)).status_code == 503
        eventually(lambda: service.events("call_retry"))
        dba.execute("ROLLBACK")
    session.call_all("record_stock_check", 0)
    session.call("create_event_receiver", "https://shop.example/events", None)
    session.close()
    dba.close()


@pytest.fixture(scope="module")
def prometheus(busy_service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped the service."""
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), busy_service.url)
    server.start()
    yield server
    server.stop()


def promtool(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool in the folder of the alerts."""
    return subprocess.run([*program("promtool"), *arguments], cwd=FOLDER, input=given, capture_output=True, text=True)


def test_promtool_accepts_the_settings_and_the_alerts() -> None:
    checked = promtool("check", "config", "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(ALERTS)} rules found" in checked.stdout


def test_every_alert_fires_on_its_own_cause_and_none_on_a_healthy_service() -> None:
    cases = Path(__file__).with_name("alerts.yml")
    tested = promtool("test", "rules", str(cases))
    assert tested.returncode == 0, tested.stdout + tested.stderr
    named = [case["name"] for case in yaml.safe_load(cases.read_text())["tests"]]
    assert named[1:] == [alert["alert"] for alert in ALERTS]


def test_promtool_accepts_the_metrics(busy_service: Service) -> None:
    with busy_service.client() as client:
        checked = promtool("check", "metrics", given=client.get("/metrics").text)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_every_expression_is_valid_and_finds_its_series(prometheus: Prometheus, place: str) -> None:
    expression = EXPRESSIONS[place]
    prometheus.query(expression)
    selectors = SELECTOR.findall(expression)
    assert selectors
    for selector in selectors:
        assert prometheus.query(selector), f"{selector} finds nothing"


def test_every_label_in_an_expression_or_a_text_exists(prometheus: Prometheus) -> None:
    named = {
        label
        for expression in EXPRESSIONS.values()
        for labels in re.findall(r"\bby \(([\w, ]+)\)", expression)
        for label in labels.split(", ")
    }
    texts = " ".join(str(alert["annotations"]) for alert in ALERTS) + json.dumps(DASHBOARD["panels"])
    named |= set(re.findall(r"\$labels\.(\w+)", texts)) | set(re.findall(r"\{\{(\w+)\}\}", texts))
    assert named <= set(prometheus.get("labels"))


def test_every_metric_of_the_service_is_used_by_an_alert_or_a_panel(prometheus: Prometheus) -> None:
    told = {name for name in prometheus.get("label/__name__/values") if name.startswith("checkout_")}
    parts = re.compile(r"_(bucket|sum|count)$")
    watched = {parts.sub("", name) for name in re.findall(r"\bcheckout_\w+", " ".join(EXPRESSIONS.values()))}
    assert {parts.sub("", name) for name in told} == watched


def test_a_healthy_service_fires_no_alert_that_pages(prometheus: Prometheus) -> None:
    quiet = {"CheckoutDown", "CheckoutMysqlDown", "CheckoutStockDiffers", "CheckoutSweepLags", "CheckoutQueueFull"}
    firing = {alert["labels"]["alertname"] for alert in prometheus.get("alerts")["alerts"]}
    assert not firing & quiet


def test_every_alert_has_a_summary_a_description_a_runbook_and_a_severity() -> None:
    for alert in ALERTS:
        assert set(alert["annotations"]) == {"summary", "description", "runbook"}
        assert alert["annotations"]["runbook"] == f"docs/runbook.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in {"page", "ticket"}


def test_the_dashboard_s_panels_are_numbered_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
