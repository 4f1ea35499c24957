"""Message items in posts whose tokens are genuine: item by item, the neighbours must come through.

https://learn.microsoft.com/graph/change-notifications-with-resource-data#decrypting-resource-data-from-change-notifications
"""

import base64
from collections.abc import Callable

from local.graph import envelope
from local.graph.envelope import Item, Message
from local.graph.forgeries.materials import Forger, Materials
from local.graph.randomness import guid

_CONTENT = "encryptedContent"
_PATHS = ("../x", "..%2f..%2fsecrets", "/etc/passwd", "a/../../b", "certificates/x?api-version=1", ".")


def _spoilt(spoil: Callable[[Materials, Item], None]) -> Forger:
    def forge(materials: Materials) -> Message:
        item = materials.item()
        if "EncryptedContent" in item:
            item[_CONTENT] = item.pop("EncryptedContent")
        spoil(materials, item)
        return Message(materials.among_neighbours([item]))

    return forge


def _wrong_client_state(materials: Materials, item: Item) -> None:
    genuine = item["clientState"] or ""
    item["clientState"] = materials.rng.choice((guid(materials.rng), f"{genuine} ", genuine[:-1], None, "", 0))


def _broken_signature(materials: Materials, item: Item) -> None:
    signature = bytearray(base64.b64decode(item[_CONTENT]["dataSignature"]))
    signature[materials.rng.randrange(len(signature))] ^= 1
    item[_CONTENT]["dataSignature"] = base64.b64encode(signature).decode()


def _changed_content(materials: Materials, item: Item) -> None:
    data = bytearray(base64.b64decode(item[_CONTENT]["data"]))
    data[materials.rng.randrange(len(data))] ^= 0x80
    item[_CONTENT]["data"] = base64.b64encode(data).decode()


def _missing_signature(_: Materials, item: Item) -> None:
    del item[_CONTENT]["dataSignature"]


def _unknown_certificate(materials: Materials, item: Item) -> None:
    item[_CONTENT]["encryptionCertificateId"] = materials.rng.randbytes(16).hex()


def _path_certificate(materials: Materials, item: Item) -> None:
    item[_CONTENT]["encryptionCertificateId"] = materials.rng.choice(_PATHS)


def _wrong_thumbprint(materials: Materials, item: Item) -> None:
    item[_CONTENT]["encryptionCertificateThumbprint"] = materials.rng.randbytes(20).hex().upper()


def _foreign_item_tenant(materials: Materials, item: Item) -> None:
    item["tenantId"] = materials.foreign_tenant_id


def _swapped(materials: Materials) -> Message:
    one, other = (envelope.item(notice, materials.rng, 0) for notice in materials.notices)
    name = next(name for name in one if name.lower() == _CONTENT.lower())
    one[name], other[name] = other[name], one[name]
    return Message(materials.among_neighbours([one, other]))


ITEMS: dict[str, Forger] = {
    "wrong-client-state": _spoilt(_wrong_client_state),
    "swapped-content": _swapped,
    "broken-signature": _spoilt(_broken_signature),
    "changed-content": _spoilt(_changed_content),
    "missing-signature": _spoilt(_missing_signature),
    "unknown-certificate": _spoilt(_unknown_certificate),
    "path-certificate": _spoilt(_path_certificate),
    "wrong-thumbprint": _spoilt(_wrong_thumbprint),
    "foreign-item-tenant": _spoilt(_foreign_item_tenant),
}
