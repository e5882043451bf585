"""Computes the test vectors of ../session.md and ../session-vectors.md from the text alone and compares.

An independent second implementation of the handshake and of packet protection: it shares no code
and no library with the Rust crate. Needs the packages `cryptography`, `kyber-py` and `dilithium-py`.
"""

import hashlib
import hmac
import struct
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from dilithium_py.ml_dsa import ML_DSA_65
from kyber_py.ml_kem import ML_KEM_768

def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


def label(secret, name, context, length):
    """S-SUITE-6; one block is enough for every length in use."""
    full = b"dunlin1 " + name
    info = struct.pack(">H", length) + bytes([len(full)]) + full
    return mac(secret, info + bytes([len(context)]) + context, b"\x01")[:length]


def x25519_public(secret):
    return secret.public_key().public_bytes_raw()


def identity(seed):
    """S-ID-1: signing key, public identity, node ID."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw() + bytes(32)
    return key, public, sha256(b"dunlin node-id v1", public)


def sign(key, context, message):
    return key.sign(b" " * 64 + context + b"\0" + message)


def introduction(public, signature, capabilities, params, agent, length):
    """S-MSG-5."""
    out = public + signature + struct.pack(">Q", capabilities)
    out += bytes([len(params)]) + params + bytes([len(agent)]) + agent
    return out + bytes(length - len(out))


def aes_mask(key, sample):
    encrypt = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    second = (int.from_bytes(sample, "big") + 1) % (1 << 128)
    return encrypt(sample + second.to_bytes(16, "big"))


def chacha_mask(key, sample):
    return Cipher(algorithms.ChaCha20(key, sample), None).encryptor().update(bytes(32))


def seal(secret, first_secret, key_length, aead, mask, clear, number=0x102030405):
    """S-PKT-1 and S-PKT-2."""
    header, payload = bytearray(clear[:32]), clear[32:]
    number = bytes(4) + struct.pack(">Q", number)
    nonce = bytes(a ^ b for a, b in zip(label(secret, b"iv", b"", 12), number))
    key = label(secret, b"key", b"", key_length)
    sealed = aead(key).encrypt(nonce, payload, bytes(header))
    for at, byte in enumerate(mask(label(first_secret, b"hp", b"", key_length), sealed[:16])[:26]):
        header[2 + at] ^= byte
    return bytes(header) + sealed


def read_vectors(name):
    text = (Path(__file__).parent.parent / name).read_text()
    values, name = {}, None
    for line in text.split("```text vectors\n")[1].split("```")[0].splitlines():
        if line.startswith("    "):
            values[name] += line.strip()
        else:
            name = line
            values[name] = ""
    return values


def compute(clear):
    out = {}
    key_i, public_i, id_i = identity(b"\x01" * 32)
    key_r, public_r, id_r = identity(b"\x02" * 32)
    out["initiator_ed25519"], out["responder_ed25519"] = public_i[:32], public_r[:32]
    out["initiator_node_id"], out["responder_node_id"] = id_i, id_r
    network = out["network_id"] = sha256(b"dunlin network v1", b"vectors")
    mac1_key = out["mac1_key"] = sha256(b"dunlin mac1 v1", network, id_r)

    x_i = X25519PrivateKey.from_private_bytes(b"\x03" * 32)
    x_r = X25519PrivateKey.from_private_bytes(b"\x06" * 32)
    ek, _ = ML_KEM_768._keygen_internal(b"\x04" * 32, b"\x05" * 32)
    content = bytes([1, 1, 1, 3, 1, 0, 0, 0]) + x25519_public(x_i) + ek + bytes(84)
    time = struct.pack(">I", 100)
    address = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7]) + struct.pack(">H", 4000)
    token_key = mac(b"\x08" * 32, b"epoch", struct.pack(">Q", 100 // 60))
    token = time + mac(token_key, b"token", time, address, content)[:28]
    first_mac1 = mac(mac1_key, content + bytes(32))[:16]
    out["retry"] = token + mac(mac1_key, b"retry", first_mac1, token)[:16]
    syn = out["syn"] = content + token + mac(mac1_key, content + token)[:16]

    th0 = sha256(b"dunlin H1 v1 X25519 ML-KEM-768 SHA-256 Ed25519", network)
    th1 = out["th1"] = sha256(th0, syn[:1308], id_r)
    kem, ciphertext = ML_KEM_768._encaps_internal(ek, b"\x07" * 32)
    x25519 = x_r.exchange(x_i.public_key())
    out["ml_kem_shared"], out["x25519_shared"] = kem, x25519
    clear_part = bytes([1, 1, 1, 0]) + x25519_public(x_r) + ciphertext
    th2 = out["th2"] = sha256(th1, clear_part)
    hs = out["hs"] = mac(th2, kem + x25519)
    hs_r = out["hs_r"] = label(hs, b"hs r", b"", 32)
    hs_i = out["hs_i"] = label(hs, b"hs i", b"", 32)
    ms = out["ms"] = label(hs, b"ms", b"", 32)

    signature = sign(key_r, b"dunlin H1 responder v1", th2 + id_r)
    text = introduction(public_r, signature, 0x22, b"params of R", b"two/2", 216)
    out["syn_ack_introduction"] = text
    sealed = AESGCM(label(hs_r, b"key", b"", 16)).encrypt(bytes(12), text, th2)
    out["syn_ack"] = clear_part + sealed
    th3 = out["th3"] = sha256(th2, sealed, id_i)
    signature = sign(key_i, b"dunlin H1 initiator v1", th3 + id_i)
    text = introduction(public_i, signature, 0x11, b"params of I", b"one/1", 330)
    out["confirm_introduction"] = text
    key = label(hs_i, b"key", sha256(sealed), 16)
    out["confirm"] = AESGCM(key).encrypt(bytes(12), text, th2)

    for name, packet in (("ap_i", "packet_of_initiator"), ("ap_r", "packet_of_responder")):
        secret = out[name] = label(ms, name.replace("_", " ").encode(), th3, 32)
        out[name + "_key"] = label(secret, b"key", b"", 16)
        out[name + "_iv"] = label(secret, b"iv", b"", 12)
        out[name + "_header_key"] = label(secret, b"hp", b"", 16)
        out[name + "_checksum_salt"] = label(secret, b"ck", b"", 4)
        out[name + "_next_secret"] = label(secret, b"ku", b"", 32)
        out[packet] = seal(secret, secret, 16, AESGCM, aes_mask, clear)
    secret = b"\x09" * 32
    following = label(secret, b"ku", b"", 32)
    chacha = (32, ChaCha20Poly1305, chacha_mask, clear)
    out["packet_chacha20_poly1305"] = seal(secret, secret, *chacha)
    out["packet_of_the_next_phase"] = seal(following, secret, *chacha, 0x102030406)

    exp = out["exp"] = label(ms, b"exp", th3, 32)
    for side in ("initiator", "responder"):
        for name, what in (("exporter_example", b"example"), ("channel_binding", b"channel binding")):
            out[f"{name}_at_{side}"] = label(exp, b"exporter", sha256(what), 32)
    return out


def second_proof(out, written, exporter):
    """S-PQ. The signature is verified, since a sender may make it in two ways."""
    out["auth2_exporter"] = exporter(b"auth2")
    for side, seed, xi in (("initiator", 1, 0x0A), ("responder", 2, 0x0B)):
        public, _ = ML_DSA_65.key_derive(bytes([xi]) * 32)
        commitment = out[f"{side}_mldsa_commitment"] = sha256(public)
        ed25519 = identity(bytes([seed]) * 32)[1][:32]
        out[f"{side}_hybrid_node_id"] = sha256(b"dunlin node-id v1", ed25519, commitment)
        message = out[f"{side}_auth2"] = bytes.fromhex(written[f"{side}_auth2"])
        signed = b" " * 64 + f"dunlin auth2 {side} v1".encode() + b"\0" + out["auth2_exporter"]
        assert message[:1953] == b"\1" + public and len(message) == 5262
        assert ML_DSA_65.verify(public, signed, message[1953:])


def fresh_exchange(out, first, exporter):
    """S-RK."""
    binding = out["rekey_binding"] = exporter(b"rekey")
    key_i, _, _ = identity(b"\x01" * 32)
    key_r, _, _ = identity(b"\x02" * 32)
    x_i = X25519PrivateKey.from_private_bytes(b"\x20" * 32)
    x_r = X25519PrivateKey.from_private_bytes(b"\x30" * 32)
    ek, _ = ML_KEM_768._keygen_internal(b"\x21" * 32, b"\x22" * 32)
    offer = b"\2" + x25519_public(x_i) + ek
    offer += sign(key_i, b"dunlin rekey initiator v1", sha256(binding, offer))
    kem, ciphertext = ML_KEM_768._encaps_internal(ek, b"\x31" * 32)
    answer = b"\3" + struct.pack(">Q", 1) + x25519_public(x_r) + ciphertext
    answer += sign(key_r, b"dunlin rekey responder v1", sha256(binding, offer, answer))
    x25519 = x_r.exchange(x_i.public_key())
    out["rekey_offer"], out["rekey_answer"] = offer, answer
    out["rekey_x25519_shared"], out["rekey_ml_kem_shared"] = x25519, kem
    fresh = out["rekey_fresh"] = mac(sha256(binding, offer, answer), kem + x25519)
    for side in ("ap_i", "ap_r"):
        out[f"rekey_{side}_of_generation_1"] = mac(first[f"{side}_next_secret"], fresh)


def after(first, written):
    """What ../session-vectors.md shows."""
    out = {}

    def exporter(name):
        return label(first["exp"], b"exporter", sha256(name), 32)

    second_proof(out, written, exporter)
    fresh_exchange(out, first, exporter)
    key = out["reset_key"] = mac(b"\x02" * 32, b"dunlin stateless reset v1", first["network_id"])
    address = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 7]) + struct.pack(">H", 4000)
    out["reset_token"] = mac(key, b"reset", address, struct.pack(">I", 0x01020304))[:16]
    return out


def main():
    written = read_vectors("session.md")
    computed = compute(bytes.fromhex(written["packet_clear"]))
    given = {"packet_clear", "initiator_node_id_text", "responder_node_id_text"}
    assert set(written) == set(computed) | given, set(written) ^ (set(computed) | given)
    for name, value in computed.items():
        assert value.hex() == written[name], name
    later = read_vectors("session-vectors.md")
    following = after(computed, later)
    assert set(later) == set(following), set(later) ^ set(following)
    for name, value in following.items():
        assert value.hex() == later[name], name
    print(f"{len(computed) + len(following)} vectors match")


if __name__ == "__main__":
    main()
