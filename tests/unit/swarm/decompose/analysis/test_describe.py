"""What a request says, what it wants, and how much work its graph is."""

from swarm.decompose.analysis.complexity import Level, analyze_complexity
from swarm.decompose.analysis.describe import analyze, describe
from swarm.decompose.analysis.intent import Intent, recognize_intents
from swarm.decompose.analysis.semantics import EntityKind, Relation, analyze_semantics
from swarm.graph import Edge, Endpoint, Feed, Graph, Node, Port, Signature

STEP = Signature("t:step", (Port("x", many=True),), (Port("y", "tensor", "f32", (10, 10)),))
VAGUE = Signature("t:vague", (Port("x", many=True),), (Port("y"),))
CATALOGUE = {each.name: each for each in (STEP, VAGUE)}


def graph(capability, names, *edges):
    return Graph(
        "g",
        tuple(Node(name, capability) for name in names),
        tuple(Edge(Endpoint(source, "y"), Endpoint(target, "x")) for source, target in edges),
    )


def test_clauses_say_what_is_done_to_what_and_in_which_order():
    found = analyze_semantics(
        "Please transcribe the audio to text, then translate each page and count words."
    )
    assert [action.verb for action in found.actions] == ["transcribe", "translate", "count"]
    assert (found.actions[0].takes, found.actions[0].gives) == ("audio", "text")
    assert [action.for_each for action in found.actions] == [False, True, False]
    assert found.relations == (Relation.THEN, Relation.AND)
    assert found.kinds == ("audio", "number", "text")


def test_an_order_told_backwards_and_a_condition_are_seen():
    assert analyze_semantics("send it after you count the words").relations == (Relation.BUT_FIRST,)
    assert Relation.IF in analyze_semantics("If it is German, translate it.").relations


def test_data_in_the_request_is_found():
    found = analyze_semantics(
        "Fetch https://a.example/x.png, cut 'intro.mp4' at 12.5 and say 'hello to them all'."
    )
    assert [(each.kind, each.text) for each in found.entities] == [
        (EntityKind.ADDRESS, "https://a.example/x.png"),
        (EntityKind.FILE, "intro.mp4"),
        (EntityKind.NUMBER, "12.5"),
        (EntityKind.QUOTATION, "hello to them all"),
    ]


def test_intents_are_told_clause_by_clause_and_as_a_whole():
    found = recognize_intents("Detect the language, translate the German ones, and count how many mention it")
    assert [each.intent for each in found.clauses] == [Intent.EXTRACT, Intent.TRANSFORM, Intent.AGGREGATE]
    assert found.main is Intent.AGGREGATE
    assert recognize_intents("xyzzy").main is Intent.UNKNOWN


def test_breadth_depth_and_cost_are_facts_of_the_graph():
    diamond = graph("t:step", "abcd", ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"))
    found = analyze_complexity(diamond, CATALOGUE, measured_ms={"t:step": 10.0})
    assert (found.steps, found.edges, found.breadth, found.depth) == (4, 4, 2, 3)
    assert (found.cost_ms, found.path_ms, found.cost_known) == (40.0, 30.0, 1.0)
    assert (found.volume_bytes, found.volume_known) == (4 * 400, True)
    assert found.level is Level.MODERATE


def test_what_nobody_knows_is_not_made_up():
    found = analyze_complexity(graph("t:vague", "ab", ("a", "b")), CATALOGUE)
    assert (found.volume_known, found.cost_known, found.level) == (False, 0.0, Level.SIMPLE)
    fed = Graph("g", (Node("a", "t:step"),), (), (Feed("in", Endpoint("a", "x")),))
    assert not analyze_complexity(fed, CATALOGUE).volume_known
    assert analyze_complexity(fed, CATALOGUE, input_bytes=5).volume_bytes == 405


def test_a_loop_is_measured_too():
    looped = graph("t:step", "ab", ("a", "b"), ("b", "a"))
    assert analyze_complexity(looped, CATALOGUE).steps == 2


def test_everything_is_described_in_lines():
    request = "Transcribe 'talk.wav', then count the words."
    lines = "\n".join(describe(analyze(request, graph("t:vague", "ab", ("a", "b")), CATALOGUE)))
    for part in (
        "intent: ",
        "does: transcribe",
        "file: talk.wav",
        "complexity: simple; 2 steps",
        "cost: about",
    ):
        assert part in lines
    spoken = describe(analyze("flow.py", graph("t:vague", "a"), CATALOGUE, spoken=False))
    assert not any(line.startswith("intent") for line in spoken)
