"""The end: before and after, the figures with their targets, and how to look further."""

from demo.play import NAME, NAMESPACE, Moment, Play
from demo.stage import USER


def compare(play: Play) -> None:
    """Show the table before/after and note the totals."""
    assert play.before is not None
    assert play.after is not None
    with play.stage.step("Before and after"):
        rows = [
            (name, each(play.before), each(play.after))
            for name, each in (
                ("images/s", lambda m: f"{m.figures.images_per_second:.1f}"),
                ("p95 of a request, s", lambda m: f"{m.figures.p95_seconds:.3f}"),
                ("streams", lambda m: str(m.streams)),
                ("semaphore", lambda m: str(m.semaphore)),
                ("bottleneck", bottleneck),
            )
        ]
        play.stage.table(("", "before", "after"), rows)
    total = play.running_load.figures()
    play.targets.exactly("failed requests in the whole demo", "requests", total.failed, 0)
    gain = play.after.figures.images_per_second / play.before.figures.images_per_second
    play.targets.least("images/s after over before", "ratio", gain, 0.9)


def bottleneck(moment: Moment) -> str:
    """What limited the service then."""
    return moment.bottleneck


def look_further(play: Play) -> None:
    """Say where to look, as long as it runs."""
    if play.environment.get("KEEP"):
        play.stage.done("everything goes on running (KEEP is set). Look further:")
        play.stage.block(
            f"{USER} kubectl -n {NAMESPACE} get embsvc {NAME} -o yaml\n"
            f"{USER} kubectl -n {NAMESPACE} describe embsvc {NAME}\n"
            f"{USER} kubectl -n sluice-system logs deploy/sluice-operator\n"
            f"{USER} run promtool query instant $SLUICE_PROMETHEUS_ADDRESS embedding_num_streams\n"
            f"{USER} status"
        )
    else:
        play.stage.done("KEEP=1 make demo leaves everything running, to look further")


def figures(play: Play) -> None:
    """Print every figure with its target."""
    play.stage.block("\n".join(play.targets.lines()))
