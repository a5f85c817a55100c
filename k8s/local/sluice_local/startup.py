"""Bringing the cluster up: step by step, each with a deadline and a line with its seconds.

Law: doing it twice does nothing the second time; a step that fails names the guilty component and
shows the end of its log.
"""

from __future__ import annotations

import os
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from sluice_local import addresses, component, furniture, holding
from sluice_local.build import Builder
from sluice_local.component import Programs
from sluice_local.control import Control
from sluice_local.errors import ComponentError
from sluice_local.layout import Layout
from sluice_local.logfile import last_lines
from sluice_local.namespaces import Plan
from sluice_local.progress import Reporter
from sluice_local.record import Record, read_record, write_record
from sluice_local.visitor import UnreachableError, Visitor

_LOG_LINES = 25
_POLL_SECONDS = 0.1


class Startup:
    """One `up` of one checkout; the caller holds the checkout's lock."""

    def __init__(self, layout: Layout, builder: Builder, report: Reporter) -> None:
        self._layout = layout
        self._builder = builder
        self._report = report
        self._control = Control(layout)
        self._visitor = Visitor(layout)

    def run(self) -> None:
        """Bring everything up and wait until it is usable.

        Raises:
            LocalClusterError: with the reason, the guilty component and its log.
        """
        begin = time.monotonic()
        if self._control.running() and not self._prepared():
            self._report.say("  an earlier `up` was interrupted early: starting anew")
            holding.end_holder(self._layout, self._control)
        if self._control.running():
            self._resume(Programs.of(self._builder.build()))
        else:
            # What this machine refuses must be said before a build of ten minutes, not after it.
            plan = holding.choose_plan()
            self._begin(plan, Programs.of(self._builder.build()))
        self._report.say(f"the cluster is up ({time.monotonic() - begin:.1f} s)")

    def start(self, name: str, programs: Programs) -> None:
        """Start one component and wait until it does its work."""
        with self._report.step(name):
            self._launch(name, component.command(name, programs, self._layout))
            self._await_ready(name)

    def _prepared(self) -> bool:
        known = self._control.components()
        return all(name in known and known[name].status == 0 for name in ("network", "pki"))

    def _begin(self, plan: Plan, programs: Programs) -> None:
        left = holding.clean_leftovers(self._layout)
        if left:
            self._report.say(f"  ended {left} processes that an earlier run had left")
        holding.fresh_state(self._layout)
        with self._report.step("namespaces"):
            holder = holding.start_holder(self._layout, plan)
            write_record(self._layout.record, Record(holder, self._builder.keys()))
        if not plan.pid:
            self._report.say("  (no fresh /proc here, so without a pid namespace)")
        link_programs(self._layout, programs)
        self._place_prometheus_config()
        # These come last: where both are done, all the files are there (see _prepared).
        with self._report.step("network and certificates"):
            self._finish("network", component.network_command(programs))
            self._finish("pki", component.pki_command(programs, self._layout))
        self._start_all(programs)
        self._furnish()

    def _start_all(self, programs: Programs) -> None:
        for name in (component.ETCD, component.API_SERVER):
            self.start(name, programs)
        rest = component.ORDER[2:]
        # These need only the API server: they start together and are waited for in turn.
        begin = time.monotonic()
        for name in rest:
            self._launch(name, component.command(name, programs, self._layout))
        for name in rest:
            with self._report.step(name, begin):
                self._await_ready(name)

    def _resume(self, programs: Programs) -> None:
        record = read_record(self._layout.record)
        if record is not None and record.binaries != self._builder.keys():
            self._report.say(
                "  it runs programs built from other sources: `down`, `up` takes these"
            )
        known = self._control.components()
        for name in component.ORDER:
            if name not in known or not known[name].running:
                self.start(name, programs)
            else:
                self._await_ready(name)
        self._furnish()

    def _furnish(self) -> None:
        with self._report.step("default service account, monitoring"):
            self._until(
                "the default service account",
                component.CONTROLLER_MANAGER,
                30.0,
                lambda: self._found("/api/v1/namespaces/default/serviceaccounts/default"),
            )
            for path, manifest in furniture.prometheus_objects():
                self._create(path, manifest)

    def _create(self, path: str, manifest: furniture.Manifest) -> None:
        def created() -> bool:
            status, body = self._visitor.api(path, "POST", manifest)
            # 409: it is there from an earlier `up`. 403, 404, 500: a namespace still being made.
            if status in {201, 409}:
                return True
            if status in {400, 422}:
                raise ComponentError(f"POST {path}: {status} {body}")
            return False

        self._until(f"creating {path}", component.API_SERVER, 20.0, created)

    def _launch(self, name: str, words: list[str]) -> None:
        env = component.component_environment(os.environ, self._layout)
        self._control.start(name, words, env, self._layout.log_of(name))

    def _finish(self, name: str, words: list[str]) -> None:
        self._launch(name, words)
        left = self._control.wait_ended([name], 30.0)
        if left or self._control.components()[name].status != 0:
            raise self._failure(name, "did not do its work")

    def _await_ready(self, name: str) -> None:
        checks: dict[str, tuple[float, Callable[[], bool]]] = {
            component.ETCD: (30.0, lambda: self._visitor.connects(addresses.ETCD_PORT)),
            component.API_SERVER: (90.0, lambda: self._found("/readyz")),
            component.PROCESS_NODE: (60.0, self._node_ready),
            component.PROMETHEUS: (30.0, lambda: self._answers("/-/ready")),
        }
        seconds, check = checks.get(name, (0.0, lambda: True))
        self._until("ready", name, seconds, check)

    def _found(self, path: str) -> bool:
        return self._visitor.api(path)[0] == 200

    def _answers(self, path: str) -> bool:
        return self._visitor.get(addresses.PROMETHEUS_URL + path)[0] == 200

    def _node_ready(self) -> bool:
        status, node = self._visitor.api(f"/api/v1/nodes/{addresses.NODE_NAME}")
        return status == 200 and node_is_ready(node)

    def _until(self, what: str, guilty: str, seconds: float, check: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                if check():
                    return
                reason = "not yet"
            except UnreachableError as error:
                reason = str(error)
            self._nobody_died(guilty)
            if time.monotonic() > end:
                raise self._failure(guilty, f"{what}: not within {seconds:.0f} s ({reason})")
            time.sleep(_POLL_SECONDS)

    def _nobody_died(self, suspect: str) -> None:
        known = self._control.components()
        # The one that we wait for first: its death is the news, the others' may follow from it.
        for name in (suspect, *component.ORDER):
            if name in known and not known[name].running:
                raise self._failure(name, known[name].verdict)

    def _failure(self, name: str, what: str) -> ComponentError:
        log = self._layout.log_of(name)
        lines = "\n".join(f"  | {line}" for line in last_lines(log, _LOG_LINES))
        return ComponentError(f"{name}: {what}\n{lines}\n  the whole log: {log}")

    def _place_prometheus_config(self) -> None:
        target = self._layout.prometheus_config
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(Path(__file__).resolve().parents[1] / "prometheus.yaml", target)


def node_is_ready(node: object) -> bool:
    """Whether a Node object (decoded JSON) has the condition Ready."""
    if not isinstance(node, dict):
        return False
    conditions = node.get("status", {}).get("conditions", [])
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def link_programs(layout: Layout, programs: Programs) -> None:
    """Fill the directory that goes on PATH."""
    layout.links.mkdir(exist_ok=True)
    for name in ("helm", "prometheus", "promtool"):
        link = layout.links / name
        link.unlink(missing_ok=True)
        link.symlink_to(getattr(programs, name))
    kubectl = layout.links / "kubectl"
    # The one binary of all Kubernetes parts takes the part's name as its first word.
    program = shlex.quote(str(programs.kubernetes))
    kubectl.write_text(f'#!/bin/sh\nexec {program} kubectl "$@"\n')
    kubectl.chmod(0o755)
