"""What every test run needs before its first test is collected."""

# Must run before anything loads gRPC: servers in the tests are held to TLS 1.3 like the real ones.
import swarm.adapters.tls.tls13  # noqa: F401 - imported for its effect
