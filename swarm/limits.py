"""Every bound of the runtime in one place, with its unit, and the relations between them.

A bound is part of the contract with the user: raising one is a decision, not an edit.
The sandbox and the .af format keep their own bounds beside their own code.
"""

from __future__ import annotations

KIB = 1 << 10
MIB = 1 << 20

# -- graphs ------------------------------------------------------------------
GRAPH_NODES_MAX = 100_000
GRAPH_EDGES_MAX = 400_000
GRAPH_BYTES_MAX = 32 * MIB  # canonical encoding
GRAPHS_KEPT_MAX = 64  # graphs read lately, of at most that many bytes each; decoded they take ten times that
GRAPH_KEPT_BYTES_MAX = 128 * KIB
NAME_CHARS_MAX = 128
EDGE_ITEMS_MAX = 1 << 16
STEP_TIMEOUT_MS_DEFAULT = 60_000
STEP_TIMEOUT_MS_MAX = 24 * 3600 * 1000
ATTEMPTS_DEFAULT = 3
ATTEMPTS_MAX = 20
BACKOFF_MS_DEFAULT = 50
BACKOFF_MS_MAX = 30_000
RESULT_KEYS_KEPT_MAX = 32  # of one node, for verifying what it signed
CONTEXT_LEVEL_MAX = 255
CONTEXT_PERMISSIONS_MAX = 32  # that one context asks for

# -- payloads: what travels inline, and what lies in the nodes' blob stores and goes by reference -------
VALUE_BYTES_MAX = 2048 * MIB - 64 * KIB  # one payload on an edge, however it travels
PAYLOAD_INLINE_BYTES_MAX = 64 * KIB  # a larger one goes by reference: node to node, never through the log
LITERAL_BYTES_MAX = 1 * MIB  # one constant in a graph, or one value of a call; it travels inline
STEP_BYTES_MAX = 8 * MIB  # everything one step takes or gives inline
RUN_INPUT_BYTES_MAX = 8 * MIB  # everything submitted with one run inline
AGENT_FILE_BYTES_MAX = 64 * MIB
CHUNK_BYTES = 1 * MIB  # of a streamed upload

# -- blob stores: files by their digest on every node ---------------------------------------------------
BLOBS_BYTES_MAX = 16_384 * MIB  # of one node, unless its settings say otherwise
BLOBS_PER_TRANSFER_MAX = 256
BLOB_COPIES = 2  # nodes that hold a large payload before the log speaks of it
BLOB_GRACE_MS = 600_000  # what nobody asked for in that time may be dropped, if no run speaks of it
BLOB_SWEEP_MS = 60_000  # how often a node asks what it may drop
BLOB_SWEEP_ITEMS_MAX = 10_000  # asked about at once
FETCH_MS_MAX = 20_000  # how long a node looks for somebody who holds what a step needs
COPY_MS_MAX = 5_000  # how long it looks for somebody who takes a second copy of what a step made
HELD_BLOBS_MAX = BLOBS_BYTES_MAX // PAYLOAD_INLINE_BYTES_MAX  # of one node, that the leader knows of
RECOPY_WAIT_MS = 5_000  # how long a copy may be away, with its node, before another one is made
RECOPY_REST_MS = 5_000  # after a copy that failed, before that node is asked to take it again
RECOPIES_IN_FLIGHT_MAX = 16  # copies a leader has ordered and not heard of, of all nodes
REMAKES_MAX = 1_024  # steps being run again for what they had made, of all runs
REMAKE_TRIES_MAX = 3  # of one step; then what it had made is lost
REMAKE_SETTLE_MS = 5_000  # how long what was made again may take to be heard of

# -- the wire -----------------------------------------------------------------
MESSAGE_BYTES_MAX = 48 * MIB
ENTRY_BYTES_MAX = 44 * MIB  # one entry of the replicated log
ERROR_CHARS_MAX = 2_000
ERROR_PROBLEMS_MAX = 50
WATCH_BATCH_ITEMS = 1_000
LIST_ITEMS_MAX = 1_000

# -- scheduling ---------------------------------------------------------------
RUNS_ACTIVE_MAX = 10_000
RUNS_KEPT_MAX = 1_000  # ended runs remembered, oldest forgotten first
RUNS_KEPT_BYTES_MAX = 512 * MIB  # payloads of remembered runs
STEPS_KEPT_MAX = 200_000  # of ended runs that are remembered
STEPS_ACTIVE_MAX = 50_000  # without a result, of all runs; then submitters wait: a new leader walks them all
NODE_SLOTS_DEFAULT = 1024  # steps in flight on one node: what it has in hand while a round trip lasts
NODE_SLOTS_MAX = 4_096
NODE_LOSSES_MAX = 8  # times one step may lose its node before it is given up
UNHOSTED_MS_MAX = 30_000  # how long a step waits for any node to offer its agent
LOOSE_WAIT_MS = 1_000  # how late a loose input may be before the step runs without it
INTENT_WAIT_MS = 30_000  # how long a node may take to say what became of a step that must not run twice
RECONCILE_MS_MAX = 30_000  # how long its agent, if it can tell, is asked what became of it
RECONCILE_CALL_MS_MAX = 10_000  # for one answer
RECONCILE_REST_MS = 1_000  # between two questions
TAKEOVER_GRACE_MS = 400  # a new leader waits this long for nodes to claim what they run
TICK_MS = 20
BACKLOG_BYTES_MAX = 64 * MIB  # committed entries a follower holds before it folds them unasked
RECORDS_BATCH_MAX = 512  # step records in one log entry
RECORDS_BATCH_BYTES_MAX = 16 * MIB

# -- who may join ----------------------------------------------------------------
TOKENS_MAX = 10_000  # remembered, with everybody who joined by them
TOKEN_USES_MAX = 1_000
TOKEN_LIFE_MS_MAX = 30 * 24 * 3600 * 1000
CERTIFICATES_MAX = 20_000  # remembered, to be listed
CERTIFICATES_KEPT_MAX = 4  # of one identity
CERTIFICATES_LISTED_MAX = 5_000
REVOKED_MAX = 10_000  # names and serial numbers; every node has the whole list
REASON_CHARS_MAX = 200

# -- nodes --------------------------------------------------------------------
HEARTBEAT_MS = 500
NODE_SILENCE_MS_MAX = 2_500  # then its link is cut and its steps run elsewhere
LEADER_SILENT_BEATS_MAX = 6  # heartbeats without an answer; then the node looks for another leader
RECONNECT_MS_MIN = 20
RECONNECT_MS_MAX = 250
DRAIN_MS_MAX = 10_000
CELLS_PER_AGENT_MAX = 16
CALLS_BATCH_MAX = 512  # calls in one message
CALLS_IN_FLIGHT_MAX = 2_048  # of one caller's stream; then it is read no further
SUBMISSIONS_BATCH_MAX = 256  # in one message
SUBMISSIONS_BATCH_BYTES_MAX = 256 * KIB  # of graphs and inputs; what is larger is submitted by itself
SUBMISSIONS_IN_FLIGHT_MAX = 1_024  # of one caller's stream; then it is read no further
CALLS_WAITING_MAX = 16_384  # for one agent on one node
OUTBOX_ITEMS_MAX = 100_000
OUTBOX_FILE_BYTES_MIN = 4 * MIB  # a smaller file is never written again for its dead weight
LINK_BYTES_MAX = 64 * MIB  # waiting for one node that reads slowly; then its link is cut
LINK_MESSAGES_MAX = 100_000  # the same for a node in the leader's own process
RUNS_AHEAD_MAX = 64  # whose first steps are sent out before the log has them
STEPS_AHEAD_MAX = 16  # of one run
LINGER_MS_MAX = 1_000  # an acknowledgement waits no longer for the end of its run
FORWARD_MS_MAX = 4_000  # how long a write waits for a leader; less than a client waits for one daemon
HOST_MS_MAX = 20_000  # how long a deploy waits for every node to load the agent
JOURNAL_BYTES_MAX = 64 * MIB  # then the older half is dropped

assert PAYLOAD_INLINE_BYTES_MAX <= LITERAL_BYTES_MAX <= STEP_BYTES_MAX <= RECORDS_BATCH_BYTES_MAX
assert PAYLOAD_INLINE_BYTES_MAX < VALUE_BYTES_MAX < 1 << 31  # rows of a cell count bytes in 32 bits
assert GRAPH_BYTES_MAX + RUN_INPUT_BYTES_MAX < ENTRY_BYTES_MAX < MESSAGE_BYTES_MAX
assert RECORDS_BATCH_BYTES_MAX + STEP_BYTES_MAX < ENTRY_BYTES_MAX
assert TAKEOVER_GRACE_MS < RECOPY_WAIT_MS < FETCH_MS_MAX  # who waits for a payload outlives its move
assert HEARTBEAT_MS * 3 < NODE_SILENCE_MS_MAX
assert CHUNK_BYTES < MESSAGE_BYTES_MAX
assert NODE_SLOTS_DEFAULT <= NODE_SLOTS_MAX <= OUTBOX_ITEMS_MAX
