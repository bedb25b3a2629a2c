#include "config/pem.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <memory>
#include <optional>
#include <vector>

#include "base/secret.h"
#include "config/diagnostics.h"

namespace egret::config::pem {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using RevocationList = std::unique_ptr<X509_CRL, Freed<X509_CRL_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kCertificate = "CERTIFICATE";
constexpr std::string_view kRevocationList = "X509 CRL";
constexpr int kLeastSecurityBits = 112;  // OpenSSL's security level 2, Debian's default

Bio reading(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

struct Block {
  std::string name;
  bool encrypted = false;  // as RFC 1421 says it, in the block's headers
  Secret bytes;            // for it may be a key
};

size_t count_begins(std::string_view text) {
  size_t count = 0;
  for (size_t at = text.find(kBegin); at != std::string_view::npos;
       at = text.find(kBegin, at + 1)) {
    if (at == 0 || text[at - 1] == '\n') ++count;
  }
  return count;
}

// Every block of the text; nothing when one is cut short or is not base64.
std::optional<std::vector<Block>> read_blocks(std::string_view text) {
  const Bio bio = reading(text);
  std::vector<Block> blocks;
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* bytes = nullptr;
  long size = 0;
  while (bio != nullptr && PEM_read_bio(bio.get(), &name, &header, &bytes, &size) == 1) {
    Block block;
    block.name = name;
    block.encrypted = std::string_view(header).find("ENCRYPTED") != std::string_view::npos;
    block.bytes =
        Secret(std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size)));
    OPENSSL_clear_free(bytes, static_cast<size_t>(size));
    OPENSSL_free(name);
    OPENSSL_free(header);
    blocks.push_back(std::move(block));
  }
  ERR_clear_error();
  // The library passes in silence over what it cannot read at the end.
  if (blocks.size() != count_begins(text)) return std::nullopt;
  return blocks;
}

// The object that the whole block is, or null.
template <typename Owned, auto Parse>
Owned parse(const Block& block) {
  const std::string_view bytes = block.bytes.reveal();
  const auto* begin = reinterpret_cast<const unsigned char*>(bytes.data());
  const unsigned char* at = begin;
  Owned object(Parse(nullptr, &at, static_cast<long>(bytes.size())));
  const bool whole = at == begin + bytes.size();
  ERR_clear_error();
  return whole ? std::move(object) : nullptr;
}

std::string date_of(const ASN1_TIME* time) {
  std::tm fields{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &fields) != 1) return "a date that is none";
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d", &fields);
  return {text.data(), size};
}

// X509_cmp_time is 0 for what is no date: it is taken as past, and as not yet come.
bool is_past(const ASN1_TIME* time) { return X509_cmp_time(time, nullptr) <= 0; }
bool is_to_come(const ASN1_TIME* time) { return X509_cmp_time(time, nullptr) >= 0; }

// The blocks of the text, all called `name` and each an object; else what is wrong, in `error`.
template <typename Owned, auto Parse>
std::vector<Owned> read_all(std::string_view text, std::string_view name, std::string_view noun,
                            std::string& error) {
  std::vector<Owned> objects;
  const std::optional<std::vector<Block>> blocks = read_blocks(text);
  if (!blocks) {
    error = "has a PEM block that is damaged or cut short";
    return {};
  }
  for (const Block& block : *blocks) {
    const std::string place = "block " + std::to_string(objects.size() + 1);
    if (block.name != name) {
      error = "has " + in_quotes(block.name) + " as its " + place + ", where only " +
              in_quotes(name) + " belongs";
      return {};
    }
    Owned object = parse<Owned, Parse>(block);
    if (object == nullptr) {
      error = "has a " + place + " that is no " + std::string(noun);
      return {};
    }
    objects.push_back(std::move(object));
  }
  if (objects.empty()) error = "has no " + std::string(noun) + " in PEM form";
  return objects;
}

std::vector<Certificate> read_certificates(std::string_view text, std::string& error) {
  return read_all<Certificate, d2i_X509>(text, kCertificate, "certificate", error);
}

bool is_private_key(const Block& block) { return block.name.ends_with("PRIVATE KEY"); }

// Never asks: a passphrase is not there.
int no_passphrase(char*, int, int, void*) { return -1; }

Key read_key(std::string_view text) {
  const Bio bio = reading(text);
  Key key(bio == nullptr ? nullptr
                         : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  ERR_clear_error();
  return key;
}

}  // namespace

Checked check_chain(std::string_view text, Owner owner) {
  Checked checked;
  const std::vector<Certificate> chain = read_certificates(text, checked.error);
  if (chain.empty()) return checked;
  X509* own = chain.front().get();
  const EVP_PKEY* key = X509_get0_pubkey(own);
  if (key == nullptr || EVP_PKEY_get_security_bits(key) < kLeastSecurityBits) {
    checked.error = "has a key that is too weak for TLS; use P-256, or RSA of 2048 bits";
  } else if (owner == Owner::authority && X509_check_ca(own) != 1) {
    checked.error =
        "is not a CA's certificate: its basicConstraints lack CA:TRUE, or its keyUsage keyCertSign";
  } else if (is_past(X509_get0_notAfter(own))) {
    (owner == Owner::authority ? checked.error : checked.warning) =
        "has expired, on " + date_of(X509_get0_notAfter(own));
  } else if (is_to_come(X509_get0_notBefore(own))) {
    checked.warning = "is not valid before " + date_of(X509_get0_notBefore(own));
  }
  ERR_clear_error();
  return checked;
}

Checked check_authorities(std::string_view text) {
  Checked checked;
  read_certificates(text, checked.error);
  return checked;
}

Checked check_revocation_lists(std::string_view text) {
  Checked checked;
  const auto lists = read_all<RevocationList, d2i_X509_CRL>(text, kRevocationList,
                                                            "revocation list", checked.error);
  for (const RevocationList& list : lists) {
    const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list.get());
    if (next == nullptr || !is_past(next)) continue;
    checked.warning = "has a list whose next update was due on " + date_of(next) +
                      "; what its issuer signed is refused until it is renewed";
    break;
  }
  return checked;
}

Checked check_private_key(std::string_view text) {
  Checked checked;
  const std::optional<std::vector<Block>> blocks = read_blocks(text);
  if (!blocks) {
    checked.error = "has a PEM block that is damaged or cut short";
    return checked;
  }
  size_t keys = 0;
  bool encrypted = false;
  for (const Block& block : *blocks) {
    if (!is_private_key(block)) continue;
    ++keys;
    encrypted |= block.encrypted || block.name.starts_with("ENCRYPTED");
  }
  if (keys == 0) {
    checked.error = "has no private key in PEM form";
  } else if (keys > 1) {
    checked.error = "has " + std::to_string(keys) + " private keys; one is needed";
  } else if (encrypted) {
    checked.error =
        "is encrypted, and nobody is there to be asked for its passphrase; decrypt it "
        "with openssl pkey, and let only Egret read it";
  } else if (read_key(text) == nullptr) {
    checked.error = "has a private key that cannot be read";
  }
  return checked;
}

Checked check_signing_key(std::string_view text, std::string_view algorithm) {
  Checked checked = check_private_key(text);
  if (!checked.error.empty()) return checked;
  const Key key = read_key(text);
  std::array<char, 32> group{};
  size_t size = 0;
  EVP_PKEY_get_utf8_string_param(key.get(), "group", group.data(), group.size(), &size);
  ERR_clear_error();
  if (algorithm == "ed25519" && EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    checked.error = "is not an Ed25519 key";
  } else if (algorithm == "ecdsa-p256-sha256" && std::string_view(group.data()) != "prime256v1") {
    checked.error = "is not an elliptic-curve key on P-256";
  } else if (algorithm == "rsa-pss-sha512" &&
             ((EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA &&
               EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA_PSS) ||
              EVP_PKEY_get_bits(key.get()) < 2048)) {
    checked.error = "is not an RSA key of 2048 bits at least";
  }
  return checked;
}

bool is_ed25519_pair(std::string_view seed, std::string_view public_key) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(seed.data());
  const Key key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, bytes, seed.size()));
  std::array<unsigned char, 32> own{};
  size_t size = own.size();
  const bool got = key != nullptr &&
                   EVP_PKEY_get_raw_public_key(key.get(), own.data(), &size) == 1 &&
                   size == own.size();
  ERR_clear_error();
  return got && public_key == std::string_view(reinterpret_cast<const char*>(own.data()), size);
}

bool belongs(std::string_view private_key, std::string_view chain) {
  std::string error;
  const std::vector<Certificate> certificates = read_certificates(chain, error);
  const Key key = read_key(private_key);
  if (certificates.empty() || key == nullptr) return false;
  const bool same = X509_check_private_key(certificates.front().get(), key.get()) == 1;
  ERR_clear_error();
  return same;
}

}  // namespace egret::config::pem
