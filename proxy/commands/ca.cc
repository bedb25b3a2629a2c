#include "proxy/commands/ca.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iostream>

#include "config/files.h"
#include "config/interception_paths.h"
#include "config/scalars.h"
#include "proxy/commands/new_file.h"
#include "proxy/tls/authority.h"
#include "proxy/tls/description.h"

namespace egret::commands {
namespace {

constexpr int kFailed = 2;
constexpr size_t kMostCertificate = 64 << 10;

int fail(const std::string& sentence) {
  std::cerr << "egret: " << sentence << "\n";
  return kFailed;
}

// Completes `files` from the configuration and the usual names. False when it has said why not.
bool find_files(CaFiles& files) {
  if (!files.config.empty()) {
    const bool twice = !files.certificate.empty() || !files.key.empty();
    if (twice) fail("give the files in the configuration or on the command line, not both");
    if (twice) return false;
    config::InterceptionPaths paths = config::interception_paths(files.config);
    bool good = true;
    for (const config::Diagnostic& each : paths.diagnostics) {
      std::cerr << each.to_string() << "\n";
      good = good && each.severity != config::Severity::error;
    }
    files.certificate = std::move(paths.ca_certificate);
    files.key = std::move(paths.ca_key);
    if (!good) return false;
  }
  if (files.certificate.empty()) files.certificate = "egret-ca.pem";
  if (files.key.empty()) files.key = "egret-ca.key";
  return true;
}

bool is_one_file(const CaFiles& files) {
  std::error_code ignored;
  const auto place = [&ignored](const std::string& file) {
    return std::filesystem::absolute(file, ignored).lexically_normal();
  };
  return place(files.certificate) == place(files.key);
}

// What the certificate is to say, as it was asked for; empty, or why not.
std::string read_wishes(const CaInit& wanted, tls::CaOptions& options) {
  const bool plain =
      std::ranges::none_of(wanted.name, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
  if (!plain) return "--name: it has a control character";
  for (const std::string& domain : wanted.permit_dns) {
    const Result<policy::Host> host = policy::canonical_host(domain);
    if (!host || host->literal) return "--permit-dns: \"" + domain + "\" is no domain";
    options.permitted_dns.push_back(host->text);
  }
  for (const std::string& network : wanted.permit_ip) {
    std::string error;
    const auto prefix = config::parse_prefix(network, error);
    if (!prefix) return "--permit-ip: " + error;
    options.permitted_ips.push_back(*prefix);
  }
  return {};
}

void print(const tls::Description& ca) {
  std::cout << "  subject      " << ca.subject << "\n  SHA-256      " << ca.fingerprint
            << "\n  valid from   " << ca.from << "\n  valid until  " << ca.until << "\n";
  if (!ca.constraints.empty()) std::cout << "  constraints\n" << ca.constraints << "\n";
}

// As a shell takes it for one word.
std::string shell_word(const std::string& path) {
  const bool plain = std::ranges::all_of(path, [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("/._-+,:@%").find(c) != std::string_view::npos;
  });
  if (plain) return path;
  std::string out = "'";
  for (const char c : path) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// What each client reads. $CA stands for the certificate's path.
constexpr std::string_view kHowToTrust =
    R"(To let a sender trust it:

  curl             export CURL_CA_BUNDLE=$CA        or: curl --cacert $CA …
  Python requests  export REQUESTS_CA_BUNDLE=$CA
  Node             export NODE_EXTRA_CA_CERTS=$CA   (beside the roots that it has)
  Go               export SSL_CERT_FILE=$CA
  Ruby             export SSL_CERT_FILE=$CA
  PHP              php -d curl.cainfo=$CA -d openssl.cafile=$CA …   (or in php.ini)
  Java             keytool -importcert -noprompt -keystore egret.p12 -storepass changeit -alias egret -file $CA
                   java -Djavax.net.ssl.trustStore=egret.p12 -Djavax.net.ssl.trustStorePassword=changeit …
  Java, all        keytool -importcert -noprompt -cacerts -storepass changeit -alias egret -file $CA
  wget             wget --ca-certificate=$CA …
  Perl LWP         export PERL_LWP_SSL_CA_FILE=$CA
  Debian, all      cp $CA /usr/local/share/ca-certificates/egret.crt && update-ca-certificates

All but Node, Java and Debian's store then trust this CA only: right for a sender whose every request is
intercepted, and otherwise a reason to use Debian's store, which Go, Ruby, PHP, curl, wget and Perl read by
themselves, and Python requests with REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt.
)";

std::string how_to_trust(const std::string& path) {
  std::string text(kHowToTrust);
  for (size_t at = text.find("$CA"); at != std::string::npos; at = text.find("$CA", at)) {
    text.replace(at, 3, path);
    at += path.size();
  }
  return text;
}

}  // namespace

int ca_init(const CaInit& wanted) {
  CaFiles files = wanted.files;
  if (!find_files(files)) return kFailed;
  if (is_one_file(files)) {
    return fail("the certificate and its key need a file each, not both " + files.key);
  }
  tls::CaOptions options{.name = wanted.name, .days = wanted.days};
  const std::string wrong = read_wishes(wanted, options);
  if (!wrong.empty()) return fail(wrong);
  const Result<policy::KeyPair> made = tls::make_ca(options, std::chrono::system_clock::now());
  if (!made) return fail(made.error().detail);
  std::string trouble = write_new(files.key, made->private_key.reveal(), kOwnersOnly);
  if (!trouble.empty()) return fail(trouble);
  trouble = write_new(files.certificate, made->certificate, kEverybodyReads);
  if (!trouble.empty()) {
    unlink(files.key.c_str());  // made a moment ago: a key without its certificate is of no use
    return fail(trouble);
  }
  const Result<tls::Description> ca = tls::describe_ca(made->certificate);
  if (!ca) return fail(ca.error().detail);
  std::cout << "Made the CA " << files.certificate << ", its key " << files.key
            << " (keep it to Egret).\n";
  print(*ca);
  std::cout
      << "\nNext: name both in `interception`, set `connect: intercept` in a rule, and let the\n"
         "senders trust it: egret ca show --certificate "
      << shell_word(files.certificate) << "\n";
  return 0;
}

int ca_show(const CaFiles& wanted) {
  CaFiles files = wanted;
  if (!find_files(files)) return kFailed;
  std::string error;
  const auto text = config::read_whole(files.certificate, kMostCertificate, error);
  if (!text) return fail(error + "; egret ca init makes one");
  const Result<tls::Description> ca = tls::describe_ca(*text);
  if (!ca) return fail(files.certificate + ": " + ca.error().detail);
  std::error_code ignored;
  const std::string path =
      std::filesystem::absolute(files.certificate, ignored).lexically_normal().string();
  std::cout << path << "\n";
  print(*ca);
  std::cout << "\n" << how_to_trust(shell_word(path));
  return 0;
}

}  // namespace egret::commands
