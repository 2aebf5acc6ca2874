"""Rules alone, on capabilities nothing was trained for."""

from swarm.decompose.records import Capability
from swarm.decompose.strategies.heuristic import HeuristicEngine
from tests.unit.swarm.decompose.catalogues import CATALOGUE

ENGINE = HeuristicEngine(CATALOGUE)


def test_a_pipeline_is_found_with_its_edges():
    found = ENGINE.decompose("Extract the audio from talk.mp4, transcribe the speech and summarize the text.")
    assert [step.capability for step in found.subtasks] == ["Video-to-Audio", "Audio-to-Text", "Summarizer"]
    assert found.links == {("Video-to-Audio", "Audio-to-Text"), ("Audio-to-Text", "Summarizer")}


def test_a_step_takes_its_input_from_the_kind_of_data_it_needs():
    found = ENGINE.decompose("Extract the audio from the video, then generate an image from the text.")
    assert found.nodes == {"Video-to-Audio", "Text-to-Image"}
    assert not found.links


def test_what_no_capability_offers_is_told():
    found = ENGINE.decompose("Translate the letter, and book a table for two.")
    assert [step.capability for step in found.subtasks] == ["Translator"]
    assert found.unmapped == ("book a table for two",)


def test_capabilities_without_declared_kinds_form_a_chain():
    engine = HeuristicEngine(
        [Capability("cancel_alarm", "Cancel an alarm"), Capability("send_mail", "Send mail")]
    )
    found = engine.decompose("cancel the alarm, then send a mail")
    assert found.links == {("cancel_alarm", "send_mail")}


def test_sources_stand_before_their_targets():
    found = ENGINE.decompose("Summarize the text, paint an image of the text, transcribe the speech.")
    place = {step.capability: at for at, step in enumerate(found.subtasks)}
    assert all(place[source] < place[target] for source, target in found.links)


def test_a_plainer_request_is_held_for_likelier():
    plain = ENGINE.decompose("transcribe the speech into text").subtasks[0]
    vague = ENGINE.decompose("write a text").subtasks
    assert all(step.confidence < plain.confidence for step in vague)
