"""Leave TLS 1.3 as the only version our gRPC server speaks. Import this before `grpc`.

gRPC has no option for the lowest TLS version and accepts 1.2. It does have a list of TLS 1.2 cipher suites,
read from the environment when its library loads. The one suite named here needs an RSA certificate; ours are
ECDSA; so no TLS 1.2 handshake can succeed, while TLS 1.3, whose suites the list does not govern, is unharmed.
"""

from __future__ import annotations

import os
import sys

from swarm.errors import Bug

VARIABLE = "GRPC_SSL_CIPHER_SUITES"
RSA_ONLY_SUITE = "ECDHE-RSA-AES256-GCM-SHA384"

# Whoever set the variable before loading gRPC did our work; setting it afterwards would be silently useless.
_IN_TIME = os.environ.get(VARIABLE) == RSA_ONLY_SUITE or "grpc" not in sys.modules
if _IN_TIME:
    os.environ[VARIABLE] = RSA_ONLY_SUITE

# Also read when gRPC loads. Its event engine hands reads and writes from thread to thread; the poller it had
# before does both where it finds them ready: a third less processor time for a small message.
POLLED = ",".join(
    f"-event_engine_{part}" for part in ("client", "listener", "for_all_other_endpoints", "callback_cq")
)
os.environ.setdefault("GRPC_EXPERIMENTS", POLLED)

# And its own log goes to standard error, with a line for every connection that ends.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def require_tls13() -> None:
    """Refuse to go on where a server of this process would accept TLS 1.2."""
    if not _IN_TIME:
        raise Bug(
            "gRPC was loaded before its cipher suites were set, a server would accept TLS 1.2",
            place="swarm.adapters.tls.tls13",
            remedy=f"import swarm.adapters.tls before grpc, or start with {VARIABLE}={RSA_ONLY_SUITE}",
        )
