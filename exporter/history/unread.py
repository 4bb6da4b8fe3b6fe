"""What of a history's runs must still be asked for, before they can be judged. Pure."""

from exporter.build import FAILED, Outcome
from exporter.history.cut import by_label_of, is_active, streak
from exporter.history.records import History, Rules, RunRow
from exporter.history.runs import run_key


def incomplete(history: History, rules: Rules) -> list[str]:
    """The ids of runs whose builds must be read whole and are not, newest first.

    Of each named branch label those are the newest run, the newest decided one, and the first of the failed ones that
    it is the last of; with their children.
    """
    wanted: set[str] = set()
    for label, of_label in by_label_of(history, rules).items() if history.runs else ():
        if label in history.names and is_active(history, label, of_label[-1].created_at):
            newest, first = streak(of_label)
            wanted |= {turn.id for turn in (of_label[-1], newest, first) if turn is not None}
    rows = [row for row in history.runs.values() if row.run.id in wanted or row.root in wanted]
    unread = [row for row in rows if not row.whole and row.run.status and not row.dismissed]
    return [row.run.id for row in sorted(unread, key=lambda row: run_key(row.run), reverse=True)]


def contested(history: History) -> list[str]:
    """The ids of runs whose trigger jobs must be asked: a child failed or was cancelled, and the parent did not.

    So where the parent succeeded and a child is under way though a newer one has ended. They are asked once, and again
    where another child was created since.
    """
    by_root: dict[str, list[RunRow]] = {}
    for row in history.runs.values():
        if row.root:
            by_root.setdefault(row.root, []).append(row)
    found = []
    for root, children in by_root.items():
        own = history.runs.get(root)
        if own is None or own.run.outcome in FAILED or own.bridged_at >= max(one.run.created_at for one in children):
            continue
        if any(not one.dismissed and _stands_in_the_way(one, own, children) for one in children):
            found.append(own)
    return [row.run.id for row in sorted(found, key=lambda row: run_key(row.run), reverse=True)]


def _stands_in_the_way(child: RunRow, root: RunRow, children: list[RunRow]) -> bool:
    """Whether the run is not what its parent says because of that child, which may have been replaced."""
    if child.succeeded is not None or root.run.outcome is not Outcome.SUCCESS:
        return child.succeeded is False
    if child.run.outcome is Outcome.CANCELLATION:
        return True
    return any(run_key(one.run) > run_key(child.run) and one.succeeded is not None for one in children)
