#include "proxy/tls/authority.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <ctime>

#include "proxy/tls/words.h"

namespace egret::tls {
namespace {

constexpr long kVersion3 = 2;  // X.509's numbers begin at 0
constexpr int kSerialBytes = 20;
constexpr size_t kLongestCommonName = 64;  // RFC 5280 appendix A, ub-common-name

Unexpected failed(std::string_view what) {
  return Unexpected(Reason::internal_error, std::string(what) + ": " + take_error());
}

// Some keys sign by a digest of their own.
const EVP_MD* digest_for(const EVP_PKEY* key) {
  const bool own = EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1;
  return own ? nullptr : EVP_sha256();
}

Key make_key() { return Key(EVP_EC_gen("P-256")); }

time_t seconds(WallTime time) {
  return std::chrono::system_clock::to_time_t(
      std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
}

bool set_serial(X509* certificate) {
  unsigned char bytes[kSerialBytes];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7F) | 0x40);  // positive, and of full length
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool set_common_name(X509* certificate, const std::string& name) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(name.data());
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8, bytes,
                                    static_cast<int>(name.size()), -1, 0) == 1;
}

Certificate blank(EVP_PKEY* key, WallTime from, WallTime until) {
  Certificate made(X509_new());
  const bool good = made && X509_set_version(made.get(), kVersion3) == 1 &&
                    set_serial(made.get()) && X509_set_pubkey(made.get(), key) == 1 &&
                    ASN1_TIME_set(X509_getm_notBefore(made.get()), seconds(from)) != nullptr &&
                    ASN1_TIME_set(X509_getm_notAfter(made.get()), seconds(until)) != nullptr;
  if (!good) made.reset();
  return made;
}

// The year 9999 means "no end" (RFC 5280 4.1.2.5), and is none that WallTime has.
WallTime end_of(const X509* certificate) {
  std::tm end{};
  ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end);
  constexpr auto kLast = std::chrono::floor<std::chrono::seconds>(WallTime::max());
  return std::min(std::chrono::sys_seconds(std::chrono::seconds(timegm(&end))), kLast);
}

// RFC 5280 4.2.1.10 writes an address with its mask.
std::string with_mask(const policy::Prefix& prefix) {
  std::array<uint8_t, 16> mask{};
  const size_t size = prefix.base.is_v4() ? 4 : 16;
  for (size_t bit = 0; bit < prefix.length; ++bit) {
    mask[bit / 8] = static_cast<uint8_t>(mask[bit / 8] | (0x80 >> (bit % 8)));
  }
  const policy::Address address = size == 4
                                      ? policy::Address::v4({mask[0], mask[1], mask[2], mask[3]})
                                      : policy::Address::v6(mask);
  return prefix.base.to_string() + "/" + address.to_string();
}

// What is permitted of one kind forbids the other, of which nothing was said.
std::string name_constraints(const CaOptions& options) {
  std::string out = "critical";
  for (const std::string& domain : options.permitted_dns) out += ",permitted;DNS:" + domain;
  for (const policy::Prefix& prefix : options.permitted_ips) {
    out += ",permitted;IP:" + with_mask(prefix);
  }
  if (options.permitted_ips.empty()) {
    out += ",excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:::/::";
  }
  // No name is below this one, so no name is permitted.
  if (options.permitted_dns.empty()) out += ",permitted;DNS:none.invalid";
  return out;
}

template <typename Write>
std::string pem(Write write) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (!bio || write(bio.get()) != 1) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

Result<policy::KeyPair> make_ca(const CaOptions& options, WallTime now) {
  const Key key = make_key();
  if (!key) return failed("a CA key");
  const Certificate made =
      blank(key.get(), now - Authority::kBackdated, now + std::chrono::hours(24) * options.days);
  if (!made) return failed("a CA certificate");
  X509* ca = made.get();
  const bool constrained = !options.permitted_dns.empty() || !options.permitted_ips.empty();
  const bool good =
      set_common_name(ca, options.name) &&
      X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1 &&
      add_extension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      add_extension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
      add_extension(ca, ca, NID_subject_key_identifier, "hash") &&
      (!constrained || add_extension(ca, ca, NID_name_constraints, name_constraints(options))) &&
      X509_sign(ca, key.get(), EVP_sha256()) > 0;
  if (!good) return failed("a CA certificate");
  policy::KeyPair pair;
  pair.certificate = pem([&](BIO* bio) { return PEM_write_bio_X509(bio, ca); });
  pair.private_key = Secret(pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  }));
  return pair;
}

Result<std::shared_ptr<Authority>> Authority::load(const policy::KeyPair& ca) {
  const Bio certificate_text = reading(ca.certificate);
  Certificate certificate(
      PEM_read_bio_X509(certificate_text.get(), nullptr, no_passphrase, nullptr));
  const Bio key_text = reading(ca.private_key.reveal());
  Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr));
  if (!certificate || !key || X509_check_private_key(certificate.get(), key.get()) != 1) {
    return failed("the CA's certificate and key");
  }
  if (X509_check_ca(certificate.get()) != 1) {
    return Unexpected(Reason::internal_error, "the CA's certificate and key: it is no CA");
  }
  Key leaf_key = make_key();
  Store trust(X509_STORE_new());
  if (!leaf_key || !trust || X509_STORE_add_cert(trust.get(), certificate.get()) != 1) {
    return failed("a leaf key");
  }
  X509_STORE_set_flags(trust.get(), X509_V_FLAG_PARTIAL_CHAIN);
  // A root is not sent: whoever trusts it has it, and to read it costs a sender as much as a leaf.
  Chain chain;
  if (X509_self_signed(certificate.get(), 0) != 1) {
    chain.reset(sk_X509_new_null());
    X509_up_ref(certificate.get());
    sk_X509_push(chain.get(), certificate.get());
    while (X509* next =
               PEM_read_bio_X509(certificate_text.get(), nullptr, no_passphrase, nullptr)) {
      sk_X509_push(chain.get(), next);
    }
    ERR_clear_error();
  }
  return std::shared_ptr<Authority>(new Authority(std::move(certificate), std::move(chain),
                                                  std::move(key), std::move(leaf_key),
                                                  std::move(trust)));
}

Authority::Authority(Certificate certificate, Chain chain, Key ca_key, Key leaf_key, Store trust)
    : certificate_(std::move(certificate)),
      chain_(std::move(chain)),
      ca_key_(std::move(ca_key)),
      leaf_key_(std::move(leaf_key)),
      trust_(std::move(trust)) {}

Result<Leaf> Authority::leaf(const policy::Host& host, WallTime now) {
  const auto found = by_host_.find(host.text);
  if (found != by_host_.end() && found->second->from <= now && now < found->second->renew) {
    ++cached_;
    kept_.splice(kept_.begin(), kept_, found->second);
    return present(kept_.front().certificate.get());
  }
  Result<Kept> made = mint(host, now);
  if (!made) return Unexpected(std::move(made.error()));
  ++minted_;
  if (found != by_host_.end()) {
    const auto old = found->second;
    by_host_.erase(found);  // first: its key is a view of the other's text
    kept_.erase(old);
  } else if (kept_.size() >= kMostLeafs) {
    by_host_.erase(kept_.back().host);
    kept_.pop_back();
  }
  kept_.push_front(std::move(*made));
  by_host_.emplace(kept_.front().host, kept_.begin());
  return present(kept_.front().certificate.get());
}

Leaf Authority::present(X509* certificate) {
  X509_up_ref(certificate);
  EVP_PKEY_up_ref(leaf_key_.get());
  return {Certificate(certificate), Key(leaf_key_.get()), chain_.get()};
}

Result<Authority::Kept> Authority::mint(const policy::Host& host, WallTime now) {
  Certificate made = blank(leaf_key_.get(), now - kBackdated, now + kLife);
  if (!made) return failed("a leaf certificate");
  X509* leaf = made.get();
  // Never longer than who vouches for it.
  if (ASN1_TIME_compare(X509_get0_notAfter(leaf), X509_get0_notAfter(certificate_.get())) > 0) {
    X509_set1_notAfter(leaf, X509_get0_notAfter(certificate_.get()));
  }
  // An address in a common name would be taken for a DNS name, and judged by those constraints.
  const bool named = !host.literal && host.text.size() <= kLongestCommonName;
  const std::string alternative =
      std::string(named ? "" : "critical,") + (host.literal ? "IP:" : "DNS:") + host.text;
  X509* issuer = certificate_.get();
  const bool identified = X509_get_ext_by_NID(issuer, NID_subject_key_identifier, -1) >= 0;
  const bool good =
      (!named || set_common_name(leaf, host.text)) &&
      X509_set_issuer_name(leaf, X509_get_subject_name(issuer)) == 1 &&
      add_extension(leaf, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(leaf, issuer, NID_key_usage, "critical,digitalSignature") &&
      add_extension(leaf, issuer, NID_ext_key_usage, "serverAuth") &&
      add_extension(leaf, issuer, NID_subject_alt_name, alternative) &&
      add_extension(leaf, issuer, NID_subject_key_identifier, "hash") &&
      (!identified || add_extension(leaf, issuer, NID_authority_key_identifier, "keyid")) &&
      X509_sign(leaf, ca_key_.get(), digest_for(ca_key_.get())) > 0;
  if (!good) return failed("a leaf certificate");
  const Result<> checked = check(leaf, host, now);
  if (!checked) return Unexpected(checked.error());
  return Kept{host.text, std::move(made), now - kBackdated,
              std::min(now + kLife * 3 / 4, end_of(issuer))};
}

// As the sender will: a certificate that nobody can believe is not worth a handshake.
Result<> Authority::check(X509* leaf, const policy::Host& host, WallTime now) {
  const StoreContext context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), trust_.get(), leaf, nullptr) != 1) {
    return failed("a leaf certificate");
  }
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(wanted, seconds(now));
  X509_VERIFY_PARAM_set_purpose(wanted, X509_PURPOSE_SSL_SERVER);
  if (host.literal) {
    X509_VERIFY_PARAM_set1_ip_asc(wanted, host.text.c_str());
  } else {
    X509_VERIFY_PARAM_set1_host(wanted, host.text.c_str(), host.text.size());
  }
  if (X509_verify_cert(context.get()) == 1) return {};
  const int error = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  return Unexpected(
      Reason::interception_failed,
      "The interception CA cannot vouch for " + host.text + ": " + certificate_fault(error) + ".");
}

}  // namespace egret::tls
