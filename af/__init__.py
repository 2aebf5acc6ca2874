"""The agent file: one .af is one agent, as text header plus binary sections.

    agent = af.parse(data)              # bytes -> AgentFile, or AfRefused with every problem
    problems = af.check(agent)          # what the syntax cannot say
    compiled = af.compile_agent(agent)  # adds what a node runs
    af.executable(compiled)             # hands it out
    af.workflow_plan(compiled)          # the steps a host takes with it, in order
    data = af.write(compiled)           # same content, same bytes
    data = af.sign(data, key, time)     # the author's name under it

The format is described in SPEC.md beside this file. This package imports nothing else of the project, except
in its command line tools, which run agents in the same cells a node uses.
"""

from af.agentfile import AgentFile, parse, write
from af.check import check
from af.compiler import Executable, compile_agent, executable
from af.errors import AfError, AfNotReady, AfRefused, Problem
from af.header import Header, ResourceLimits, ResourceRequirements
from af.records import Capability, PortSpec
from af.sections import Section, encode_section
from af.signing import Signer, sign, signer_of
from af.workflow import Step, WorkflowPlan, workflow_plan

__all__ = [
    "AfError",
    "AfNotReady",
    "AfRefused",
    "AgentFile",
    "Capability",
    "Executable",
    "Header",
    "PortSpec",
    "Problem",
    "ResourceLimits",
    "ResourceRequirements",
    "Section",
    "Signer",
    "Step",
    "WorkflowPlan",
    "check",
    "compile_agent",
    "encode_section",
    "executable",
    "parse",
    "sign",
    "signer_of",
    "workflow_plan",
    "write",
]
