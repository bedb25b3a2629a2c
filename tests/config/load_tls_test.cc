// Certificates, parent proxies and what else says how connections are made.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "config/load.h"
#include "tests/config/support.h"

namespace egret::config {
namespace {

using policy::Tls;
using policy::Via;

TEST(ListenerTlsSettings, AreTheTextOfTheFiles) {
  const auto settings = must_load(
      "listeners:\n"
      "  - address: 127.0.0.1:1\n"
      "    tls: {certificate: /a.crt, private_key: /a.key}\n"
      "  - address: 127.0.0.1:2\n"
      "    tls: {certificate: /a.crt, private_key: /a.key, client_ca: /ca.crt, crl: /ca.crl,\n"
      "          client_certificate: optional}\n"
      "  - address: 127.0.0.1:3\n"
      "    proxy_protocol: true\n"
      "    proxy_protocol_from: [10.0.0.0/8]\n");
  const auto& listeners = settings->listeners;
  ASSERT_TRUE(listeners[0].tls);
  EXPECT_TRUE(listeners[0].tls->certificate.certificate.starts_with("-----BEGIN CERTIFICATE"));
  EXPECT_TRUE(
      listeners[0].tls->certificate.private_key.reveal().starts_with("-----BEGIN PRIVATE KEY"));
  EXPECT_EQ(listeners[0].tls->client_ca, "");
  EXPECT_TRUE(listeners[0].tls->client_certificate_required);
  EXPECT_TRUE(listeners[1].tls->client_ca.starts_with("-----BEGIN CERTIFICATE"));
  EXPECT_TRUE(listeners[1].tls->crl.starts_with("-----BEGIN X509 CRL"));
  EXPECT_FALSE(listeners[1].tls->client_certificate_required);
  EXPECT_FALSE(listeners[2].tls);
  EXPECT_TRUE(listeners[2].proxy_protocol);
  EXPECT_EQ(listeners[2].proxy_protocol_from,
            std::vector<policy::Prefix>{*policy::Prefix::parse("10.0.0.0/8")});
}

TEST(SenderCertificates, AreNamesAsWritten) {
  const auto settings = must_load(
      "listeners:\n"
      "  - {address: 127.0.0.1:1, tls: {certificate: /a.crt, private_key: /a.key,\n"
      "     client_ca: /ca.crt}}\n"
      "senders: [{name: a, certificates: [\"spiffe://corp/A\", \"Ärger GmbH\"]}]\n");
  EXPECT_EQ(settings->senders.all()[0].certificates,
            (std::vector<std::string>{"spiffe://corp/A", "Ärger GmbH"}));
}

// An error in the file is the one to mend; nothing is said that is wrong only because of it.
TEST(SenderCertificates, AreAskedForThoughTheirCaCannotBeRead) {
  FakeSecrets secrets;
  const Issued issued = issue({});
  secrets.files = {{"/a.crt", issued.certificate}, {"/a.key", issued.private_key}};
  const Loaded loaded = load_text(
      "listeners:\n"
      "  - {address: 127.0.0.1:1, tls: {certificate: /a.crt, private_key: /a.key,\n"
      "     client_ca: /none.crt}}\n"
      "senders: [{name: a, certificates: [a]}]\n",
      "egret.yaml", secrets);
  ASSERT_EQ(loaded.diagnostics.size(), 1U) << all_text(loaded);
  EXPECT_EQ(loaded.diagnostics[0].line, 3);
}

TEST(Ways, AreReadInDefaultsAndOverriddenLeafByLeaf) {
  const auto settings = must_load(
      "defaults:\n"
      "  scheme: https-only\n"
      "  tunnel_sni: match\n"
      "  tls:\n"
      "    min_version: 1.3\n"
      "    ca: /ca.crt\n"
      "    crl: /ca.crl\n"
      "    pins: [\"sha256/AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=\"]\n"
      "    client_certificate: {certificate: /a.crt, private_key: /a.key}\n"
      "  source: \"2001:db8::7\"\n"
      "  timeouts: {tls: 1s}\n"
      "rules:\n"
      "  - {name: same, match: {hosts: [same.example]}, tls: {}}\n"
      "  - name: off\n"
      "    scheme: https\n"
      "    tls: {ca: system, crl: none, pins: [], client_certificate: null, min_version: \"1.2\"}\n"
      "    source: none\n"
      "    tunnel_sni: any\n");
  const policy::Rule& all = settings->defaults;
  EXPECT_EQ(all.scheme, policy::SchemeMode::https_only);
  EXPECT_EQ(all.tunnel_sni, policy::TunnelSni::match);
  EXPECT_EQ(all.timeouts.tls, std::chrono::seconds(1));
  EXPECT_EQ(all.way.tls.min_version, Tls::Version::tls13);
  EXPECT_FALSE(all.way.tls.ca.empty());
  EXPECT_FALSE(all.way.tls.crl.empty());
  policy::Pin pin{};
  pin[0] = 1;
  pin[31] = 2;
  EXPECT_EQ(all.way.tls.pins, std::vector<policy::Pin>{pin});
  ASSERT_TRUE(all.way.tls.client_certificate);
  EXPECT_EQ(all.way.source, policy::Address::parse("2001:db8::7"));
  EXPECT_EQ(settings->rules[0].way, all.way);
  EXPECT_EQ(settings->rules[1].way, policy::Way());
  EXPECT_EQ(settings->rules[1].scheme, policy::SchemeMode::https);
  EXPECT_EQ(settings->rules[1].tunnel_sni, policy::TunnelSni::any);
}

TEST(ViaSettings, KeepTheirCredentialsForTheirOwnProxy) {
  const auto settings = must_load(
      "defaults:\n"
      "  via: {proxy: \"http://Proxy.EXAMPLE:3128\", username: Aladdin, password: {env: P}}\n"
      "rules:\n"
      "  - {name: a, match: {hosts: [a.example]}, via: {ask: name}}\n"
      "  - {name: b, match: {hosts: [b.example]}, via: {proxy: \"http://[2001:db8::8]:80\"}}\n"
      "  - {name: c, match: {hosts: [c.example]}, via: none}\n"
      "  - {name: d, match: {hosts: [d.example]}, via: null}\n"
      "  - {name: e, via: {proxy: \"http://bücher.example:1\"}}\n");
  const std::optional<Via>& all = settings->defaults.way.via;
  ASSERT_TRUE(all);
  EXPECT_EQ(all->host.text, "proxy.example");
  EXPECT_EQ(all->port, 3128);
  EXPECT_TRUE(all->authorization.equals("Basic QWxhZGRpbjpzM2NyZXQ="));
  EXPECT_EQ(all->ask, Via::Ask::address);
  const auto via = [&](size_t rule) { return settings->rules[rule].way.via; };
  EXPECT_EQ(via(0)->host, all->host);
  EXPECT_EQ(via(0)->ask, Via::Ask::name);
  EXPECT_EQ(via(0)->authorization, all->authorization);
  EXPECT_EQ(via(1)->host.literal, policy::Address::parse("2001:db8::8"));
  EXPECT_TRUE(via(1)->authorization.empty());
  EXPECT_FALSE(via(2));
  EXPECT_FALSE(via(3));
  EXPECT_EQ(via(4)->host.text, "xn--bcher-kva.example");
}

TEST(InterceptionSettings, AreUsedByARuleOrTheDefaults) {
  const std::string ca = "interception: {ca_certificate: /ca.crt, ca_key: /ca.key}\n";
  for (const std::string use :
       {"defaults: {connect: intercept}", "rules: [{name: a, connect: intercept}]"}) {
    const auto settings = must_load(ca + use);
    ASSERT_TRUE(settings->interception);
    EXPECT_FALSE(settings->interception->ca.certificate.empty());
    EXPECT_FALSE(settings->interception->ca.private_key.empty());
  }
  EXPECT_FALSE(must_load("{}")->interception);
}

TEST(InterceptionSettings, CountAsAnAllowedConnect) {
  must_load(
      "interception: {ca_certificate: /ca.crt, ca_key: /ca.key}\n"
      "rules: [{name: a, match: {methods: [CONNECT]}, connect: intercept}]\n");
}

TEST(HoldsSecrets, WhereAKeyOrAPasswordIs) {
  EXPECT_FALSE(must_load("{}")->holds_secrets());
  EXPECT_FALSE(must_load("defaults: {tls: {ca: /ca.crt, crl: /ca.crl}, via: {proxy: "
                         "\"http://p.example:1\"}}")
                   ->holds_secrets());
  for (const std::string& text : std::vector<std::string>{
           "listeners: [{address: 127.0.0.1:1, tls: {certificate: /a.crt, private_key: /a.key}}]",
           "interception: {ca_certificate: /a.crt, ca_key: /a.key}\ndefaults: {connect: intercept}",
           "defaults: {tls: {client_certificate: {certificate: /a.crt, private_key: /a.key}}}",
           "rules: [{name: a, tls: {client_certificate: {certificate: /a.crt, private_key: "
           "/a.key}}}]",
           "rules: [{name: a, via: {proxy: \"http://p.example:1\", username: u, password: {env: "
           "P}}}]"}) {
    EXPECT_TRUE(must_load(text)->holds_secrets()) << text;
  }
}

class PemFilesOnDisk : public testing::Test {
 protected:
  PemFilesOnDisk()
      : folder(std::filesystem::temp_directory_path() / ("egret-pem-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder);
  }
  ~PemFilesOnDisk() override { std::filesystem::remove_all(folder); }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(folder / name, std::ios::binary) << text;
    ::chmod((folder / name).c_str(), mode);
    return (folder / name).string();
  }
  std::filesystem::path folder;
};

TEST_F(PemFilesOnDisk, AreNamedAmongTheFilesThatWereRead) {
  const Issued ca = issue({.authority = true});
  const std::vector<std::string> files = {
      write("a.crt", ca.certificate), write("a.key", ca.private_key),
      write("ca.crt", ca.certificate), write("ca.crl", revocation_list(ca))};
  const std::string yaml =
      write("egret.yaml", "listeners: [{address: 127.0.0.1:1, tls: {certificate: " + files[0] +
                              ", private_key: " + files[1] + ", client_ca: " + files[2] +
                              ", crl: " + files[3] + "}}]\n");
  const Loaded loaded = load_file(yaml);
  EXPECT_EQ(all_text(loaded), "");
  for (const std::string& file : files) {
    EXPECT_NE(std::find(loaded.files.begin(), loaded.files.end(), file), loaded.files.end())
        << file;
  }

  ::chmod(files[1].c_str(), 0644);
  const Loaded open = load_file(yaml);
  ASSERT_EQ(open.diagnostics.size(), 1U) << all_text(open);
  EXPECT_EQ(open.diagnostics[0].severity, Severity::warning);
  EXPECT_NE(open.diagnostics[0].message.find("chmod o-r"), std::string::npos);
}

TEST_F(PemFilesOnDisk, AreBounded) {
  const Issued ca = issue({.authority = true});
  const auto said = [&](const std::string& keys) {
    return all_text(load_file(write("egret.yaml", "defaults: {tls: {" + keys + "}}\n")));
  };
  const std::string padding((size_t{64} << 10) + 1, '#');
  const std::string padded = write("padded.pem", padding + "\n" + ca.certificate);
  const std::string key = write("a.key", ca.private_key);
  EXPECT_EQ(said("ca: " + padded), "");
  EXPECT_NE(said("client_certificate: {certificate: " + padded + ", private_key: " + key + "}")
                .find("is larger than 64 KiB"),
            std::string::npos);
  const std::string most = write("most.pem", ca.certificate + std::string(size_t{4} << 20, '#'));
  EXPECT_NE(said("ca: " + most).find("is larger than 4096 KiB"), std::string::npos);
}

// Two thousand rules that name one file cost one reading of it.
TEST_F(PemFilesOnDisk, AreReadOnceHoweverManyRulesNameThem) {
  const Issued ca = issue({.authority = true});
  const std::string file = write("ca.crt", ca.certificate);
  std::string yaml = "rules:\n";
  for (int i = 0; i < 100; ++i) {
    const std::string name = "r" + std::to_string(i);
    yaml += "  - {name: " + name + ", match: {hosts: [" + name + ".example]}, tls: {ca: " + file;
    yaml += "}}\n";
  }
  const Loaded loaded = load_file(write("egret.yaml", yaml));
  EXPECT_EQ(all_text(loaded), "");
  EXPECT_EQ(std::count(loaded.files.begin(), loaded.files.end(), file), 1);
}

TEST(PathsOfKeys, AreShownAndWhatLooksLikeAKeyIsNot) {
  FakeSecrets secrets;
  const Loaded loaded =
      load_text("interception: {ca_certificate: /a, ca_key: /b}\n", "egret.yaml", secrets);
  EXPECT_NE(all_text(loaded).find("| interception: {ca_certificate: /a"), std::string::npos);
}

}  // namespace
}  // namespace egret::config
