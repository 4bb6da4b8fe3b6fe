"""The simulated GitLab with its lists kept until a job of the project moves.

Only the running times of unfinished jobs grow between two moves, and nobody here reads them.
"""

from bisect import bisect_right

from cachetools import LRUCache

from exporter.simulator.gitlab import GitLab
from exporter.simulator.history import History
from exporter.simulator.message import Answer, Request
from exporter.simulator.world import World

ANSWERS_KEPT = 2048

Moved = tuple[int, Answer]


class KeptGitLab(GitLab):
    """Answers as `GitLab` does; `since` and `until` bound the time in which anybody asks (seconds since the epoch)."""

    def __init__(self, world: World, history: History, since: float, until: float) -> None:
        super().__init__(world, history)
        self._moves = {project.key: _moves(history, world, n, since, until) for n, project in enumerate(world.gitlab)}
        self._kept: LRUCache[str, Moved] = LRUCache(ANSWERS_KEPT)

    def answer(self, request: Request, now: float) -> Answer:
        """The answer, perhaps an earlier one that still holds."""
        project = self.find(request.path)
        if project is None:
            return super().answer(request, now)
        moves = bisect_right(self._moves[project.key], now)
        question = f"{request.path}?{request.query}"
        kept = self._kept.get(question)
        if kept is None or kept[0] != moves:
            kept = self._kept[question] = (moves, super().answer(request, now))
        return kept[1]


def _moves(history: History, world: World, place: int, since: float, until: float) -> list[float]:
    moves: list[float] = []
    for plan in history.newest(world.gitlab[place], until):
        if plan.created < since:
            break
        moves += (moment for moment, _ in plan.steps)
    return sorted(moves)
