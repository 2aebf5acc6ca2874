"""A name is refused in every certificate, a serial number alone."""

from swarm.trust.revocation import SERIAL, Revocations, Revoked

NAME = Revoked("n4", "", "lost")
ONE = Revoked("n5", "5e" * 10, "stolen")


def test_a_name_is_refused_whatever_its_certificate_and_a_serial_number_alone():
    found = Revocations()
    assert found.take([NAME, ONE])
    assert found.find("n4", "any") == found.find("n4") == NAME
    assert found.find("n5", ONE.serial) == ONE
    assert found.find("n5", "another") is None
    assert found.find("n6", "another") is None


def test_a_list_only_grows_and_says_whether_it_did():
    found = Revocations()
    assert found.take([NAME])
    assert not found.take([Revoked("n4", "", "another reason")])
    assert not found.take([])
    assert found.take([ONE, NAME])
    assert set(found.entries()) == {NAME, ONE}


def test_a_serial_number_is_written_in_one_way():
    assert SERIAL.fullmatch("5e" * 20)
    assert not any(SERIAL.fullmatch(text) for text in ("", "5E" * 10, "0x" + "5e" * 10, "5e" * 21, "n4"))
