#include "config/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "config/document.h"
#include "config/sections.h"
#include "tests/config/support.h"

namespace egret::config {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

void expect_same(const Settings& a, const Settings& b) {
  EXPECT_EQ(a.listeners, b.listeners);
  EXPECT_EQ(a.admin.address, b.admin.address);
  EXPECT_EQ(a.admin.token.has_value(), b.admin.token.has_value());
  EXPECT_EQ(a.workers, b.workers);
  EXPECT_EQ(a.buffer_memory, b.buffer_memory);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.sandbox, b.sandbox);
  EXPECT_EQ(a.log, b.log);
  EXPECT_EQ(a.resolver, b.resolver);
  EXPECT_EQ(a.interception, b.interception);
  EXPECT_EQ(a.senders.all().size(), b.senders.all().size());
  EXPECT_EQ(a.defaults, b.defaults);
  EXPECT_EQ(a.rules, b.rules);
}

TEST(Defaults, TextSaysWhatTheCodeDoesWithoutIt) {
  const auto built_in = built_in_defaults();
  ASSERT_NE(built_in, nullptr);
  expect_same(*built_in, *must_load("{}"));
}

TEST(Defaults, AreThoseOfTheTypes) {
  const auto built_in = built_in_defaults();
  ASSERT_NE(built_in, nullptr);
  policy::Rule rule;
  rule.name = "defaults";
  EXPECT_EQ(built_in->defaults, rule);
  EXPECT_EQ(built_in->resolver, Resolver());
  EXPECT_EQ(built_in->log, Log());
  EXPECT_EQ(built_in->mode, policy::Mode::enforce);
  EXPECT_EQ(built_in->sandbox, Sandbox::automatic);
  EXPECT_EQ(built_in->workers, cores());
  EXPECT_EQ(built_in->buffer_memory, buffer_memory_for(cores()));
  ASSERT_EQ(built_in->listeners.size(), 1U);
  EXPECT_EQ(built_in->listeners[0].address.name, "127.0.0.1:4750");
  EXPECT_EQ(built_in->listeners[0].max_connections, 20000U);
  EXPECT_EQ(built_in->admin.address.name, "127.0.0.1:4751");
}

// The values that are promised to the people who run it, spelt out.
TEST(Defaults, AreThoseOfTheContract) {
  const auto built_in = built_in_defaults();
  ASSERT_NE(built_in, nullptr);
  const auto promised = must_load(
      "defaults:\n"
      "  action: allow\n"
      "  addresses: {allow: [], deny: [], mixed: deny}\n"
      "  ports: [80, 443]\n"
      "  methods: [GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS]\n"
      "  scheme: as-sent\n"
      "  connect: tunnel\n"
      "  tunnel_sni: any\n"
      "  tls: {min_version: \"1.2\", ca: system, pins: []}\n"
      "  timeouts: {resolve: 5s, connect: 5s, tls: 5s, response: 15s, idle: 10s, total: 20s,\n"
      "             tunnel: 10m}\n"
      "  limits: {request_body: 1MiB, response_body: 128KiB, headers: 32KiB, min_rate: 100B/s,\n"
      "           in_flight_per_host: 64}\n");
  EXPECT_EQ(promised->defaults, built_in->defaults);
}

TEST(Examples, EachLoadsWithoutAWord) {
  size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(EGRET_SOURCE_DIR "/config/examples")) {
    FakeSecrets secrets = every_secret();
    const Loaded loaded = load_text(read_text(entry.path()), entry.path().string(), secrets);
    EXPECT_NE(loaded.settings, nullptr) << entry.path();
    EXPECT_EQ(all_text(loaded), "");
    ++count;
  }
  EXPECT_GE(count, 4U);
}

TEST(Merging, ARuleOverridesLeafByLeafAndListsReplace) {
  const auto settings = must_load(
      "rules:\n"
      "  - name: a\n"
      "    match: {hosts: [a.example]}\n"
      "    ports: [8443]\n"
      "    addresses: {allow: [10.0.0.1]}\n"
      "    timeouts: {idle: 1s}\n"
      "  - name: b\n"
      "defaults:\n"  // after the rules: the order of the text does not matter
      "  addresses: {allow: [10.9.0.0/16], deny: [192.0.2.0/24], mixed: filter}\n"
      "  timeouts: {total: 1m, idle: 30s}\n"
      "  methods: [POST]\n");
  ASSERT_EQ(settings->rules.size(), 2U);
  const policy::Rule& a = settings->rules[0];
  const policy::Rule& b = settings->rules[1];
  EXPECT_EQ(a.ports, (std::vector<policy::PortRange>{{8443, 8443}}));
  ASSERT_EQ(a.addresses.allow.size(), 1U);
  EXPECT_EQ(a.addresses.allow[0].to_string(), policy::Prefix::parse("10.0.0.1")->to_string());
  EXPECT_EQ(a.addresses.deny, settings->defaults.addresses.deny);
  EXPECT_EQ(a.addresses.mixed, policy::Mixed::filter);
  EXPECT_EQ(a.timeouts.idle, seconds(1));
  EXPECT_EQ(a.timeouts.total, minutes(1));
  EXPECT_EQ(a.timeouts.connect, seconds(5));
  EXPECT_EQ(a.methods, std::vector<std::string>{"POST"});
  EXPECT_EQ(b.addresses, settings->defaults.addresses);
  EXPECT_TRUE(b.match.matches_everything());
}

TEST(Merging, NoneIsForEver) {
  const auto settings = must_load("defaults: {timeouts: {total: none, tunnel: none}}");
  EXPECT_EQ(settings->defaults.timeouts.total, Duration::max());
  EXPECT_EQ(settings->defaults.timeouts.tunnel, Duration::max());
}

TEST(Senders, CredentialsAreWhatTheHeaderCarries) {
  FakeSecrets secrets;
  secrets.files = {{"/p", "open sesame"}};
  secrets.variables = {{"TOKEN", "abc="}};
  const Loaded loaded = load_text(
      "senders:\n"
      "  - {name: a, credentials: {username: Aladdin, password: {file: /p}}}\n"
      "  - {name: b, credentials: {token: {env: TOKEN}}}\n",
      "egret.yaml", secrets);
  ASSERT_NE(loaded.settings, nullptr) << all_text(loaded);
  const auto& senders = loaded.settings->senders.all();
  EXPECT_EQ(senders[0].scheme, policy::Sender::Scheme::basic);
  EXPECT_TRUE(senders[0].credentials.equals("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));  // RFC 7617 section 2
  EXPECT_EQ(senders[0].username, "Aladdin");
  EXPECT_EQ(senders[1].scheme, policy::Sender::Scheme::bearer);
  EXPECT_TRUE(senders[1].credentials.equals("abc="));
}

TEST(Senders, NameAListenerByWhatItIsNotHowItIsSpelt) {
  const auto settings = must_load(
      "listeners: [{address: \"[::1]:4750\"}]\n"
      "senders: [{name: a, listeners: [\"[0:0::1]:4750\"]}]\n");
  EXPECT_EQ(settings->senders.all()[0].listeners, std::vector<std::string>{"[::1]:4750"});
}

TEST(Admin, NeedsATokenOnlyWhereOthersReachIt) {
  for (const std::string address : {"127.0.0.2:1", "\"[::1]:1\"", "unix:/run/admin.sock"}) {
    EXPECT_NE(load("admin: {address: " + address + "}").settings, nullptr) << address;
  }
  for (const std::string address : {"0.0.0.0:1", "\"[::]:1\"", "10.0.0.1:1", "\"[fe80::1]:1\""}) {
    EXPECT_EQ(load("admin: {address: " + address + "}").settings, nullptr) << address;
    const auto guarded = load("admin: {address: " + address + ", token: {env: T}}").settings;
    ASSERT_NE(guarded, nullptr) << address;
    EXPECT_TRUE(guarded->admin.token->equals("s3cret"));
  }
}

TEST(Admin, NeverOnAProxyListener) {
  const auto loads = [](const std::string& listener, const std::string& admin) {
    return load("listeners: [{address: \"" + listener + "\"}]\nadmin: {address: \"" + admin +
                "\", token: {env: T}}")
               .settings != nullptr;
  };
  EXPECT_FALSE(loads("127.0.0.1:1", "127.0.0.1:1"));
  EXPECT_FALSE(loads("0.0.0.0:1", "127.0.0.1:1"));
  EXPECT_FALSE(loads("127.0.0.1:1", "0.0.0.0:1"));
  EXPECT_FALSE(loads("[::]:1", "127.0.0.1:1"));
  EXPECT_FALSE(loads("[::]:1", "0.0.0.0:1"));
  EXPECT_FALSE(loads("unix:/run/a", "unix:/run/a"));
  EXPECT_TRUE(loads("unix:/run/a", "unix:/run/b"));
  EXPECT_TRUE(loads("0.0.0.0:1", "[::1]:1"));
  EXPECT_TRUE(loads("127.0.0.1:1", "127.0.0.1:2"));
  EXPECT_TRUE(loads("127.0.0.1:0", "127.0.0.1:0"));
}

TEST(Log, AccessIsAWordOrAPath) {
  EXPECT_EQ(must_load("log: {access: none}")->log.access, Log::Access::none);
  const auto settings = must_load("log: {access: ./access.log}");
  EXPECT_EQ(settings->log.access, Log::Access::file);
  EXPECT_EQ(settings->log.access_file, "./access.log");
}

TEST(Judge, IsMadeOfTheSettings) {
  const auto settings = must_load("rules: [{name: a, action: deny}]");
  const policy::Judge judge = settings->judge({});
  EXPECT_EQ(judge.rules(), settings->rules);
  EXPECT_EQ(judge.defaults(), settings->defaults);
}

TEST(Files, AreReadAndNamedInDiagnostics) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("egret-config-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "egret.yaml")
      << "admin: {address: 0.0.0.0:1, token: {file: \"" << (folder / "token").string() << "\"}}\n";
  std::ofstream(folder / "token") << "abc\n";
  ::chmod((folder / "token").c_str(), 0600);
  const Loaded loaded = load_file(folder / "egret.yaml");
  ASSERT_NE(loaded.settings, nullptr) << all_text(loaded);
  EXPECT_EQ(all_text(loaded), "");
  EXPECT_TRUE(loaded.settings->admin.token->equals("abc"));

  ::chmod((folder / "token").c_str(), 0644);
  const Loaded open = load_file(folder / "egret.yaml");
  ASSERT_NE(open.settings, nullptr);
  ASSERT_EQ(open.diagnostics.size(), 1U);
  EXPECT_EQ(open.diagnostics[0].severity, Severity::warning);

  const Loaded missing = load_file(folder / "no.yaml");
  EXPECT_EQ(missing.settings, nullptr);
  EXPECT_EQ(all_text(missing), (folder / "no.yaml").string() + ": error: cannot read \"" +
                                   (folder / "no.yaml").string() +
                                   "\": No such file or directory\n");
  EXPECT_EQ(load_file(folder).settings, nullptr);
  std::filesystem::remove_all(folder);
}

TEST(SystemSecrets, TakeOneLineEndOffAFile) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("egret-secret-" + std::to_string(getpid()));
  const std::pair<std::string, std::string> cases[] = {
      {"a", "a"}, {"a\n", "a"}, {"a\r\n", "a"}, {"a\n\n", "a\n"}, {" a ", " a "}, {"\n", ""}};
  for (const auto& [written, read] : cases) {
    std::ofstream(path, std::ios::binary) << written;
    std::string error;
    EXPECT_EQ(system_secrets().read_file(path.string(), error), read);
    EXPECT_EQ(error, "");
  }
  std::filesystem::remove(path);
  std::string error;
  EXPECT_EQ(system_secrets().read_file(path.string(), error), "");
  EXPECT_NE(error, "");
  error.clear();
  EXPECT_EQ(system_secrets().read_env("EGRET_TEST_NOT_SET", error), "");
  EXPECT_NE(error, "");
  ::setenv("EGRET_TEST_SET", "v", 1);
  error.clear();
  EXPECT_EQ(system_secrets().read_env("EGRET_TEST_SET", error), "v");
  EXPECT_EQ(error, "");
}

TEST(Bounds, OfSizeValuesAndDiagnostics) {
  EXPECT_EQ(load(std::string(kMostBytes + 1, '#')).settings, nullptr);
  EXPECT_NE(load("{}\n" + std::string(kMostBytes - 3, '#')).settings, nullptr);

  std::string many = "defaults: {ports: [";
  for (size_t i = 0; i < kMostNodes; ++i) many += "1,";
  const Loaded loaded = load(many + "1]}");
  ASSERT_EQ(loaded.diagnostics.size(), 1U);
  EXPECT_NE(loaded.diagnostics[0].message.find("more than 100000 values"), std::string::npos);

  std::string wrong = "rules:\n";
  for (int i = 0; i < 2000; ++i) wrong += "  - {nam: a}\n";
  const Loaded capped = load(wrong);
  EXPECT_EQ(capped.settings, nullptr);
  EXPECT_EQ(capped.diagnostics.size(), 501U);
  EXPECT_EQ(capped.diagnostics.back().message, "3500 more; mend these first");
}

// As many as may be are compared in full; what would take longer is cut short, and says so.
TEST(Bounds, RulesAreComparedWithinABudget) {
  std::string most = "rules:\n";
  for (int i = 0; i < 2000; ++i) {
    most += "  - {name: r" + std::to_string(i) + ", match: {hosts: [h" + std::to_string(i) +
            ".example]}}\n";
  }
  EXPECT_EQ(all_text(load(most)), "");
  EXPECT_EQ(load(most + "  - {name: one-more}\n").settings, nullptr);

  std::string hosts;
  for (int i = 0; i < 4000; ++i) hosts += "h" + std::to_string(i) + ".example,";
  const Loaded loaded = load("rules:\n  - {name: a, match: {hosts: [" + hosts +
                             "]}}\n  - {name: b, match: {hosts: [" + hosts + "]}}\n");
  ASSERT_NE(loaded.settings, nullptr) << all_text(loaded);
  ASSERT_EQ(loaded.diagnostics.size(), 1U);
  EXPECT_NE(loaded.diagnostics[0].message.find("too many rules"), std::string::npos);
}

}  // namespace
}  // namespace egret::config
