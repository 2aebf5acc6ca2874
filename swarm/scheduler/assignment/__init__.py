"""Planning ahead: who does what, for a batch of steps, a whole graph, or steps bound to machines.

    matching   one step per place at the least total cost: Hungarian, auction, genetic; one Protocol
    jobs       whole graphs with durations and data, schedules of them, and bounds on them
    listing    list schedulers: HEFT with insertion and lookahead, and a search around them
    improving  a schedule made shorter, one move at a time: simulated annealing on what holds it up
    jobshop    steps bound to machines, in the best order of each machine: tabu search

Everything here is pure; chance comes in as a seed and time as a question that is asked now and then.
"""
