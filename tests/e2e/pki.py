"""Certificates for the tests of TLS: a small PKI of every fault that a destination's certificate can have.

  Certificate  one certificate with its key, the chain that a server shows with it, and their files
  issue        makes one; the faults are its parameters
  revocations  a list of revoked certificates
  Faults       one of each: `names` says under which host name each is met
"""

import base64
import datetime
import hashlib
import ipaddress
import pathlib
import warnings

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.utcnow()
DAY = datetime.timedelta(days=1)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
PEM = serialization.Encoding.PEM


class Certificate:
    """`shown`: the certificates behind it that a server sends, nearest issuer first."""

    def __init__(self, x509_certificate, key, shown):
        self.x509, self.key, self.shown = x509_certificate, key, shown

    @property
    def subject(self):
        return self.x509.subject

    @property
    def pem(self):
        return self.x509.public_bytes(PEM).decode()

    @property
    def chain_pem(self):
        return self.pem + "".join(each.pem for each in self.shown)

    @property
    def key_pem(self):
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()

    @property
    def pin(self):
        """RFC 7469, as the configuration spells it."""
        public = self.x509.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return "sha256/" + base64.b64encode(hashlib.sha256(public).digest()).decode()

    def without(self, *left_out):
        """The same certificate, shown with a chain that lacks some."""
        return Certificate(self.x509, self.key, [each for each in self.shown if each not in left_out])

    def beside(self, *also):
        return Certificate(self.x509, self.key, [*self.shown, *also])

    def write(self, folder, name):
        """(path of the chain, path of the key), as strings; the key for its owner only."""
        chain, key = pathlib.Path(folder, name + ".crt"), pathlib.Path(folder, name + ".key")
        chain.write_text(self.chain_pem, encoding="ascii")
        key.touch(mode=0o600)
        key.write_text(self.key_pem, encoding="ascii")
        return str(chain), str(key)


def san(name):
    """A SAN entry: an address, a URI when there is a ://, else a DNS name, which nothing checks."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.UniformResourceIdentifier(name) if "://" in name else x509.DNSName(name)


def issue(issuer, cn, names=(), *, ca=False, path_length=None, usage=(SERVER,), since=-DAY, until=30 * DAY,
          permitted=None, digest=None, key=None):
    """A certificate from `issuer`, which is a Certificate, or None: then it signs itself.
    `since`, `until`: from now. `permitted`: the one domain that a CA may vouch for."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    signer = issuer or Certificate(None, key, [])
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(NOW + since).not_valid_after(NOW + until)
               .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), critical=False))
    if ca:
        builder = builder.add_extension(x509.KeyUsage(
            digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False), critical=True)
    elif usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([san(name) for name in names]), critical=False)
    if permitted:
        builder = builder.add_extension(x509.NameConstraints([x509.DNSName(permitted)], None), critical=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a weak digest is meant to be one
        made = builder.sign(signer.key, digest or hashes.SHA256())
    # A root is not sent: who does not have it does not trust it either.
    shown = [issuer, *issuer.shown] if issuer and issuer.x509.issuer != issuer.subject else []
    return Certificate(made, key, shown)


def revocations(issuer, revoked=(), since=-2 * DAY, until=30 * DAY):
    """PEM of a list of revoked certificates."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(NOW + since).next_update(NOW + until)
    for each in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(each.x509.serial_number).revocation_date(NOW - DAY).build())
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(PEM).decode()


def authority(name="Egret's tests"):
    """(root, intermediate)"""
    root = issue(None, f"{name}: root", ca=True)
    return root, issue(root, f"{name}: intermediate", ca=True)


class Faults:
    """`certificates`: {host name: Certificate}; `lists`: {host name: PEM of the revocation lists to check with}."""

    DOMAIN = "tls.example"

    def __init__(self):
        self.root, self.intermediate = authority()
        self.certificates, self.lists = {}, {}
        self._add_sound()
        self._add_of_time_and_name()
        self._add_of_trust()
        self._add_of_strength_and_use()
        self._add_revoked()

    def host(self, label):
        return f"{label}.{self.DOMAIN}"

    def _add(self, label, names=None, issuer=None, **how):
        host = self.host(label)
        made = issue(issuer or self.intermediate, host, [host] if names is None else names, **how)
        self.certificates[host] = made
        return made

    def _add_sound(self):
        self._add("good")
        self._add("wildcard.one", [f"*.one.{self.DOMAIN}"])
        self._add("two.names", ["other.example", self.host("two.names")])
        self._add("rsa", key=rsa.generate_private_key(65537, 2048))

    def _add_of_time_and_name(self):
        self._add("expired", since=-30 * DAY, until=-DAY)
        self._add("not-yet", since=DAY)
        self._add("wrong-host", ["other.example"])
        self._add("address-only", ["127.0.0.1"])
        self._add("cn-only", [])
        self._add("hook", [f"h*.{self.DOMAIN}"])  # a star that is not a whole label
        self._add("a.b.two", [f"*.two.{self.DOMAIN}"])  # a star is one label
        self._add("two", [f"*.two.{self.DOMAIN}"])  # and not none
        self._add("nul", [f"nul.{self.DOMAIN}\0.other.example"])
        self._add("nul-behind", [f"nul-behind.{self.DOMAIN}\0"])

    def _add_of_trust(self):
        host = self.host("self-signed")
        self.certificates[host] = issue(None, host, [host])
        strange_root, strange = authority("a stranger")
        self._add("unknown-issuer", issuer=strange)
        made = self._add("untrusted-root", issuer=strange)
        self.certificates[self.host("untrusted-root")] = made.beside(strange_root)
        # The same names as the true ones, other keys.
        forged_root, forged = authority()
        made = self._add("forged", issuer=forged)
        self.certificates[self.host("forged")] = made.beside(forged_root)
        made = self._add("missing-intermediate")
        self.certificates[self.host("missing-intermediate")] = made.without(self.intermediate)
        no_authority = issue(self.intermediate, "no authority", ["no-authority.example"], usage=())
        self._add("no-authority", issuer=no_authority)

        last = issue(self.root, "signs only leaves", ca=True, path_length=0)
        self._add("path-length", issuer=issue(last, "one too many", ca=True))
        link = self.root
        for number in range(12):
            link = issue(link, f"link {number}", ca=True)
        self._add("long-chain", issuer=link)
        self._add("name-constraint", issuer=issue(self.root, "constrained", ca=True, permitted="corp.example"))

    def _add_of_strength_and_use(self):
        self._add("weak-key", key=rsa.generate_private_key(65537, 1024))
        self._add("weak-signature", digest=hashes.SHA1())
        self._add("client-only", usage=(CLIENT,))

    def _add_revoked(self):
        revoking = issue(self.root, "revoking", ca=True)
        revoked = self._add("revoked", issuer=revoking)
        self._add("not-revoked", issuer=revoking)
        stale = issue(self.root, "stale", ca=True)
        self._add("stale-list", issuer=stale)
        self._add("no-list")
        fresh = revocations(revoking, [revoked])
        self.lists = {self.host("revoked"): fresh, self.host("not-revoked"): fresh, self.host("no-list"): fresh,
                      self.host("stale-list"): revocations(stale, until=-DAY)}
