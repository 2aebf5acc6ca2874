"""The network of agents/digits in Ray: a torch actor that is asked for one image at a time, 64 in flight.

    python ray_inference.py --n 20000 --in-flight 64        in an environment with ray, torch and numpy

Prints a JSON line per variant, as the peers' other scripts do. `gathered` is the actor's own micro-batching:
calls that wait are answered by one pass through the network, which is what `serve.batch` does. `single`
answers each call by itself. `together` is another question, for scale: the caller puts 64 images into one
call. Weights are random: what is measured does not depend on them.
"""

import argparse
import asyncio
import json
import os
import time
from collections import deque
from pathlib import Path

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
TICK = os.sysconf("SC_CLK_TCK")
GATHER_S = 0.0005


def make_actors(ray, torch, numpy):
    """The two actor classes: one that answers each call by itself, one that gathers what waits."""

    def network():
        torch.set_num_threads(1)
        linear = torch.nn.Linear
        layers = (linear(64, 96), torch.nn.ReLU(), linear(96, 48), torch.nn.ReLU(), linear(48, 10))
        return torch.nn.Sequential(*layers, torch.nn.Softmax(dim=-1)).eval()

    def forward(model, images):
        with torch.inference_mode():
            return model(torch.from_numpy(images)).numpy()

    @ray.remote(num_cpus=1)
    class Single:
        def __init__(self):
            self.model = network()

        def infer(self, images):
            return forward(self.model, numpy.array(images))

    @ray.remote(num_cpus=1, max_concurrency=256)
    class Gathered:
        def __init__(self):
            self.model = network()
            self.waiting = []
            self.flushing = None

        async def infer(self, images):
            done = asyncio.get_running_loop().create_future()
            self.waiting.append((images, done))
            if self.flushing is None:
                self.flushing = asyncio.get_running_loop().call_later(GATHER_S, self.flush)
            return await done

        def flush(self):
            self.flushing = None
            waiting, self.waiting = self.waiting, []
            scores = forward(self.model, numpy.concatenate([images for images, _ in waiting]))
            for (_, done), row in zip(waiting, scores, strict=True):
                done.set_result(row[None])

    return {"single": Single, "gathered": Gathered, "together": Single}


def ask(ray, actors, images, n, in_flight):
    """Keep `in_flight` calls under way, round robin over the actors, until `n` are answered."""
    calls = [actor.infer.remote for actor in actors]
    pending, answered, begun = deque(), 0, 0
    while answered < n:
        while begun < n and len(pending) < in_flight:
            pending.append(calls[begun % len(calls)](images[begun % len(images)]))
            begun += 1
        done, rest = ray.wait(list(pending), num_returns=min(16, len(pending)))
        for scores in ray.get(done):
            assert scores.shape[1] == 10
        answered += len(done)
        pending = deque(rest)


def machine():
    with Path("/proc/stat").open() as file:
        ticks = [int(value) for value in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICK


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--variant", default="single,gathered,together")
    parser.add_argument("--actors", type=int, default=2)
    options = parser.parse_args()
    import numpy  # noqa: ICN001, PLC0415 - `--help` without them
    import ray  # noqa: PLC0415
    import torch  # noqa: PLC0415

    ray.init(
        num_cpus=options.actors, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1"
    )
    classes = make_actors(ray, torch, numpy)
    ones = list(numpy.random.default_rng(1).random((256, 1, 64), dtype=numpy.float32))
    for variant in options.variant.split(","):
        actors = [classes[variant].remote() for _ in range(options.actors)]
        together = variant == "together"
        images = [numpy.concatenate(ones[:64])] if together else ones
        n, in_flight = (options.n // 64, 4) if together else (options.n, options.in_flight)
        ask(ray, actors, images, min(n, 512), in_flight)  # warm up
        busy, began = machine(), time.perf_counter()
        ask(ray, actors, images, n, in_flight)
        seconds = time.perf_counter() - began
        found = n * (64 if together else 1)
        line = {"peer": "ray", "variant": f"inference-{variant}", "tls": False, "case": "inference"}
        line |= {"n": found, "seconds": round(seconds, 5), "per_s": round(found / seconds, 1)}
        line |= {"machine_us": round((machine() - busy) / found * 1e6, 1)}  # others' work included
        print(json.dumps(line), flush=True)
        for actor in actors:
            ray.kill(actor)
    ray.shutdown()


if __name__ == "__main__":
    main()
