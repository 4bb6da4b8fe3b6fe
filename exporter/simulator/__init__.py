"""A server that speaks the providers' APIs about builds that follow from a seed and a clock."""

from exporter.simulator.demo import demo_world
from exporter.simulator.limit import Limit
from exporter.simulator.message import Answer, Request
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import World, world

__all__ = ["SIMULATOR_TOKEN", "Answer", "Limit", "Request", "Simulator", "World", "demo_world", "world"]
