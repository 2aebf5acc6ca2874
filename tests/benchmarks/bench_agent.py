"""The agent the dispatch benchmark runs: what a no-op, an echo, a count and a nap cost is the runtime's."""

import time


class Agent:
    """One class for every capability of the benchmark."""

    def process_input(self, capability, inputs):
        match capability:
            case "bench:ident" | "bench:echo":
                return {"y": inputs["x"]}
            case "bench:inc":
                return {"y": inputs["x"] + 1}
            case "bench:count":
                return {"y": len(inputs["x"])}
            case "bench:nap":
                time.sleep(0.001)
                return {"y": inputs["x"]}
        message = f"no capability {capability}"
        raise ValueError(message)
