"""Short words to build graphs with: `graph([node("a")], ["a.out -> b.in"])`."""

from swarm.graph import Bond, Edge, Endpoint, Feed, Firing, Graph, Node, Outlet, Payload, Port, Signature

ANY = Signature("any:thing", (Port("in", many=True, optional=True),), (Port("out"),))
DIGIT = Signature(
    "vision:digit",
    (Port("image", "tensor", "f32", (None, 64)), Port("bias", "json", optional=True)),
    (Port("scores", "tensor", "f32", (None, 10)), Port("note", "json")),
)
SPLIT = Signature(
    "data:split",
    (Port("images", "tensor"), Port("parts_count", "json", optional=True)),
    (Port("parts", "tensor", many=True),),
)
DOUBT = Signature(
    "vision:doubt", (Port("scores", "tensor", "f32", (None, 10), many=True),), (Port("found", "json"),)
)
CATALOGUE = {signature.name: signature for signature in (ANY, DIGIT, SPLIT, DOUBT)}


def node(name, capability="any:thing", firing=Firing.ONCE, **literals):
    constants = tuple((port, Payload("json", value.encode())) for port, value in literals.items())
    return Node(name, capability, constants, firing)


def end(text):
    return Endpoint(*text.rsplit(".", 1))


def edge(text, bond=Bond.STRICT, items_max=1):
    source, target = text.split(" -> ")
    return Edge(end(source), end(target), bond, items_max)


def graph(nodes, edges=(), feeds=(), outlets=()):
    """Feeds and outlets are pairs of a name and an endpoint."""
    return Graph(
        "test",
        tuple(nodes),
        tuple(edge(one) if isinstance(one, str) else one for one in edges),
        tuple(Feed(name, end(target)) for name, target in feeds),
        tuple(Outlet(name, end(source)) for name, source in outlets),
    )


def codes(found):
    return [problem.code for problem in found]
