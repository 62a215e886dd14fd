"""References to images, and the ids that runtimes give them."""

import pytest

from domain.environments.artifacts import Running
from integrations.formats.containers import Image, RunningContainer, digest_of, image_of, instances_of

HEX = "ab" * 32
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        ("nginx", Image("nginx")),
        ("nginx:1.25", Image("nginx", "1.25")),
        ("docker.io/library/nginx:1.25", Image("docker.io/library/nginx", "1.25")),
        ("localhost:5000/team/app", Image("localhost:5000/team/app")),
        ("localhost:5000/team/app:v1", Image("localhost:5000/team/app", "v1")),
        (f"localhost:5000/team/app:v1@{DIGEST}", Image("localhost:5000/team/app", "v1", DIGEST)),
        (f"app@{DIGEST}", Image("app", None, DIGEST)),
        (f"app@sha512:{HEX * 2}", Image("app")),
        (DIGEST, Image("", None, DIGEST)),
        (HEX, Image("", None, DIGEST)),
        ("sha256:abcdef", Image("")),
        ("", Image("")),
    ],
)
def test_a_reference_has_a_name_a_tag_and_a_digest(reference: str, image: Image) -> None:
    assert image_of(reference) == image


@pytest.mark.parametrize(
    "text",
    [
        DIGEST,
        HEX,
        f"repo@{DIGEST}",
        f"registry:5000/team/app@{DIGEST}",
        f"docker-pullable://repo@{DIGEST}",
        f"docker://{DIGEST}",
        f"docker://{HEX}",
    ],
)
def test_the_digest_is_found_in_every_spelling(text: str) -> None:
    assert digest_of(text) == DIGEST


@pytest.mark.parametrize("text", ["", "nginx:1.25", HEX[1:], f"{HEX}0", f"sha512:{HEX}", f"md5:{HEX}", f"repo@{HEX}/x"])
def test_nothing_else_is_a_digest(text: str) -> None:
    assert digest_of(text) is None


def test_containers_of_one_image_add_up() -> None:
    image, nameless = Image("app", "1", DIGEST), Image("", None, DIGEST)
    containers = [RunningContainer("", one) for one in (image, image, image._replace(tag="2"), nameless, Image("no"))]
    assert instances_of(containers) == {
        Running("app", DIGEST, "1"): 2,
        Running("app", DIGEST, "2"): 1,
        Running(DIGEST, DIGEST, None): 1,
    }
