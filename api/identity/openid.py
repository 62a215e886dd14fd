"""The identity providers that this process has asked."""

from dataclasses import dataclass

from aiohttp import web

from integrations.oidc.discovery import Providers
from integrations.oidc.keys import KeySets
from storage.services import Services


@dataclass(frozen=True, slots=True)
class OpenId:
    """The providers and their keys, both cached."""

    providers: Providers
    keys: KeySets

    @classmethod
    def over(cls, services: Services) -> "OpenId":
        """Ask the providers through the guarded session of these services."""
        return cls(Providers(services.outbound), KeySets(services.outbound))


OPENID: web.AppKey[OpenId] = web.AppKey("openid", OpenId)
