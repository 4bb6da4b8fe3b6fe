"""A server that speaks the providers' APIs about builds that follow from a seed and a clock, or from a script."""

from exporter.simulator.definition import Job
from exporter.simulator.demo import demo_world
from exporter.simulator.graphql import GraphQL
from exporter.simulator.limit import Limit
from exporter.simulator.message import Answer, Request
from exporter.simulator.script import Script, scripted
from exporter.simulator.server import SIMULATOR_TOKEN, Simulator
from exporter.simulator.world import World, world

__all__ = [
    "SIMULATOR_TOKEN",
    "Answer",
    "GraphQL",
    "Job",
    "Limit",
    "Request",
    "Script",
    "Simulator",
    "World",
    "demo_world",
    "scripted",
    "world",
]
