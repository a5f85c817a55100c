"""Taking the cluster down: pods first, etcd last, all within a few seconds.

Law: only processes of this cluster are ended; the files of the run go, its logs stay.
"""

from __future__ import annotations

import time

from sluice_local import component, holding, mark
from sluice_local.control import Control
from sluice_local.errors import HolderError, LocalClusterError, NotRunningError
from sluice_local.layout import Layout
from sluice_local.progress import Reporter


def down(layout: Layout, report: Reporter) -> None:
    """Stop everything; nothing happens when nothing runs. The caller holds the checkout's lock.

    Raises:
        LocalClusterError: called from inside, or something does not end.
    """
    if mark.inside(layout.mark):
        raise LocalClusterError("this runs inside the cluster: run `down` from outside")
    begin = time.monotonic()
    control = Control(layout)
    if _answers(control, report):
        _stop_components(control, report)
        holding.end_holder(layout, control)
    else:
        left = holding.clean_leftovers(layout)
        report.say(f"no running cluster; ended {left} processes of an earlier one")
    holding.clear_state(layout)
    report.say(
        f"the cluster is down ({time.monotonic() - begin:.1f} s); logs stay in {layout.logs}"
    )


def _answers(control: Control, report: Reporter) -> bool:
    try:
        return control.running()
    except HolderError as error:
        report.say(f"  {error}")
        return False


def _stop_components(control: Control, report: Reporter) -> None:
    for names, grace_seconds in component.STOP_PHASES:
        with report.step(f"stop {', '.join(names)}"):
            try:
                killed = control.stop(names, grace_seconds)
            except (NotRunningError, HolderError):
                # The holder went away meanwhile, and everything with it.
                return
        if killed and killed != [component.API_SERVER]:
            report.say(f"  (killed after {grace_seconds:.1f} s: {', '.join(killed)})")
