"""The main job, for everybody to watch: a cluster, a real task, and the leader killed half-way."""

from swarm.demo.facts import Facts as Facts
from swarm.demo.job import Audience as Audience
from swarm.demo.job import main_job as main_job
from swarm.demo.screen import Screen as Screen
from swarm.demo.screen import show_facts as show_facts
