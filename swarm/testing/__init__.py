"""The same ports as the adapters, in one process: deterministic, and shipped to users.

    clock     virtual time: an event loop that never sleeps          log       the replicated log
    cells     agents as Python functions that fail, hang or die      links     nodes' links that break
    disk      files by digest, the journal                           cluster   all of it with the real drivers

    scheduling, chaos    the scheduler alone, in a model of a cluster with bad luck
    graphs, oracle       graphs to try, and what their bonds promise by definition
"""
