"""Which engine a request is given to, learnt from how earlier ones went, and never at more than a stated
cost.
"""
