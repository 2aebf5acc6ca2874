"""Plugins: engines and encoders of other packages, found through their entry points.

A package offers one with a line in its metadata, and an object of a class below behind it:

    [project.entry-points."neural_swarm.decompose"]
    verbs = "my_package:PLUGIN"

    PLUGIN = DecompositionPlugin("verbs", "1.2.0", api=(1, 0), provides=("sentence",), engine=VerbEngine)

`api` is the version of this contract that it was written for. Same first number, second number no higher than
ours: it runs. Anything else is refused, and says so; it is never half loaded.
"""

from swarm.plugins.contract import API as API
from swarm.plugins.contract import DecompositionPlugin as DecompositionPlugin
from swarm.plugins.contract import NeuralPlugin as NeuralPlugin
from swarm.plugins.contract import Plugin as Plugin
from swarm.plugins.registry import PLUGIN_MARK as PLUGIN_MARK
from swarm.plugins.registry import PluginInfo as PluginInfo
from swarm.plugins.registry import encoder_plugin as encoder_plugin
from swarm.plugins.registry import engine_plugin as engine_plugin
from swarm.plugins.registry import list_plugins as list_plugins
from swarm.plugins.registry import load_plugin as load_plugin
